"""Systems compared on the same stickers: relative error, share of right motions and paired bootstrap intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stickers.metrics.truth_error import Reading

RESAMPLES = 4_000


@dataclass(frozen=True)
class Figures:
    """One system's figures; intervals are 95 % bootstrap over stickers.

    `error` is the summed distance over the still's summed distance: about 0 for truth, 1 for the frozen still.
    """

    system: str
    error: float
    error_low: float
    error_high: float
    right: float
    right_low: float
    right_high: float
    count: int


@dataclass(frozen=True)
class Difference:
    """Error of `system` minus error of `baseline` on the same stickers; significant when the interval excludes 0."""

    system: str
    baseline: str
    difference: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        return self.low > 0 or self.high < 0


def resamples(groups: Sequence[str], seed: int) -> np.ndarray:
    """How often each reading is drawn in each resample `[R, N]`: whole groups are drawn, not single readings."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    return drawn[:, index]


def _errors(readings: Sequence[Reading], weights: np.ndarray) -> np.ndarray:
    distance = np.array([r.distance for r in readings])
    still = np.array([r.still_distance for r in readings])
    return (weights @ distance) / (weights @ still)


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled values."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def figures(system: str, readings: Sequence[Reading], groups: Sequence[str], seed: int = 0) -> Figures:
    """Error and share of right motions of one system; `groups[i]` names what reading i belongs to."""
    weights, once = resamples(groups, seed), np.ones((1, len(readings)))
    right = np.array([r.right for r in readings], dtype=float)
    error_low, error_high = interval(_errors(readings, weights))
    right_low, right_high = interval((weights @ right) / weights.sum(axis=1))
    return Figures(
        system=system,
        error=float(_errors(readings, once)[0]),
        error_low=error_low,
        error_high=error_high,
        right=float(right.mean()),
        right_low=right_low,
        right_high=right_high,
        count=len(readings),
    )


def paired(
    readings: Mapping[str, Sequence[Reading]],
    system: str,
    baseline: str,
    groups: Sequence[str],
    seed: int = 0,
) -> Difference:
    """The paired comparison: both systems are resampled together."""
    weights, once = resamples(groups, seed), np.ones((1, len(groups)))
    gap = _errors(readings[system], weights) - _errors(readings[baseline], weights)
    low, high = interval(gap)
    here = _errors(readings[system], once) - _errors(readings[baseline], once)
    return Difference(system=system, baseline=baseline, difference=float(here[0]), low=low, high=high)
