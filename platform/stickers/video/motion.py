"""How much a clip moves: the vmafmotion score of paper section 3.1.1, on decoded pixels."""

import numpy as np

from stickers.video.clips import on_white

#: the 5-tap Gaussian of FFmpeg's vmafmotion filter
GAUSSIAN = np.array([3571, 16004, 26386, 16004, 3571], dtype=np.float32) / 65536
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def luma(frames_THWC: np.ndarray) -> np.ndarray:
    """BT.601 luma, float32 `[T, H, W]` in 0-255, of uint8 RGBA frames over white."""
    return on_white(frames_THWC)[..., :3].astype(np.float32) @ LUMA


def motion_score(frames_THWC: np.ndarray) -> float:
    """Mean absolute difference of blurred luma between neighbouring frames, 0-255.

    The first frame has no predecessor and counts as zero, as in FFmpeg's filter.
    """
    blurred = _blur(_blur(luma(frames_THWC), 1), 2)
    return float(np.abs(np.diff(blurred, axis=0)).mean(axis=(1, 2)).sum() / len(blurred))


def _blur(frames_THW: np.ndarray, axis: int) -> np.ndarray:
    """The Gaussian along one axis, edges mirrored."""
    widths = [(0, 0)] * 3
    widths[axis] = (2, 2)
    padded = np.pad(frames_THW, widths, mode="reflect")
    length = frames_THW.shape[axis]
    return sum(weight * np.take(padded, range(i, i + length), axis=axis) for i, weight in enumerate(GAUSSIAN))
