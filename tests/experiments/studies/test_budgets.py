"""Budgets played back: who knows the true rates keeps most, and a policy spends what it has."""

from pathlib import Path

import numpy as np
import pytest

from experiments.studies.budgets import (
    POLICIES,
    Played,
    greedy,
    main,
    oracle,
    play,
    prices,
    show,
    thompson,
    uniform,
)
from stickers.candidates.prices import Cell
from stickers.errors import UserError
from tests.support.plans import finish_plan

#: of teachers at one price, one keeps nine of ten and one keeps one of ten
TRUTH = np.array([0.9, 0.1])
CELLS = [
    Cell(teacher=name, bucket="action", made=100, failed=0, seconds=100.0, judged=100, kept=kept)
    for name, kept in (("good", 90), ("bad", 10))
]


def test_policies_lay_out_what_there_is() -> None:
    assert prices(CELLS).tolist() == [1.0, 1.0]
    assert oracle(CELLS, TRUTH, 50.0, 0) == greedy(CELLS, TRUTH, 50.0, 0) == [50, 0]
    assert oracle(CELLS, TRUTH[::-1], 50.0, 0) == [0, 50]
    assert uniform(CELLS, TRUTH, 50.0, 0) == [25, 25]
    counts = thompson(0.2)(CELLS, TRUTH, 50.0, 0)
    assert counts[0] > counts[1] >= 4 and sum(counts) <= 50


def test_who_knows_the_truth_keeps_most() -> None:
    kept = {
        name: play(policy, CELLS, TRUTH, TRUTH, 100.0, 2, seed=1).kept for name, policy in POLICIES.items()
    }
    assert kept["oracle"] == pytest.approx(90) and kept["uniform"] == pytest.approx(50)
    assert all(kept["oracle"] >= value for value in kept.values())
    moved = play(oracle, CELLS, TRUTH, TRUTH[::-1], 100.0, 2, seed=1)
    assert moved.kept == pytest.approx(90) and moved.on_best == pytest.approx(1.0)


def test_regret_is_what_the_oracle_kept_more(capsys: pytest.CaptureFixture[str]) -> None:
    show(
        "rates",
        {"oracle": [Played(10.0, 1.0), Played(10.0, 1.0)], "half": [Played(5.0, 0.5), Played(5.0, 0.5)]},
    )
    text = capsys.readouterr().out
    assert "50.0%" in text and "0.0%" in text


def test_nothing_judged_is_one_sentence(tmp_path: Path) -> None:
    finish_plan(tmp_path, 1)
    with pytest.raises(UserError, match="nobody has judged a candidate of project 'tiny'"):
        main(str(tmp_path), "tiny")
