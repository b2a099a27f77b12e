"""Metrics of a clip that need no truth, and the form in which a project adds its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stickers.metrics.consistency import consistency
from stickers.metrics.motion_size import motion_size
from stickers.video.clips import on_white

Better = Literal["less", "more", "neither"]
#: levels of a colour channel
LEVELS = 255.0


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that a clip has.

    `measure` takes the clip, uint8 RGBA `[T, S, S, 4]`, and the sticker it animates, uint8 RGBA `[S, S, 4]`. `better`
    says which way is good; `explanation` is one sentence for the report.
    """

    name: str
    better: Better
    explanation: str
    measure: Callable[[np.ndarray, np.ndarray], float]


def _motion(clip_THWC: np.ndarray, _sticker_HWC: np.ndarray) -> float:
    return motion_size(clip_THWC)


def _consistency(clip_THWC: np.ndarray, _sticker_HWC: np.ndarray) -> float:
    return consistency(clip_THWC)


def _likeness(clip_THWC: np.ndarray, sticker_HWC: np.ndarray) -> float:
    """The frame nearest to the sticker tells how well its look survives, however the clip moves."""
    picture = on_white(sticker_HWC[None])[0, ..., :3].astype(np.float32)
    frames = on_white(clip_THWC)[..., :3].astype(np.float32)
    return 1 - float(np.abs(frames - picture).mean(axis=(1, 2, 3)).min()) / LEVELS


METRICS = (
    Metric(
        name="motion_size",
        better="neither",
        explanation="how much moves from frame to frame, in luma levels; a still has 0",
        measure=_motion,
    ),
    Metric(
        name="consistency",
        better="more",
        explanation="how much of the subject merely moves instead of changing; 1 is all of it",
        measure=_consistency,
    ),
    Metric(
        name="likeness",
        better="more",
        explanation="how near the frame most like the sticker comes to it over white; 1 is equal",
        measure=_likeness,
    ),
)
