"""The panel's eyes: what the prompt admits must look right, and each way of failing must look wrong."""

from dataclasses import replace

import numpy as np
import pytest

from stickers.artifacts.ids import content_id
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import GRIDS, draw_sticker, look_of
from stickers.toy.panel import Panel, Rater, decode_and_measure, relative_errors, shares
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


FLAWLESS = [Rater(name=name, false_accept=0, false_reject=0) for name in ("ana", "ben", "cem", "expert")]
PANEL = Panel(annotators=tuple(FLAWLESS[:3]), expert=FLAWLESS[3], threshold=0.5)


def test_people_err_at_their_stated_rates_and_repeatably() -> None:
    person = Rater(name="ana", false_accept=0.2, false_reject=0.1)
    digests = [content_id("clip", i) for i in range(4000)]
    accepted = [shares(person, digest, 0.9, PANEL, round_number=1) for digest in digests]
    rejected = [not shares(person, digest, 0.1, PANEL, round_number=1) for digest in digests]
    assert abs(sum(accepted) / 4000 - 0.2) < 0.025 and abs(sum(rejected) / 4000 - 0.1) < 0.02
    assert accepted == [shares(person, digest, 0.9, PANEL, round_number=1) for digest in digests]
    other = replace(person, name="ben")
    assert accepted != [shares(other, digest, 0.9, PANEL, round_number=1) for digest in digests]


def test_another_panel_is_other_people() -> None:
    assert set(PANEL.roles()).isdisjoint(replace(PANEL, threshold=0.6).roles())
    assert len(Panel().roles()) == 4
