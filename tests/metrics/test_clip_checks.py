"""Each planted fault is flagged, clean clips pass, and an opaque clip is judged as its subject is."""

from dataclasses import replace

import numpy as np
import pytest

from stickers.metrics.clip_checks import FLAGS, THRESHOLDS, check, judge
from stickers.toy.faults import FAULTS, Fault
from stickers.toy.grammar import toy_prompts
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import look_of, meaning

SIZE = 48
PROMPTS = toy_prompts(24, seed=11)


def clean(number: int, fps: int, num_frames: int = 8) -> np.ndarray:
    prompt = PROMPTS[number]
    mode = Mode.draw(np.random.default_rng(number))
    motion = meaning(prompt.text).motions[0]
    return render_motion(look_of(prompt.text, 0), motion, mode, np.arange(num_frames) / fps, SIZE)


@pytest.mark.parametrize(
    ("fault", "flag"), FAULTS.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_a_planted_fault_is_flagged(fault: Fault, flag: str) -> None:
    raised = [
        check(fault(clean(number, 8), np.random.default_rng(number)), 8).flags
        for number in range(len(PROMPTS))
    ]
    share = np.mean([getattr(flags, flag) for flags in raised])
    assert share >= 0.9, f"{flag} is raised for {share:.0%}"


@pytest.mark.parametrize("fps", [4, 6, 8])
def test_clean_clips_pass(fps: int) -> None:
    raised = [check(clean(number, fps), fps).flags.raised for number in range(len(PROMPTS))]
    assert sum(bool(flags) for flags in raised) <= 2, raised


@pytest.mark.parametrize("num_frames", [1, 2, 3, 16])
def test_any_number_of_frames(num_frames: int) -> None:
    checks = check(clean(0, 8, num_frames), 8)
    assert checks.flags.frozen == (num_frames == 1) and not checks.flags.empty
    assert all(np.isfinite(value) for value in vars(checks.measures).values())


def test_a_threshold_moves_without_the_clip() -> None:
    checks = check(clean(0, 8), 8)
    assert not checks.flags.frozen
    assert judge(checks.measures, 8, replace(THRESHOLDS, moving=1.1)).frozen
    assert set(vars(checks.flags)) == set(FLAGS)


def test_an_opaque_clip_is_judged_by_its_subject() -> None:
    clip = clean(3, 8)
    alpha = clip[..., 3:].astype(np.float32) / 255
    solid = np.full_like(clip, 255)
    solid[..., :3] = (clip[..., :3] * alpha + np.float32([40, 200, 90]) * (1 - alpha)).astype(np.uint8)
    assert check(solid, 8).flags.raised == check(clip, 8).flags.raised


def test_wrong_arrays_and_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="frame rate must be positive"):
        check(clean(0, 8), 0)
    with pytest.raises(ValueError, match="uint8"):
        check(clean(0, 8).astype(np.float32), 8)
