"""Figures of an evaluation from its readings, and what they come to in words."""

import pytest

from experiments.evaluate import compare
from recipes.toy.projects import TINY
from stickers.toy.words import PHRASES


def test_phrases_of_one_pair_are_drawn_together() -> None:
    """Two pairs in three phrases each: drawn by pair, one sample in four holds one pair alone; by prompt, one in 64."""
    rows = [
        {
            "item": phrase,
            "prompt": f"a {subject} {phrase}",
            "system": system,
            "seed": 0,
            "cluster": TINY.evaluation.truth.cluster(f"a {subject} {phrase}"),  # type: ignore[union-attr]
            "values": [("error", error if system == "student" else 1.0)],
            "weights": [("error", 1.0)],
            "nearest": motion,
        }
        for subject, motion, error in (("fox", "wave", 0.2), ("cat", "run", 0.8))
        for phrase in PHRASES[motion]
        for system in ("still", "student", "foundation student")
    ]
    figures, gaps = compare(rows, TINY)
    student = next(row for row in figures if row.system == "student")
    assert (student.low, student.value, student.high) == pytest.approx((0.2, 0.5, 0.8))
    assert [(gap.baseline, gap.low, gap.high) for gap in gaps] == [
        ("still", pytest.approx(-0.8), pytest.approx(-0.2)),
        ("foundation student", pytest.approx(-0.8), pytest.approx(-0.2)),
    ]
