"""The error scale: truth near 0, the frozen still at 1, wrong and shuffled motion above truth."""

import numpy as np
import pytest

from stickers.metrics.truth_error import make_scale, read
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import GRIDS, draw_sticker, landmarks, look_of, truths

SHAPE = {"size": 32, "num_frames": 8, "still_at": 3}
PROMPT = "a fox dancing"


def blur(clips):
    """Loses detail, as an autoencoder does."""
    return ((clips.astype(float) + np.roll(clips, 1, axis=2)) / 2).astype(np.uint8)


@pytest.fixture(scope="module")
def scale():
    clips, motions = landmarks(PROMPT, 0, **SHAPE)
    return make_scale(
        truths(PROMPT, 0, **SHAPE), clips, motions, ["dance"], draw_sticker(PROMPT, 0, 32), blur
    )


def _clip(motion, mode):
    return render_motion(look_of(PROMPT, 0), motion, mode, np.arange(8) - 3, 32)


def _error(clip, scale):
    reading = read(blur(clip[None])[0], scale)
    return reading.distance / reading.still_distance, reading


def test_an_admitted_clip_is_zero_and_the_still_is_one(scale):
    error, reading = _error(_clip("dance", GRIDS["coarse"][7]), scale)
    assert error == pytest.approx(0, abs=1e-6) and reading.right
    still = np.repeat(draw_sticker(PROMPT, 0, 32)[None], 8, axis=0)
    error, reading = _error(still, scale)
    assert error == pytest.approx(1) and reading.nearest == "still" and not reading.right


def test_a_clip_between_the_grids_modes_is_near_zero(scale):
    error, reading = _error(_clip("dance", Mode(amplitude=1.17, hz=0.11)), scale)
    assert error < 0.3 and reading.right


def test_wrong_motion_and_shuffled_frames_are_worse_than_truth(scale):
    truth = _clip("dance", Mode(hz=1 / 8))
    wrong, reading = _error(_clip("jump", Mode(hz=1 / 8)), scale)
    assert wrong > 0.8 and not reading.right
    shuffled, _ = _error(truth[[4, 1, 6, 0, 7, 2, 5, 3]], scale)
    assert shuffled > 0.5
