"""Paired bootstrap figures against cases with a known answer."""

from collections.abc import Sequence

import numpy as np
import pytest

from stickers.evaluation.comparisons import MeasuredClip, difference, figure


def clips(errors: Sequence[float], scales: Sequence[float], clusters: Sequence[str]) -> list[MeasuredClip]:
    return [
        MeasuredClip(
            item=str(number),
            seed=0,
            cluster=cluster,
            values={"error": float(error)},
            weights={"error": float(scale)},
        )
        for number, (error, scale, cluster) in enumerate(zip(errors, scales, clusters, strict=True))
    ]


def apart(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_still_is_exactly_one_and_intervals_cover_the_figure() -> None:
    rng = np.random.default_rng(0)
    scales = rng.uniform(0.01, 0.02, 40)
    assert figure("still", "error", clips(np.ones(40), scales, apart(40))).value == pytest.approx(1)
    student = figure("student", "error", clips(rng.uniform(0.2, 0.8, 40), scales, apart(40)))
    assert student.low < student.value < student.high and 0.4 < student.value < 0.6 and student.count == 40


def test_the_error_is_the_summed_distance_over_the_stills() -> None:
    both = clips([0.5, 1.0], [3.0, 1.0], apart(2))
    assert figure("student", "error", both).value == pytest.approx((0.5 * 3 + 1.0) / 4)


def test_a_real_gap_is_significant_and_none_is_not() -> None:
    rng = np.random.default_rng(1)
    base, scales = rng.uniform(0.6, 1.4, 40), rng.uniform(0.01, 0.02, 40)
    systems = {
        "a": clips(base - 0.1, scales, apart(40)),
        "b": clips(base, scales, apart(40)),
        "c": clips(rng.permutation(base), scales, apart(40)),
    }
    better = difference("a", "b", "error", systems)
    assert better.significant and -0.12 < better.value < -0.08
    assert not difference("c", "b", "error", systems).significant


def test_only_stickers_that_both_systems_have_are_paired() -> None:
    three = clips([0.2, 0.4, 0.9], [1, 1, 1], apart(3))
    gap = difference("a", "b", "error", {"a": three[:2], "b": three})
    assert gap.value == 0


def test_seeds_of_one_sticker_are_drawn_together() -> None:
    """Copies of a sticker add no certainty: the interval is as wide as without them."""
    rng = np.random.default_rng(2)
    errors, scales = rng.uniform(0.2, 1.8, 12), rng.uniform(0.01, 0.02, 12)
    once = figure("a", "error", clips(errors, scales, apart(12)))
    often = figure("a", "error", clips([*errors] * 10, [*scales] * 10, apart(12) * 10))
    assert abs((often.high - often.low) - (once.high - once.low)) < 0.05
