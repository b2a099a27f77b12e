"""Motion bucketing (paper section 3.1.1): the more a part of a video moves, the faster it is sampled.

Sampled clips then move about equally from frame to frame, whether a video was sped up or slowed down, and in its quiet
and its wild parts. A person sets the edges by looking at examples (`experiments/buckets.py` makes the page).
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from stickers.errors import UserError

Score = Literal["vmaf", "vectors"]


@dataclass(frozen=True, kw_only=True)
class MotionBuckets:
    """A table from motion score to sampling rate.

    `score` is vmafmotion (luma steps, 0-255) or the mean norm of H.264 motion vectors (pixels), *per second*: summed
    over the frames of a window and divided by its seconds, so that the file's frame rate does not matter. Windows
    with scores below `edges[0]` are sampled at `rates[0]` fps, those from there to `edges[1]` at `rates[1]`, and so on.
    """

    score: Score = "vmaf"
    edges: tuple[float, ...]
    rates: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.score not in ("vmaf", "vectors"):
            raise UserError(f"motion buckets have no score {self.score!r}; accepted: vmaf, vectors")
        if len(self.rates) != len(self.edges) + 1 or not self.edges:
            raise UserError(
                f"motion buckets need one rate more than edges, got {len(self.rates)} for {len(self.edges)} edges"
            )
        if any(low >= high for low, high in pairwise(self.edges)) or self.edges[0] <= 0:
            raise UserError(f"edges of motion buckets must be positive and rise, got {self.edges}")
        if min(self.rates) < 1:
            raise UserError(f"rates of motion buckets must be at least 1 fps, got {self.rates}")

    def rate_of(self, score: float) -> int:
        """The sampling rate, in fps, of a window with this score per second."""
        return self.rates[bisect_right(self.edges, score)]
