"""Paired bootstrap figures against cases with a known answer."""

import numpy as np

from stickers.evaluation.comparisons import figures, paired
from stickers.metrics.truth_error import Reading


def _readings(ratios, rng, right=0.5):
    still = rng.uniform(0.01, 0.02, len(ratios))
    return [Reading(r * s, s, "wave", bool(rng.random() < right)) for r, s in zip(ratios, still, strict=True)]


def test_still_is_exactly_one_and_intervals_cover_the_figure():
    rng = np.random.default_rng(0)
    groups = [str(i) for i in range(40)]
    assert figures("still", _readings(np.ones(40), rng), groups).error == 1
    found = figures("student", _readings(rng.uniform(0.2, 0.8, 40), rng), groups)
    assert found.error_low < found.error < found.error_high and 0.4 < found.error < 0.6
    assert found.right_low <= found.right <= found.right_high and found.count == 40


def test_a_real_gap_is_significant_and_none_is_not():
    rng = np.random.default_rng(1)
    groups = [str(i) for i in range(40)]
    base = rng.uniform(0.6, 1.4, 40)
    still = rng.uniform(0.01, 0.02, 40)

    def system(ratio):
        return [Reading(float(r * s), float(s), "wave", True) for r, s in zip(ratio, still, strict=True)]

    readings = {"a": system(base - 0.1), "b": system(base), "c": system(rng.permutation(base))}
    better = paired(readings, "a", "b", groups)
    assert better.significant and -0.12 < better.difference < -0.08
    assert not paired(readings, "c", "b", groups).significant


def test_seeds_of_one_sticker_are_drawn_together():
    """Copies of a sticker add no certainty: the interval is as wide as without them."""
    rng = np.random.default_rng(2)
    readings = _readings(rng.uniform(0.2, 1.8, 12), rng)
    once = figures("a", readings, [str(i) for i in range(12)])
    often = figures("a", readings * 10, [str(i % 12) for i in range(120)])
    assert abs((often.error_high - often.error_low) - (once.error_high - once.error_low)) < 0.05
