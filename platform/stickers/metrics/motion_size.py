"""How much a clip moves, a frame and a second: teachers trade this against consistency.

Clips of different frame rates show the same motion at different speeds, so they are compared by the second.
"""

import numpy as np

from stickers.errors import UserError
from stickers.video.motion import motion_score


def motion_size(frames_THWC: np.ndarray) -> float:
    """The vmafmotion score (paper section 3.1.1) of uint8 RGBA frames: 0 for a still, mean luma levels a frame."""
    return motion_score(frames_THWC)


def motion_per_second(motion_score: float, fps: float) -> float:
    """The motion in a second of a clip, in luma levels: its score times its frame rate.

    Raises:
        UserError: the frame rate is not positive.
    """
    if not fps > 0:
        raise UserError(f"the frame rate must be positive, got {fps}")
    return motion_score * fps
