"""Systems compared on the same stickers: metrics with bootstrap intervals, and paired differences.

A metric's figure is a weighted mean. The error against a truth is weighted by the still's distance, which makes it the
summed distance over the still's summed distance; other metrics weigh all clips alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 4_000
#: the middle 95 %
BOUNDS = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class MeasuredClip:
    """One clip of a system: its metrics, the weights of those that are weighted, and what it is resampled with."""

    item: str
    seed: int
    cluster: str
    values: Mapping[str, float]
    weights: Mapping[str, float]

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "MeasuredClip":
        """A row of readings; Arrow gives maps as lists of pairs."""
        return cls(
            item=row["item"],
            seed=row["seed"],
            cluster=row["cluster"],
            values=dict(row["values"]),
            weights=dict(row["weights"]),
        )


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One metric of one system; `low` and `high` bound the 95 % bootstrap interval over clusters."""

    system: str
    metric: str
    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric of `system` minus that of `baseline` on the same clips; significant when the interval excludes 0."""

    system: str
    baseline: str
    metric: str
    value: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether the two systems can be told apart."""
        return self.low > 0 or self.high < 0


def resamples(groups: Sequence[str], seed: int) -> np.ndarray:
    """How often each reading is drawn in each resample `[R, N]`: whole groups are drawn, not single readings."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    return drawn[:, index]


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values."""
    low, high = np.percentile(values, BOUNDS)
    return float(low), float(high)


def figure(system: str, metric: str, clips: Sequence[MeasuredClip], seed: int = 0) -> Figure:
    """A metric of one system over its clips that have it."""
    clips = [clip for clip in clips if metric in clip.values]
    means = _means(clips, metric, resamples([clip.cluster for clip in clips], seed))
    low, high = interval(means)
    value = float(_means(clips, metric, np.ones((1, len(clips))))[0])
    return Figure(system=system, metric=metric, value=value, low=low, high=high, count=len(clips))


def difference(
    system: str,
    baseline: str,
    metric: str,
    clips: Mapping[str, Sequence[MeasuredClip]],
    seed: int = 0,
) -> Difference:
    """The paired comparison: both systems are resampled together, over the stickers and seeds that both have."""
    of_baseline = {(clip.item, clip.seed): clip for clip in clips[baseline] if metric in clip.values}
    pairs = [
        (clip, of_baseline[clip.item, clip.seed])
        for clip in clips[system]
        if metric in clip.values and (clip.item, clip.seed) in of_baseline
    ]
    ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
    weights, once = resamples([clip.cluster for clip in ours], seed), np.ones((1, len(pairs)))
    low, high = interval(_means(ours, metric, weights) - _means(theirs, metric, weights))
    value = float((_means(ours, metric, once) - _means(theirs, metric, once))[0])
    return Difference(system=system, baseline=baseline, metric=metric, value=value, low=low, high=high)


def _means(clips: Sequence[MeasuredClip], metric: str, counts: np.ndarray) -> np.ndarray:
    """The weighted mean in each resample, `[R]`."""
    values = np.array([clip.values[metric] for clip in clips])
    weights = np.array([clip.weights.get(metric, 1.0) for clip in clips])
    return np.asarray((counts @ (values * weights)) / (counts @ weights))
