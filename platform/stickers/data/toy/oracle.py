"""What is true in the toy world: for evaluation and for simulated people alone, never for training.

A sticker of the toy world is the pair (prompt, image index): they seed the `Look`. Every motion passes through the
picture at the conditioning frame, in any direction, amplitude and speed, so the truth is a *set* of clips.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from stickers.data.toy.characters import Look
from stickers.data.toy.motions import MOTIONS, admissible_modes, render_motion, render_still
from stickers.data.toy.words import meaning


def look_of(prompt: str, image_index: int) -> Look:
    """The individual that the toy artist draws for this prompt and image index."""
    seed = int.from_bytes(blake2b(f"{prompt}\n{image_index}".encode(), digest_size=8).digest(), "big")
    return Look.draw(meaning(prompt).subject, np.random.default_rng(seed))


def draw_sticker(prompt: str, image_index: int, size: int) -> np.ndarray:
    """The toy world's static stickers model: uint8 RGBA `[size, size, 4]`."""
    return render_still(look_of(prompt, image_index), size)


@dataclass(frozen=True, kw_only=True)
class Truths:
    """All clips that some motion could make of one picture.

    `clips` is uint8 RGBA `[N, T, size, size, 4]`; `motions[i]` names the motion of clip i; `admitted[i]` tells whether
    the prompt admits it.
    """

    clips: np.ndarray
    motions: tuple[str, ...]
    admitted: np.ndarray


@lru_cache(maxsize=128)
def _variants(look: Look, motion: str, size: int, num_frames: int, still_at: int) -> np.ndarray:
    times = np.arange(num_frames) - still_at
    return np.stack([render_motion(look, motion, mode, times, size) for mode in admissible_modes()])


def truths(
    prompt: str,
    image_index: int,
    *,
    size: int,
    num_frames: int,
    still_at: int,
    every_motion: bool = False,
) -> Truths:
    """The clips that the prompt admits for this sticker; with `every_motion` those of all other motions too."""
    look, said = look_of(prompt, image_index), meaning(prompt)
    names = tuple(MOTIONS) if every_motion else said.motions
    sets = [_variants(look, name, size, num_frames, still_at) for name in names]
    motions = tuple(name for name, clips in zip(names, sets, strict=True) for _ in clips)
    admitted = np.array([name in said.motions for name in motions])
    return Truths(clips=np.concatenate(sets), motions=motions, admitted=admitted)
