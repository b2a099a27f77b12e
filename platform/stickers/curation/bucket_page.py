"""The page on which a person sets the edges of motion buckets "via manual inspection" (paper section 3.1.1).

Self-contained: looping examples sorted by their score, edges that can be moved, and the line of a recipe that results.
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
#: frames of an example, shown at this many a second: the window's own speed
EXAMPLE_FPS = 8


@dataclass(frozen=True)
class Window:
    """A second or two of one video: its frames' indices, and how much moves a second."""

    video: int
    indices: np.ndarray
    score: float


def sample_windows(
    latents: LatentSet, score: Score, *, count: int, num_frames: int, slowest_fps: int, seed: int
) -> list[Window]:
    """Random windows as the slowest rate would show them, in the order of their scores.

    Left out are videos that have no such score, or too few frames to be sampled at more than one rate.

    Raises:
        UserError: no video is left.
    """
    rng = np.random.default_rng(seed)
    usable = [index for index in range(len(latents)) if int(latents.length[index]) > num_frames]
    windows = []
    for _ in range(count if usable else 0):
        video = usable[int(rng.integers(len(usable)))]
        taken = latents.indices(
            video, fps=slowest_fps, num_frames=num_frames, start_fraction=float(rng.random())
        )
        found = latents.speed(video, int(taken[0]), int(taken[-1]), score)
        if np.isfinite(found):
            windows.append(Window(video, np.arange(taken[0], taken[-1] + 1), found))
    if not windows:
        raise UserError(
            f"no video has a {score} score and more than {num_frames} frames; nothing can be bucketed"
        )
    return sorted(windows, key=lambda each: each.score)


def suggest_edges(windows: Sequence[Window], buckets: int) -> tuple[float, ...]:
    """Edges that put equally many windows into each bucket: where a person starts from."""
    shares = np.linspace(0, 1, buckets + 1)[1:-1]
    return tuple(round(float(edge), 2) for edge in np.quantile([each.score for each in windows], shares))


def write_page(
    windows: Sequence[Window], clips: Sequence[np.ndarray], buckets: MotionBuckets, *, collection: str
) -> str:
    """The page, of windows and their frames (uint8 RGBA `[T, H, W, 4]`, at `EXAMPLE_FPS`), one a window."""
    examples = [
        {
            "score": round(window.score, 3),
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
