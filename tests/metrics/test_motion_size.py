"""The motion of a clip against steps known by construction."""

import numpy as np
import pytest

from stickers.metrics.motion_size import motion_per_second, motion_size


def sliding(step: int) -> np.ndarray:
    """A soft texture that slides to and fro, `step` pixels a frame."""
    rows, columns = np.mgrid[:40, :40]
    picture = np.full((40, 40, 4), 255, np.uint8)
    picture[..., :3] = (127 + 120 * np.sin(rows / 6) * np.sin(columns / 6))[..., None]
    return np.stack([np.roll(picture, step * shift, axis=1) for shift in (0, 1, 0, -1)])


def test_motion_is_zero_for_a_still_and_grows_with_the_step() -> None:
    sizes = [motion_size(sliding(step)) for step in (0, 1, 2, 4)]
    assert sizes[0] == 0 and sizes == sorted(sizes) and len(set(sizes)) == 4


def test_motion_is_compared_by_the_second() -> None:
    assert motion_per_second(3.0, 8) == 24 == 2 * motion_per_second(3.0, 4)
    with pytest.raises(ValueError, match="must be positive, got 0"):
        motion_per_second(1.0, 0)
