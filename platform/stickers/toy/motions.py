"""Twelve ways to move, each with many admissible variants.

A motion turns an angle into a `Pose`: once as living things move, once as stickers do, where the whole body joins in
so that it reads at the size of a thumb (`EXAGGERATED`). At angle zero every motion passes through the same rest pose,
so a still says nothing about what comes next, and a prompt names the motion alone: its direction, amplitude, speed and
secondary phase (`Mode`) stay free. That is what makes the toy world multimodal, as real animation is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from math import cos, pi, sin

import numpy as np

from stickers.toy.characters import Look, Pose, draw_character

#: what prompts admit: factors of a motion's size, and primary cycles a second
AMPLITUDES, HZ = (0.9, 1.3), (0.7, 1.1)
#: cycles a frame that these speeds reach when sampled at 8 or at 4 fps
SLOWEST, FASTEST = HZ[0] / 8, HZ[1] / 4
LAGS = (0.0, pi / 2)


@dataclass(frozen=True, kw_only=True)
class Mode:
    """What neither prompt nor picture fixes.

    `direction` is -1 or 1, `amplitude` a factor near 1, `hz` primary cycles a second, `phase` the primary angle at
    time zero and `secondary` the lag of the secondary motion, both in radians.
    """

    direction: int = 1
    amplitude: float = 1.0
    hz: float = 0.9
    phase: float = 0.0
    secondary: float = 0.0

    @staticmethod
    def draw(
        rng: np.random.Generator,
        *,
        amplitudes: tuple[float, float] = AMPLITUDES,
        hz: tuple[float, float] = HZ,
    ) -> "Mode":
        """A random mode, admissible unless told otherwise."""
        return Mode(
            direction=int(rng.choice((-1, 1))),
            amplitude=float(rng.uniform(*amplitudes)),
            hz=float(rng.uniform(*hz)),
            phase=float(rng.uniform(0, 2 * pi)),
            secondary=float(rng.choice(LAGS)),
        )


@dataclass(frozen=True)
class Beat:
    """One instant of a motion: `swing` crosses zero both ways, `rise` is one-sided, `lag` is the secondary motion."""

    swing: float
    rise: float
    lag: float
    side: int


def _beat(angle: float, mode: Mode) -> Beat:
    lag = sin(angle + mode.secondary) - sin(mode.secondary)
    return Beat(
        swing=mode.amplitude * mode.direction * sin(angle),
        rise=mode.amplitude * (1 - cos(angle)) / 2,
        lag=mode.amplitude * lag,
        side=mode.direction,
    )


def _wave(b: Beat) -> Pose:
    left_rise, right_rise = (2.1 * b.rise, 0.0) if b.side < 0 else (0.0, 2.1 * b.rise)
    return Pose(
        arm_left=left_rise,
        arm_right=right_rise,
        head_tilt=0.22 * b.lag,
        lean=-0.1 * b.side * b.rise,
        mouth=0.7 * b.rise,
    )


def _jump(b: Beat) -> Pose:
    return Pose(
        dy=-0.17 * b.rise,
        dx=0.07 * b.side * b.rise,
        arm_left=0.8 * b.rise,
        arm_right=0.8 * b.rise,
        stretch=0.1 * b.lag,
        tail=0.5 * b.lag,
    )


def _run(b: Beat) -> Pose:
    return Pose(
        leg_left=1.05 * b.swing,
        leg_right=-1.05 * b.swing,
        arm_left=-0.75 * b.swing,
        arm_right=0.75 * b.swing,
        lift_left=0.07 * max(0.0, b.swing),
        lift_right=0.07 * max(0.0, -b.swing),
        dy=-0.04 * abs(b.swing),
        head_tilt=0.12 * b.lag,
    )


def _kick(b: Beat) -> Pose:
    left_rise, right_rise = (1.5 * b.rise, 0.0) if b.side < 0 else (0.0, 1.5 * b.rise)
    return Pose(
        leg_left=left_rise,
        leg_right=right_rise,
        lean=-0.28 * b.side * b.rise,
        arm_left=0.3 * b.lag,
        arm_right=-0.3 * b.lag,
    )


def _dance(b: Beat) -> Pose:
    return Pose(
        dx=0.11 * b.swing,
        lean=-0.2 * b.swing,
        arm_left=1.2 * b.swing,
        arm_right=-1.2 * b.swing,
        head_tilt=0.3 * b.lag,
        tail=0.5 * b.lag,
    )


def _laugh(b: Beat) -> Pose:
    return Pose(
        mouth=1.1 * b.rise,
        head_tilt=0.42 * b.swing,
        lean=0.14 * b.swing,
        head_drop=-0.045 * b.rise,
        stretch=0.08 * b.lag,
        eyes=0.8 * b.rise,
    )


def _cry(b: Beat) -> Pose:
    return Pose(
        head_drop=0.11 * b.rise,
        tears=1.0 * b.rise,
        mood=-0.5 * b.rise,
        arm_left=-0.55 * b.rise,
        arm_right=-0.55 * b.rise,
        eyes=0.7 * b.rise,
        lean=0.12 * b.swing,
        stretch=-0.08 * b.rise,
        tail=0.4 * b.lag,
    )


def _cheer(b: Beat) -> Pose:
    return Pose(
        arm_left=1.9 * b.rise,
        arm_right=1.9 * b.rise,
        mouth=0.9 * b.rise,
        stretch=0.06 * b.lag,
        lean=0.1 * b.swing,
        dy=-0.03 * b.rise,
    )


def _stomp(b: Beat) -> Pose:
    left_rise, right_rise = (b.rise, 0.0) if b.side < 0 else (0.0, b.rise)
    return Pose(
        lift_left=0.17 * left_rise,
        lift_right=0.17 * right_rise,
        lean=0.24 * b.side * b.rise,
        mood=0.7 * b.rise,
        head_drop=0.03 * b.rise,
        head_tilt=0.12 * b.lag,
    )


def _sway(b: Beat) -> Pose:
    return Pose(lean=0.38 * b.swing, tail=0.4 * b.lag, arm_left=0.15 * b.lag, arm_right=0.15 * b.lag)


def _float(b: Beat) -> Pose:
    return Pose(
        dy=0.1 * b.swing, dx=0.02 * b.lag, arm_left=0.3 * b.lag, arm_right=0.3 * b.lag, leg_left=0.2 * b.lag
    )


def _swell(b: Beat) -> Pose:
    return Pose(stretch=0.2 * b.swing, arm_left=0.25 * b.lag, arm_right=0.25 * b.lag)


NATURAL: dict[str, Callable[[Beat], Pose]] = {
    "wave": _wave,
    "jump": _jump,
    "run": _run,
    "kick": _kick,
    "dance": _dance,
    "laugh": _laugh,
    "cry": _cry,
    "cheer": _cheer,
    "stomp": _stomp,
    "sway": _sway,
    "float": _float,
    "swell": _swell,
}


def _big_wave(b: Beat) -> Pose:
    return replace(_wave(b), lean=-0.28 * b.side * b.rise)


def _big_stomp(b: Beat) -> Pose:
    arms = 0.9 * b.rise
    return replace(_stomp(b), lean=0.32 * b.side * b.rise, arm_left=arms, arm_right=arms)


def _big_swell(b: Beat) -> Pose:
    arms = 0.35 * b.lag + 0.25 * b.swing
    return replace(_swell(b), stretch=0.22 * b.swing, arm_left=arms, arm_right=arms)


#: what a limb alone would say too quietly: artists let the body say it too
EXAGGERATED = {"wave": _big_wave, "stomp": _big_stomp, "swell": _big_swell}
#: how stickers move
MOTIONS: dict[str, Callable[[Beat], Pose]] = NATURAL | EXAGGERATED


def natural_pose_at(motion: str, mode: Mode, seconds: float) -> Pose:
    """The pose of `motion` at one time, as the general domain's jointed things strike it."""
    return NATURAL[motion](_beat(2 * pi * mode.hz * seconds + mode.phase, mode))


def pose_at(motion: str, mode: Mode, seconds: float) -> Pose:
    """The pose of `motion` at one time, as stickers strike it."""
    return MOTIONS[motion](_beat(2 * pi * mode.hz * seconds + mode.phase, mode))


def render_motion(look: Look, motion: str, mode: Mode, seconds: np.ndarray, size: int) -> np.ndarray:
    """Draw `motion` at the given times (seconds, `[T]`). Returns uint8 RGBA `[T, size, size, 4]`."""
    return np.stack([draw_character(look, pose_at(motion, mode, float(t)), size) for t in seconds])


def render_still(look: Look, size: int) -> np.ndarray:
    """The static sticker: the rest pose, uint8 RGBA `[size, size, 4]`."""
    return draw_character(look, Pose(), size)


def grid_of_modes(*, amplitudes: int, speeds: int, lags: int = 2) -> list[Mode]:
    """Modes spread evenly over what is admissible; `hz` is in cycles a *frame* here (times are frame indices)."""
    grid = product(
        (-1, 1),
        np.linspace(*AMPLITUDES, amplitudes) if amplitudes > 1 else (sum(AMPLITUDES) / 2,),
        np.geomspace(SLOWEST, FASTEST, speeds),
        LAGS[:lags],
    )
    return [Mode(direction=d, amplitude=float(a), hz=float(h), secondary=s) for d, a, h, s in grid]
