"""What is plainly wrong with a clip, read off its pixels: frozen, flickering, clipped or empty.

Teachers make far more clips than people can look at, and some faults need no taste. The checks annotate and order; they
drop nothing, because a program that is wrong about a clip must not be the last to see it. Each fault is a measure and
a threshold, and the measures are stored beside the flags, so a threshold can be moved without decoding anything again.

All measures but the motion score are taken on clips of at most 64 pixels a side, of colours times alpha; an opaque clip
with a solid background is cut out first, because what it shows is the subject.
"""

from dataclasses import dataclass
from math import pi, sin

import numpy as np

from stickers.errors import UserError
from stickers.metrics.motion_size import motion_size
from stickers.video.clips import cut_out, shrink

MAX_SIDE = 64
VISIBLE_ALPHA = 16
"""Levels; fainter pixels do not count as visible."""
EXTREME = 3
"""Levels from 0 and 255 that count as saturated."""
WAVES = 4
"""Cosines along each side that a frame is reduced to. Sharper pictures of it would change as much by a small motion as
by a large one, and a smooth motion would look like a restless one."""
BLUR = 1
"""Pixels to each side over which a pixel is averaged before it is asked whether it changes."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """From which measure on a clip is flagged; each is explained where it is measured.

    `fastest_hz` is how often a second a subject may go to and fro, from which `reversal` follows by the frame rate,
    within `least_reversal` and `most_reversal`. The values are for the toy world's clean and faulty clips and for
    codec noise up to H.264's at CRF 28 (`experiments/studies/checks.py` measures both rates); other styles may
    want others.
    """

    moving: float = 0.02
    noise: float = 12.0
    fastest_hz: float = 2.1
    least_reversal: float = 0.45
    most_reversal: float = 0.92
    pulse: float = 10.0
    border: float = 0.15
    saturated: float = 0.15
    visible: float = 0.005

    def reversal(self, fps: float) -> float:
        """From which reversal on a clip of that frame rate flickers: what a swing of `fastest_hz` has."""
        swing = sin(pi * min(self.fastest_hz / fps, 0.5)) ** 2
        return min(max(swing, self.least_reversal), self.most_reversal)


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What the checks read off a clip.

    `motion_score` is the paper's (mean vmafmotion, luma levels a frame). `moving` is the share of the subject that
    changes at all, `reversal` the share of all change that the next frame takes back, `pulse` by how many levels the
    subject's mean colour goes up and down, `border` the largest share of a frame's edge that the subject covers,
    `saturated` by how much the share of saturated pixels grows within the clip, `visible` the least share of a frame
    that shows anything.
    """

    motion_score: float
    moving: float
    reversal: float
    pulse: float
    border: float
    saturated: float
    visible: float


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The verdicts; a clip that is empty throughout is also frozen."""

    frozen: bool
    flickering: bool
    clipped: bool
    empty: bool

    @property
    def raised(self) -> tuple[str, ...]:
        """The names of those that are raised."""
        return tuple(name for name in FLAGS if getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Checks:
    flags: Flags
    measures: Measures


FLAGS = ("frozen", "flickering", "clipped", "empty")
THRESHOLDS = Thresholds()


def check(clip_THWC: np.ndarray, fps: float, thresholds: Thresholds = THRESHOLDS) -> Checks:
    """Measure a clip and judge it.

    Args:
        clip_THWC: uint8 RGBA, one frame or more.
        fps: at which it plays; the same frames flicker at 15 and move at 4.

    Raises:
        UserError: the frame rate is not positive, or the clip is no uint8 RGBA.
    """
    if not fps > 0:
        raise UserError(f"the frame rate must be positive, got {fps}")
    measures = measure(clip_THWC, thresholds.noise)
    return Checks(flags=judge(measures, fps, thresholds), measures=measures)


def judge(measures: Measures, fps: float, thresholds: Thresholds = THRESHOLDS) -> Flags:
    """The flags that measures raise. What is frozen does not flicker: its changes are noise."""
    frozen = measures.moving < thresholds.moving
    restless = measures.reversal >= thresholds.reversal(fps) or measures.pulse >= thresholds.pulse
    return Flags(
        frozen=frozen,
        flickering=restless and not frozen,
        clipped=measures.border >= thresholds.border or measures.saturated >= thresholds.saturated,
        empty=measures.visible < thresholds.visible,
    )


def measure(clip_THWC: np.ndarray, noise: float = THRESHOLDS.noise) -> Measures:
    """All measures of a uint8 RGBA clip; `noise` is how many levels a still may waver."""
    seen = cut_out(shrink(clip_THWC, MAX_SIDE))
    planes = _premultiplied(seen)
    return Measures(
        motion_score=motion_size(clip_THWC),
        moving=_moving(planes, noise),
        reversal=_reversal(_waves(planes)),
        pulse=_pulse(planes),
        border=_border(seen),
        saturated=_saturated(seen),
        visible=float(_visible(seen).mean(axis=(1, 2)).min()),
    )


def _moving(planes_THWC: np.ndarray, noise: float) -> float:
    """Of the pixels that are visible in any frame, the share that changes by more than `noise` levels in any channel
    between any two frames, averaged over 3 x 3 pixels. 0 for a still, however noisily coded, and for an empty clip."""
    blurred = _blurred(planes_THWC)
    change = np.ptp(blurred, axis=0).max(axis=-1)
    subject = blurred[..., 3].max(axis=0) > VISIBLE_ALPHA
    return float((change[subject] > noise).mean()) if subject.any() else 0.0


def _reversal(states_TD: np.ndarray) -> float:
    """The share of the change from frame to frame that the next frame takes back, in [0, 1].

    The sum of squared second differences over its bound, 2 |next - this|² + 2 |this - previous|². A steady motion has
    0, two frames that take turns 1, frames in no order 3/4, a single frame that jumps out of a still 3/4, and a swing
    of f cycles a second sin²(pi f / fps). 0 when nothing changes or there are fewer than three frames.
    """
    back, forth = states_TD[1:-1] - states_TD[:-2], states_TD[2:] - states_TD[1:-1]
    bound = 2 * float(np.square(back).sum() + np.square(forth).sum())
    return float(np.square(forth - back).sum()) / bound if bound > 0 else 0.0


def _waves(planes_THWC: np.ndarray) -> np.ndarray:
    """The lowest cosine coefficients of each frame and channel, `[T, D]`: where its colours lie, in the rough."""
    num_frames, height, width, _ = planes_THWC.shape
    waves = np.einsum("thwc,kh,lw->tklc", planes_THWC, _cosines(height), _cosines(width), optimize=True)
    return waves.reshape(num_frames, -1)


def _cosines(length: int) -> np.ndarray:
    """`[WAVES, length]`, averaging."""
    angles = np.outer(np.arange(WAVES), np.arange(length) + 0.5) * pi / length
    return np.cos(angles).astype(np.float32) / length


def _pulse(planes_THWC: np.ndarray) -> float:
    """By how many levels the subject's mean colour jumps and comes back, on average over frames and at its worst
    channel: half the mean absolute second difference, which is the step between two frames that take turns. Motion
    hardly changes the mean colour; a light that goes on and off does. 0 with fewer than three frames."""
    if len(planes_THWC) < 3:
        return 0.0
    sums = planes_THWC.sum(axis=(1, 2), dtype=np.float64)
    colours = 255 * sums[:, :3] / np.maximum(sums[:, 3:], 1)
    return float(np.abs(np.diff(colours, n=2, axis=0)).mean(axis=0).max() / 2)


def _border(seen_THWC: np.ndarray) -> float:
    """The share of the outermost pixels that the subject covers, in the worst frame: something is cut off there. 0 for
    a clip without any transparency, which has no subject that could cross."""
    visible = _visible(seen_THWC)
    if visible.all():
        return 0.0
    edge = np.concatenate([visible[:, 0], visible[:, -1], visible[:, 1:-1, 0], visible[:, 1:-1, -1]], axis=1)
    return float(edge.mean(axis=1).max())


def _saturated(seen_THWC: np.ndarray) -> float:
    """By how much the share of visible pixels whose every channel is at 0 or 255 differs between the fullest and the
    least frame. Drawings are full of pure black and white, so it is only their growing that says that colours burn
    out; a clip that is burnt out from its first frame to its last is not found."""
    visible = _visible(seen_THWC)
    colours = seen_THWC[..., :3]
    extreme = ((colours < EXTREME) | (colours > 255 - EXTREME)).all(axis=-1) & visible
    areas = visible.sum(axis=(1, 2))
    shares = extreme.sum(axis=(1, 2))[areas > 0] / areas[areas > 0]
    return float(np.ptp(shares)) if len(shares) else 0.0


def _visible(seen_THWC: np.ndarray) -> np.ndarray:
    return seen_THWC[..., 3] > VISIBLE_ALPHA


def _premultiplied(seen_THWC: np.ndarray) -> np.ndarray:
    """Float32, 0-255, colours times alpha."""
    planes = seen_THWC.astype(np.float32)
    planes[..., :3] *= planes[..., 3:] / 255
    return planes


def _blurred(planes_THWC: np.ndarray) -> np.ndarray:
    """Each pixel the mean of itself and its neighbours; the edge is repeated."""
    width = 2 * BLUR + 1
    padded = np.pad(planes_THWC, ((0, 0), (BLUR, BLUR), (BLUR, BLUR), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), axis=(1, 2))
    return windows.mean(axis=(-2, -1))
