"""How much of a subject merely moves: the paper's "should not distort or morph in any way", without any weights.

Every block of a frame is looked for in its neighbour frame, forwards and backwards. What is found nearby has moved;
what is found nowhere has changed. It knows nothing of the prompt: a wrong motion can be perfectly consistent, and
turning or squeezing limbs cost a little although they are right.
"""

import numpy as np

from stickers.errors import UserError
from stickers.video.clips import shrink

MAX_SIDE = 64
"""Pixels; larger clips are shrunk first, which keeps the search short and the measure comparable."""
SHARE = 8
"""Blocks are an eighth of the picture a side, and are looked for as far away; faster motion counts as change."""


def consistency(frames_THWC: np.ndarray) -> float:
    """The share of the subject that neighbouring frames have in common once everything may move, in [0, 1].

    1 is a subject that only moves or stands still, 0 one of which nothing is found again; a clip that is empty
    throughout changes nothing and reads 1. Mean over neighbouring frames of 1 - residual: the least absolute
    difference of each block (premultiplied RGBA) within reach, summed over the picture, in the worse of the two
    directions, over the sum of the fuller frame's own values. Fractions of a pixel cost a few hundredths.

    Args:
        frames_THWC: uint8 RGBA, two frames or more.

    Raises:
        UserError: there are fewer than two frames, or they are no uint8 RGBA.
    """
    if len(frames_THWC) < 2:
        raise UserError(f"consistency compares neighbouring frames, got {len(frames_THWC)} frame")
    planes_CTHW = _premultiplied(shrink(frames_THWC, MAX_SIDE))
    one, other = planes_CTHW[:, :-1], planes_CTHW[:, 1:]
    whole = np.maximum(one.sum(axis=(0, 2, 3)), other.sum(axis=(0, 2, 3)))
    unfound = np.maximum(_unfound(one, other), _unfound(other, one))
    return float(1 - np.clip(unfound / np.maximum(whole, 1), 0, 1).mean())


def _premultiplied(frames_THWC: np.ndarray) -> np.ndarray:
    """Float32 `[C, T, H, W]` in [0, 1], colours times alpha, padded with nothing to whole blocks."""
    pixels = frames_THWC.astype(np.float32) / 255
    pixels[..., :3] *= pixels[..., 3:]
    height, width = pixels.shape[1:3]
    block = _block(height, width)
    padded = np.pad(pixels, ((0, 0), (0, -height % block), (0, -width % block), (0, 0)))
    return np.ascontiguousarray(np.moveaxis(padded, -1, 0))


def _block(height: int, width: int) -> int:
    return max(1, min(height, width) // SHARE)


def _unfound(among_CTHW: np.ndarray, wanted_CTHW: np.ndarray) -> np.ndarray:
    """For each frame, what of `wanted` is within reach nowhere in `among`: summed differences `[T]`."""
    _, num_frames, height, width = wanted_CTHW.shape
    reach = _block(height, width)
    blocks = (num_frames, height // reach, reach, width // reach, reach)
    padded = np.pad(among_CTHW, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    least = np.full((num_frames, height // reach, width // reach), np.inf, dtype=np.float32)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            moved = padded[:, :, down : down + height, right : right + width]
            differing = np.abs(moved - wanted_CTHW).sum(axis=0)
            np.minimum(least, differing.reshape(blocks).sum(axis=(2, 4)), out=least)
    return least.sum(axis=(1, 2))
