"""How far a clip is from every clip that its prompt admits, by decoded pixels alone.

A prompt admits many clips, so the error is the *least* squared distance to one of them, on a scale where the frozen
still is 1. All reference clips pass through the autoencoder first: against raw truth a perfect model would be charged
for its decoder. The nearest of all motions gives the share of right motions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from stickers.video.clips import OPAQUE, on_white

Reconstruct = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Scale:
    """The reference clips of one sticker, flattened to float32.

    `admitted` `[N, D]` are the clips that the prompt admits; `landmarks` `[M, D]` those of all motions, the last one
    the still, with their `labels`; `still` `[D]`. `right` names the motions that the prompt admits.
    """

    admitted: np.ndarray
    landmarks: np.ndarray
    labels: tuple[str, ...]
    right: frozenset[str]
    still: np.ndarray


@dataclass(frozen=True)
class Reading:
    """The squared distances of a clip and of the still to the nearest truth, and whether the clip's motion is right."""

    distance: float
    still_distance: float
    nearest: str
    right: bool


def flatten(clip_THWC: np.ndarray) -> np.ndarray:
    """A clip over white with its alpha, as a float32 vector in [0, 1]."""
    return (on_white(clip_THWC).astype(np.float32) / OPAQUE).ravel()


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
        landmarks_MTHWC: clips of all motions.
        motions: the motion of each landmark.
        right: the motions that the prompt admits.
        still_HWC: the picture.
        reconstruct: passes clips `[N, T, H, W, 4]` through the autoencoder.
    """
    frozen = np.repeat(still_HWC[None], admitted_NTHWC.shape[1], axis=0)
    reconstructed = reconstruct(np.concatenate([admitted_NTHWC, landmarks_MTHWC, frozen[None]]))
    flat = np.stack([flatten(clip) for clip in reconstructed])
    count = len(admitted_NTHWC)
    return Scale(
        admitted=flat[:count],
        landmarks=flat[count:],
        labels=(*motions, "still"),
        right=frozenset(right),
        still=flat[-1],
    )


def read(clip_THWC: np.ndarray, scale: Scale) -> Reading:
    """Measure one decoded clip."""
    flat = flatten(clip_THWC)
    nearest = scale.labels[int(_distances(flat, scale.landmarks).argmin())]
    return Reading(
        distance=float(_distances(flat, scale.admitted).min()),
        still_distance=float(_distances(scale.still, scale.admitted).min()),
        nearest=nearest,
        right=nearest in scale.right,
    )


def _distances(flat: np.ndarray, many: np.ndarray) -> np.ndarray:
    distances: np.ndarray = np.square(many - flat).mean(axis=1)
    return distances
