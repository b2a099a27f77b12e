"""How far a clip is from anything its prompt admits, read from decoded pixels alone.

A prompt admits many clips, so the error is the *least* squared distance to one of them, on a scale where the frozen
still is 1. All truths, the still and every comparison clip pass through the autoencoder first: against raw truth a
perfect model would be charged for its decoder. Nearest of all motions gives the share of right motions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stickers.video.clips import on_white

Reconstruct = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Scale:
    """What one sticker is measured against.

    `admitted` float32 `[N, D]` are the admitted clips, flattened; `every` `[M, D]` the landmarks of all motions with
    `labels`, the last of them the still; `still` `[D]`.
    """

    admitted: np.ndarray
    every: np.ndarray
    labels: tuple[str, ...]
    right: frozenset[str]
    still: np.ndarray


@dataclass(frozen=True)
class Reading:
    """One clip measured: squared distance to the nearest truth and of the still, and whether its motion is right."""

    distance: float
    still_distance: float
    nearest: str
    right: bool


def flatten(clip_THWC: np.ndarray) -> np.ndarray:
    """A clip over white with its alpha, as float32 in [0, 1], flat."""
    return (on_white(clip_THWC).astype(np.float32) / 255).ravel()


def make_scale(
    admitted_NTHWC: np.ndarray,
    landmarks_MTHWC: np.ndarray,
    motions: Sequence[str],
    right: Iterable[str],
    still_HWC: np.ndarray,
    reconstruct: Reconstruct,
) -> Scale:
    """The measure for one sticker.

    Args:
        admitted_NTHWC: clips that the prompt admits, canonical uint8 RGBA.
        landmarks_MTHWC: clips of every motion, `motions` naming each one's.
        right: the motions that the prompt admits.
        still_HWC: the picture.
        reconstruct: clips `[N, T, H, W, 4]` through the autoencoder.
    """
    frozen = np.repeat(still_HWC[None], admitted_NTHWC.shape[1], axis=0)
    through = reconstruct(np.concatenate([admitted_NTHWC, landmarks_MTHWC, frozen[None]]))
    flat = np.stack([flatten(clip) for clip in through])
    count = len(admitted_NTHWC)
    return Scale(
        admitted=flat[:count],
        every=flat[count:],
        labels=(*motions, "still"),
        right=frozenset(right),
        still=flat[-1],
    )


def read(clip_THWC: np.ndarray, scale: Scale) -> Reading:
    """Measure one decoded clip."""
    flat = flatten(clip_THWC)
    nearest = scale.labels[int(_distances(flat, scale.every).argmin())]
    return Reading(
        distance=float(_distances(flat, scale.admitted).min()),
        still_distance=float(_distances(scale.still, scale.admitted).min()),
        nearest=nearest,
        right=nearest in scale.right,
    )


def _distances(flat: np.ndarray, many: np.ndarray) -> np.ndarray:
    return np.square(many - flat).mean(axis=1)
