"""The page on which a person sets the edges of motion buckets "via manual inspection" (paper section 3.1.1).

The page is self-contained: looping examples sorted by score, movable edges, and the resulting line for a recipe.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from stickers.data.latents import LatentSet
from stickers.data.motion_buckets import MotionBuckets, Score
from stickers.errors import UserError
from stickers.video.codec import encode_animation

TEMPLATE = Path(__file__).with_name("bucket_page.html.j2")
#: the rate at which examples play: the window's real speed
EXAMPLE_FPS = 8
#: digits that a page shows of scores
SCORE_DIGITS = 3


@dataclass(frozen=True)
class Window:
    """A second or two of one video: the indices of its frames, and its motion per second."""

    video: int
    indices: np.ndarray
    score: float


def sample_windows(
    latents: LatentSet, score: Score, *, count: int, num_frames: int, slowest_fps: int, seed: int
) -> list[Window]:
    """Random windows at the slowest rate, in the order of their scores.

    Videos without the score, or with too few frames for more than one rate, are skipped.

    Raises:
        UserError: no video remains.
    """
    rng = np.random.default_rng(seed)
    usable = [index for index in range(len(latents)) if int(latents.length[index]) > num_frames]
    windows = []
    for _ in range(count if usable else 0):
        video = usable[int(rng.integers(len(usable)))]
        taken = latents.indices(
            video, fps=slowest_fps, num_frames=num_frames, start_fraction=float(rng.random())
        )
        speed = latents.speed(video, int(taken[0]), int(taken[-1]), score)
        if np.isfinite(speed):
            windows.append(Window(video, np.arange(taken[0], taken[-1] + 1), speed))
    if not windows:
        raise UserError(
            f"no video has a {score} score and more than {num_frames} frames; nothing can be bucketed"
        )
    return sorted(windows, key=lambda window: window.score)


def suggest_edges(windows: Sequence[Window], buckets: int) -> tuple[float, ...]:
    """Edges that put equally many windows into each bucket, as a first suggestion."""
    shares = np.linspace(0, 1, buckets + 1)[1:-1]
    return tuple(round(float(edge), 2) for edge in np.quantile([window.score for window in windows], shares))


def write_page(
    windows: Sequence[Window], clips: Sequence[np.ndarray], buckets: MotionBuckets, *, collection: str
) -> str:
    """The page as HTML; `clips` holds the frames of each window, uint8 RGBA `[T, H, W, 4]`, at `EXAMPLE_FPS`."""
    examples = [
        {
            "score": round(window.score, SCORE_DIGITS),
            "clip": b64encode(encode_animation(clip, EXAMPLE_FPS, "image/webp")).decode(),
        }
        for window, clip in zip(windows, clips, strict=True)
    ]
    environment = Environment(undefined=StrictUndefined, autoescape=True)
    return environment.from_string(TEMPLATE.read_text()).render(
        collection=collection,
        examples=examples,
        score=buckets.score,
        edges=buckets.edges,
        rates=buckets.rates,
    )
