"""What is true in the toy world: for evaluation and for simulated people alone, never for training.

A sticker of the toy world is the pair (prompt, image index): they seed the `Look`. Every motion passes through the
picture at the conditioning frame, in any direction, amplitude and speed, so the truth is a *set* of clips.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import Literal

import numpy as np

from stickers.toy.characters import Look
from stickers.toy.motions import MOTIONS, grid_of_modes, render_motion, render_still
from stickers.toy.words import meaning


def look_of(prompt: str, image_index: int) -> Look:
    """The individual that the toy artist draws for this prompt and image index."""
    seed = int.from_bytes(blake2b(f"{prompt}\n{image_index}".encode(), digest_size=8).digest(), "big")
    return Look.draw(meaning(prompt).subject, np.random.default_rng(seed))


def draw_sticker(prompt: str, image_index: int, size: int) -> np.ndarray:
    """The toy world's static stickers model: uint8 RGBA `[size, size, 4]`."""
    return render_still(look_of(prompt, image_index), size)


#: what a person has in mind, what an evaluation measures against, and one landmark a motion and speed
GRIDS = {
    "coarse": grid_of_modes(amplitudes=3, speeds=5),
    "fine": grid_of_modes(amplitudes=3, speeds=8),
    "landmarks": grid_of_modes(amplitudes=1, speeds=5, lags=1),
}
Grid = Literal["coarse", "fine", "landmarks"]


@lru_cache(maxsize=128)
def _variants(look: Look, motion: str, grid: Grid, size: int, num_frames: int, still_at: int) -> np.ndarray:
    times = np.arange(num_frames) - still_at
    return np.stack([render_motion(look, motion, mode, times, size) for mode in GRIDS[grid]])


def truths(
    prompt: str, image_index: int, *, size: int, num_frames: int, still_at: int, grid: Grid = "coarse"
) -> np.ndarray:
    """The clips that the prompt admits for this sticker, uint8 RGBA `[N, T, size, size, 4]`."""
    look = look_of(prompt, image_index)
    return np.concatenate(
        [_variants(look, motion, grid, size, num_frames, still_at) for motion in meaning(prompt).motions]
    )


def landmarks(
    prompt: str, image_index: int, *, size: int, num_frames: int, still_at: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clips of all motions on a common grid, and the motion of each, to find the motion that a clip is nearest to."""
    look, names = look_of(prompt, image_index), tuple(MOTIONS)
    clips = [_variants(look, motion, "landmarks", size, num_frames, still_at) for motion in names]
    return np.concatenate(clips), tuple(motion for motion, few in zip(names, clips, strict=True) for _ in few)
