"""How much of a subject merely moves: the paper's "should not distort or morph in any way", without any weights.

Every block of a frame is searched for in the neighbouring frame, forwards and backwards. A block that is matched nearby
has moved; one without a match has changed. The measure ignores the prompt: a wrong motion can be perfectly consistent,
and correct turns and squeezes cost a little.
"""

import numpy as np

from stickers.errors import UserError
from stickers.video.clips import OPAQUE, shrink

MAX_SIDE = 64
"""Pixels; larger clips are shrunk first, which keeps the search short and the measure comparable."""
SHARE = 8
"""A block's side is an eighth of the picture's, and so is the reach of the search; faster motion counts as change."""


def consistency(frames_THWC: np.ndarray) -> float:
    """The share of the subject that neighbouring frames have in common, apart from motion, in [0, 1].

    1 is a subject that only moves or stands still, 0 one of which no part is matched again; a clip that is empty
    throughout changes nothing and scores 1. The result is the mean over neighbouring frames of 1 - residual. The
    residual is the least absolute difference of each block (premultiplied RGBA) within reach, summed over the picture,
    in the worse of the two directions, divided by the sum of the fuller frame's values. Motion by fractions of a pixel
    costs a few hundredths.

    Args:
        frames_THWC: uint8 RGBA, two frames or more.

    Raises:
        UserError: there are fewer than two frames, or they are not uint8 RGBA.
    """
    if len(frames_THWC) < 2:
        raise UserError(f"consistency compares neighbouring frames, got {len(frames_THWC)} frame")
    planes_CTHW = _premultiplied(shrink(frames_THWC, MAX_SIDE))
    early, late = planes_CTHW[:, :-1], planes_CTHW[:, 1:]
    totals = np.maximum(early.sum(axis=(0, 2, 3)), late.sum(axis=(0, 2, 3)))
    residuals = np.maximum(_residuals(early, late), _residuals(late, early))
    return float(1 - np.clip(residuals / np.maximum(totals, 1), 0, 1).mean())


def _premultiplied(frames_THWC: np.ndarray) -> np.ndarray:
    """Float32 `[C, T, H, W]` in [0, 1], colours times alpha, padded with zeros to full blocks."""
    pixels = frames_THWC.astype(np.float32) / OPAQUE
    pixels[..., :-1] *= pixels[..., -1:]
    _, height, width, _ = pixels.shape
    block = _block(height, width)
    padded = np.pad(pixels, ((0, 0), (0, -height % block), (0, -width % block), (0, 0)))
    return np.ascontiguousarray(np.moveaxis(padded, -1, 0))


def _block(height: int, width: int) -> int:
    return max(1, min(height, width) // SHARE)


def _residuals(searched_CTHW: np.ndarray, blocks_CTHW: np.ndarray) -> np.ndarray:
    """For each frame, the differences of its blocks to their best matches in `searched`, summed: `[T]`."""
    _, num_frames, height, width = blocks_CTHW.shape
    reach = _block(height, width)
    by_block = (num_frames, height // reach, reach, width // reach, reach)
    padded = np.pad(searched_CTHW, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    least = np.full((num_frames, height // reach, width // reach), np.inf, dtype=np.float32)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            moved = padded[:, :, down : down + height, right : right + width]
            differing = np.abs(moved - blocks_CTHW).sum(axis=0)
            np.minimum(least, differing.reshape(by_block).sum(axis=(2, 4)), out=least)
    sums: np.ndarray = least.sum(axis=(1, 2))
    return sums
