"""A subject that only moves is consistent; morphing, flickering and fading lower the score."""

import numpy as np
import pytest

from stickers.metrics.consistency import consistency
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import draw_sticker, look_of

SIZE = 40


def cut(size: int = SIZE) -> np.ndarray:
    """A fox with room to move on every side."""
    still = draw_sticker("a fox waving", 0, size * 3 // 4)
    return np.pad(still, ((size // 8, size // 8), (size // 8, size // 8), (0, 0)))


def translated(step: int) -> np.ndarray:
    """The fox going to and fro, `step` pixels a frame."""
    return np.stack([np.roll(cut(), step * shift, axis=1) for shift in (0, 1, 0, -1, 0, 1, 0, -1)])


def flickering(strength: float) -> np.ndarray:
    """The fox standing still while its colours come and go."""
    frames = np.repeat(cut()[None], 8, axis=0)
    frames[1::2, ..., :3] = (frames[1::2, ..., :3] * (1 - strength)).astype(np.uint8)
    return frames


def morphing(share: float) -> np.ndarray:
    """The fox becoming a robot, row by row."""
    fox, robot = draw_sticker("a fox waving", 0, SIZE), draw_sticker("a robot waving", 0, SIZE)
    rows = np.linspace(0, share * SIZE, 8).astype(int)
    return np.stack([np.concatenate([robot[:row], fox[row:]]) for row in rows])


def test_standing_still_and_moving_are_consistent() -> None:
    assert consistency(np.repeat(cut()[None], 8, axis=0)) == 1
    assert consistency(translated(2)) == pytest.approx(1, abs=1e-6)
    assert consistency(np.zeros((4, SIZE, SIZE, 4), dtype=np.uint8)) == 1


def test_changing_is_not_and_more_of_it_is_worse() -> None:
    assert 1 > consistency(flickering(0.1)) > consistency(flickering(0.4)) > consistency(flickering(0.9))
    assert 1 > consistency(morphing(0.3)) > consistency(morphing(1.0))
    gone = np.repeat(cut()[None], 8, axis=0)
    gone[1::2] = 0
    assert consistency(gone) == pytest.approx(0, abs=1e-6)


def test_a_true_motion_lies_between_a_translation_and_a_flicker() -> None:
    waving = render_motion(look_of("a fox waving", 0), "wave", Mode(hz=1 / 8), np.arange(8) - 3, SIZE)
    assert consistency(translated(2)) > consistency(waving) > consistency(flickering(0.4))


def test_it_hardly_depends_on_the_size() -> None:
    """At 160 pixels the step is a fraction of a pixel of what is compared."""
    small, large = (
        np.stack([np.roll(cut(size), size // 20 * s, axis=1) for s in (0, 1)]) for size in (40, 160)
    )
    assert consistency(small) == pytest.approx(1) and consistency(large) > 0.9


def test_one_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="neighbouring frames, got 1 frame"):
        consistency(translated(1)[:1])
