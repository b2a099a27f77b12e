"""Motions: all pass through one rest pose, nothing fixes their mode, and poses follow the formulas."""

from collections import Counter
from dataclasses import asdict, replace
from math import pi

import numpy as np
import pytest

from stickers.toy.characters import Look, Pose
from stickers.toy.motions import (
    AMPLITUDES,
    EXAGGERATED,
    FASTEST,
    HZ,
    LAGS,
    MOTIONS,
    NATURAL,
    SLOWEST,
    Mode,
    grid_of_modes,
    natural_pose_at,
    pose_at,
    render_motion,
    render_still,
)


def values(pose: Pose) -> np.ndarray:
    return np.array(list(asdict(pose).values()))


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_mode_passes_through_the_still_and_differs_elsewhere(motion: str) -> None:
    look = Look.draw("dragon", np.random.default_rng(0))
    still = render_still(look, 48).astype(int)
    modes = grid_of_modes(amplitudes=2, speeds=2, lags=1)
    clips = [render_motion(look, motion, mode, np.arange(8) - 3, 48).astype(int) for mode in modes]
    for clip in clips:
        assert np.array_equal(clip[3], still)
        assert np.abs(np.diff(clip, axis=0)).mean() > 0.3
    for i, one in enumerate(clips):
        for other in clips[i + 1 :]:
            assert np.abs(one - other).mean() > 0.2


def test_no_two_motions_look_alike() -> None:
    assert len(MOTIONS) >= 12
    look = Look.draw("fox", np.random.default_rng(0))
    mode = Mode(hz=1 / 8)
    clips = [render_motion(look, motion, mode, np.arange(8) - 3, 32).astype(float) for motion in MOTIONS]
    gaps = [np.abs(a - b).mean() for i, a in enumerate(clips) for b in clips[i + 1 :]]
    assert min(gaps) > 1.0


@pytest.mark.parametrize("motion", MOTIONS)
def test_poses_rest_at_angle_zero_and_come_back_after_a_cycle(motion: str) -> None:
    for strike in (pose_at, natural_pose_at):
        for mode in grid_of_modes(amplitudes=2, speeds=2):
            assert values(strike(motion, mode, 0.0)) == pytest.approx(0, abs=1e-12)
            one, next_one = strike(motion, mode, 0.3), strike(motion, mode, 0.3 + 1 / mode.hz)
            assert values(one) == pytest.approx(values(next_one)) and values(one).any()


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_pose_is_as_large_as_its_amplitude(motion: str) -> None:
    mode = Mode(hz=0.9, secondary=LAGS[1])
    once, twice = pose_at(motion, mode, 0.4), pose_at(motion, replace(mode, amplitude=2.0), 0.4)
    assert values(twice) == pytest.approx(2 * values(once))


def test_the_phase_shifts_a_motion_in_time() -> None:
    mode = Mode(hz=0.8)
    later = pose_at("dance", mode, 0.25)
    assert values(pose_at("dance", replace(mode, phase=2 * pi * 0.8 * 0.25), 0.0)) == pytest.approx(
        values(later)
    )


@pytest.mark.parametrize(("motion", "pair"), [("wave", "arm"), ("kick", "leg"), ("stomp", "lift")])
def test_the_direction_chooses_the_limb(motion: str, pair: str) -> None:
    to_right, to_left = (natural_pose_at(motion, Mode(direction=side, hz=0.5), 1.0) for side in (1, -1))
    assert getattr(to_right, f"{pair}_right") > 0 and getattr(to_right, f"{pair}_left") == pytest.approx(0)
    assert getattr(to_left, f"{pair}_left") == getattr(to_right, f"{pair}_right")
    assert to_right.lean == -to_left.lean


def test_stickers_exaggerate_what_a_limb_alone_would_say_too_quietly() -> None:
    mode = Mode(hz=0.5)
    differing = {name for name in MOTIONS if pose_at(name, mode, 0.7) != natural_pose_at(name, mode, 0.7)}
    assert differing == {*EXAGGERATED} and {*NATURAL} == {*MOTIONS}
    for name in differing:
        assert (
            np.abs(values(pose_at(name, mode, 0.7))).sum()
            > np.abs(values(natural_pose_at(name, mode, 0.7))).sum()
        )


def test_a_grid_spreads_evenly_over_what_is_admissible() -> None:
    modes = grid_of_modes(amplitudes=3, speeds=5)
    assert len(modes) == len(set(modes)) == 2 * 3 * 5 * 2
    assert Counter(mode.direction for mode in modes) == {-1: 30, 1: 30}
    assert sorted({mode.amplitude for mode in modes}) == pytest.approx([0.9, 1.1, 1.3])
    speeds = sorted({mode.hz for mode in modes})
    assert (speeds[0], speeds[-1]) == pytest.approx((SLOWEST, FASTEST))
    assert np.diff(np.log(speeds)) == pytest.approx(np.log(FASTEST / SLOWEST) / 4)
    assert {mode.secondary for mode in modes} == {*LAGS}
    assert {mode.amplitude for mode in grid_of_modes(amplitudes=1, speeds=1)} == {sum(AMPLITUDES) / 2}
    assert len(grid_of_modes(amplitudes=1, speeds=5, lags=1)) == 10


def test_random_modes_are_admissible() -> None:
    rng = np.random.default_rng(0)
    modes = [Mode.draw(rng) for _ in range(200)]
    assert {mode.direction for mode in modes} == {-1, 1} and {mode.secondary for mode in modes} == {*LAGS}
    for name, (low, high) in {"amplitude": AMPLITUDES, "hz": HZ, "phase": (0, 2 * pi)}.items():
        drawn = [getattr(mode, name) for mode in modes]
        assert low <= min(drawn) < low + 0.1 * (high - low) and high - 0.1 * (high - low) < max(drawn) <= high
    assert Mode.draw(rng, amplitudes=(2.0, 2.0), hz=(3.0, 3.0)).amplitude == 2.0
