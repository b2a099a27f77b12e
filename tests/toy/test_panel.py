"""The panel's eyes: what the prompt admits must look right, and each way of failing must look wrong."""

import numpy as np
import pytest

from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import GRIDS, draw_sticker, look_of
from stickers.toy.panel import Panel, decode_and_measure, relative_errors
from stickers.video.codec import encode_strip

PROMPT, SIZE = "a cat waving", 32
TIMES = np.arange(8) - 3


def clip(motion: str, mode: Mode, times: np.ndarray = TIMES) -> np.ndarray:
    return render_motion(look_of(PROMPT, 1), motion, mode, times, SIZE)


def test_truth_is_near_zero_still_is_one_and_faults_are_worse() -> None:
    off_grid = Mode(direction=-1, amplitude=1.12, hz=0.11, secondary=0.0)
    good = clip("wave", off_grid)
    still = np.repeat(draw_sticker(PROMPT, 1, SIZE)[None], 8, axis=0)
    shuffled = good[np.random.default_rng(0).permutation(8)]
    wrong = clip("jump", off_grid)
    another = render_motion(look_of("a dog waving", 0), "wave", off_grid, TIMES, SIZE)
    errors = relative_errors([good, still, shuffled, wrong, another], PROMPT, 1)
    threshold = Panel().threshold
    assert errors[0] < 0.35 and errors[1] == pytest.approx(1)
    assert all(error > threshold for error in errors[1:]), errors


def test_measuring_is_by_digest_and_for_any_length() -> None:
    mode = GRIDS["coarse"][0]
    six = render_motion(look_of(PROMPT, 1), "wave", mode, np.arange(6) - 2, SIZE)
    clips = {"long": clip("wave", mode), "short": six}
    work = [(name, encode_strip(frames), len(frames)) for name, frames in clips.items()]
    errors = decode_and_measure((PROMPT, 1, work))
    assert set(errors) == {"long", "short"} and max(errors.values()) < 0.01


def test_only_the_toy_worlds_prompts_can_be_judged() -> None:
    with pytest.raises(ValueError, match="none of the toy subjects"):
        relative_errors([np.zeros((8, SIZE, SIZE, 4), np.uint8)], "our mascot", 0)
