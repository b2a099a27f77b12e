"""Finds obvious faults in a clip's pixels: frozen, flickering, clipped or empty.

Teachers make far more clips than people can look at, and some faults need no judgement. The checks annotate and order
clips; they drop none, because a program's mistake must not be final. Each fault is a measure and a threshold. The
measures are stored beside the flags, so a threshold can change without decoding the clips again.

All measures but the motion score use clips of at most 64 pixels a side and colours times alpha. The solid background of
an opaque clip is cut out first, so that the subject is measured.
"""

from dataclasses import dataclass
from math import pi, sin

import numpy as np

from stickers.errors import UserError
from stickers.metrics.motion_size import motion_size
from stickers.video.clips import OPAQUE, cut_out, shrink

MAX_SIDE = 64
VISIBLE_ALPHA = 16
"""Levels; fainter pixels do not count as visible."""
EXTREME = 3
"""Distance from the levels 0 and 255, within which a channel counts as saturated."""
WAVES = 4
"""Cosines along each side that a frame is reduced to. With more of them a small motion would change a frame as much as
a large one, and a smooth motion would look like a restless one."""
BLUR = 1
"""Pixels to each side over which a pixel is averaged before changes are measured."""
MIN_FRAMES = 3
"""A change and its reversal need three frames."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The value of each measure from which a clip is flagged; `Measures` explains them.

    `fastest_hz` is the highest frequency at which a subject may move to and fro; the threshold of `reversal` follows
    from it and the frame rate, within `least_reversal` and `most_reversal`. The values suit drawn clips with codec
    noise up to H.264's at CRF 28 (`experiments/studies/checks.py` measures how often they are right); other styles may
    need others.
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
        """The reversal from which a clip of this frame rate flickers: that of a swing of `fastest_hz`."""
        swing = sin(pi * min(self.fastest_hz / fps, 0.5)) ** 2
        return min(max(swing, self.least_reversal), self.most_reversal)


@dataclass(frozen=True, kw_only=True)
class Measures:
    """The measures of a clip.

    `motion_score` is the paper's (mean vmafmotion, luma levels a frame). `moving` is the share of the subject that
    changes at all; `reversal` the share of all change that the next frame takes back; `pulse` the levels by which the
    subject's mean colour goes up and down; `border` the largest share of a frame's edge that the subject covers;
    `saturated` the growth of the share of saturated pixels within the clip; `visible` the smallest share of a frame
    that is not transparent.
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
    """The verdicts. A clip that is empty throughout is also frozen."""

    frozen: bool
    flickering: bool
    clipped: bool
    empty: bool

    @property
    def raised(self) -> tuple[str, ...]:
        """The names of the raised flags."""
        return tuple(name for name in FLAGS if getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Checks:
    """A clip's measures and the flags that follow from them."""

    flags: Flags
    measures: Measures


FLAGS = ("frozen", "flickering", "clipped", "empty")
THRESHOLDS = Thresholds()


def check(clip_THWC: np.ndarray, fps: float, thresholds: Thresholds = THRESHOLDS) -> Checks:
    """Measure a clip and judge it.

    Args:
        clip_THWC: uint8 RGBA, one frame or more.
        fps: the rate at which the clip plays; the same frames may flicker at 15 fps and move at 4.

    Raises:
        UserError: the frame rate is not positive, or the clip is not uint8 RGBA.
    """
    if not fps > 0:
        raise UserError(f"the frame rate must be positive, got {fps}")
    measures = measure(clip_THWC, thresholds.noise)
    return Checks(flags=judge(measures, fps, thresholds), measures=measures)


def judge(measures: Measures, fps: float, thresholds: Thresholds = THRESHOLDS) -> Flags:
    """The flags that follow from measures. A frozen clip does not flicker: its changes are noise."""
    frozen = measures.moving < thresholds.moving
    restless = measures.reversal >= thresholds.reversal(fps) or measures.pulse >= thresholds.pulse
    return Flags(
        frozen=frozen,
        flickering=restless and not frozen,
        clipped=measures.border >= thresholds.border or measures.saturated >= thresholds.saturated,
        empty=measures.visible < thresholds.visible,
    )


def measure(clip_THWC: np.ndarray, noise: float = THRESHOLDS.noise) -> Measures:
    """All measures of a uint8 RGBA clip; `noise` is the change, in levels, that a still may show."""
    subject = cut_out(shrink(clip_THWC, MAX_SIDE))
    planes = _premultiplied(subject)
    return Measures(
        motion_score=motion_size(clip_THWC),
        moving=_moving(planes, noise),
        reversal=_reversal(_waves(planes)),
        pulse=_pulse(planes),
        border=_border(subject),
        saturated=_saturated(subject),
        visible=float(_visible(subject).mean(axis=(1, 2)).min()),
    )


def _moving(planes_THWC: np.ndarray, noise: float) -> float:
    """The share of changing pixels among those that are visible in any frame.

    A pixel, averaged over 3 x 3, changes if any channel differs by more than `noise` levels between any two frames.
    0 for a still, however noisily coded, and for an empty clip.
    """
    blurred = _blurred(planes_THWC)
    change = np.ptp(blurred, axis=0).max(axis=-1)
    subject = blurred[..., -1].max(axis=0) > VISIBLE_ALPHA
    return float((change[subject] > noise).mean()) if subject.any() else 0.0


def _reversal(states_TD: np.ndarray) -> float:
    """The share of the change from frame to frame that the next frame takes back, in [0, 1].

    The sum of squared second differences over its bound, 2 |next - this|² + 2 |this - previous|². A steady motion has
    0, two alternating frames 1, frames in random order 3/4, a single different frame within a still 3/4, and a swing of
    f cycles a second sin²(pi f / fps). 0 when nothing changes or with fewer than three frames.
    """
    back, forth = states_TD[1:-1] - states_TD[:-2], states_TD[2:] - states_TD[1:-1]
    bound = 2 * float(np.square(back).sum() + np.square(forth).sum())
    return float(np.square(forth - back).sum()) / bound if bound > 0 else 0.0


def _waves(planes_THWC: np.ndarray) -> np.ndarray:
    """The lowest cosine coefficients of each frame and channel, `[T, D]`: roughly where its colours lie."""
    num_frames, height, width, _ = planes_THWC.shape
    waves = np.einsum("thwc,kh,lw->tklc", planes_THWC, _cosines(height), _cosines(width), optimize=True)
    return waves.reshape(num_frames, -1)


def _cosines(length: int) -> np.ndarray:
    """The cosines `[WAVES, length]`, divided by the length so that a product with them averages."""
    angles = np.outer(np.arange(WAVES), np.arange(length) + 0.5) * pi / length
    return np.cos(angles).astype(np.float32) / length


def _pulse(planes_THWC: np.ndarray) -> float:
    """The levels by which the subject's mean colour jumps and comes back, averaged over frames, in the worst channel.

    This is half the mean absolute second difference: for two alternating frames, the step between them. Motion hardly
    changes the mean colour; a light that goes on and off does. 0 with fewer than three frames.
    """
    if len(planes_THWC) < MIN_FRAMES:
        return 0.0
    sums = planes_THWC.sum(axis=(1, 2), dtype=np.float64)
    colours = OPAQUE * sums[:, :-1] / np.maximum(sums[:, -1:], 1)
    return float(np.abs(np.diff(colours, n=2, axis=0)).mean(axis=0).max() / 2)


def _border(subject_THWC: np.ndarray) -> float:
    """The share of the outermost pixels that the subject covers, in the worst frame: it is cut off there.

    0 for a clip without transparency, which has no separate subject.
    """
    visible = _visible(subject_THWC)
    if visible.all():
        return 0.0
    edge = np.concatenate([visible[:, 0], visible[:, -1], visible[:, 1:-1, 0], visible[:, 1:-1, -1]], axis=1)
    return float(edge.mean(axis=1).max())


def _saturated(subject_THWC: np.ndarray) -> float:
    """The largest difference between two frames in the share of visible pixels with all channels at 0 or 255.

    Drawings are full of pure black and white, so only a growing share shows that colours burn out. A clip that is
    burnt out in all frames is not noticed.
    """
    visible = _visible(subject_THWC)
    colours = subject_THWC[..., :-1]
    extreme = ((colours < EXTREME) | (colours > OPAQUE - EXTREME)).all(axis=-1) & visible
    areas = visible.sum(axis=(1, 2))
    shares = extreme.sum(axis=(1, 2))[areas > 0] / areas[areas > 0]
    return float(np.ptp(shares)) if len(shares) else 0.0


def _visible(frames_THWC: np.ndarray) -> np.ndarray:
    """Pixels that are not nearly transparent, bool `[T, H, W]`."""
    visible: np.ndarray = frames_THWC[..., -1] > VISIBLE_ALPHA
    return visible


def _premultiplied(frames_THWC: np.ndarray) -> np.ndarray:
    """Float32, 0-255, colours times alpha."""
    planes = frames_THWC.astype(np.float32)
    planes[..., :-1] *= planes[..., -1:] / OPAQUE
    return planes


def _blurred(planes_THWC: np.ndarray) -> np.ndarray:
    """The mean of each pixel and its neighbours; the edge is repeated."""
    width = 2 * BLUR + 1
    padded = np.pad(planes_THWC, ((0, 0), (BLUR, BLUR), (BLUR, BLUR), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (width, width), axis=(1, 2))
    return windows.mean(axis=(-2, -1))
