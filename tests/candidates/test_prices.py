"""What kept clips cost: everything that was paid for counts once, and rates come with their intervals."""

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from stickers.candidates.plan import Plan, regeneration
from stickers.candidates.prices import Cell, spending, spent, together, total, unit_of
from tests.support.archives import PROMPTS, STICKERS, TEACHERS, write_finished
from tests.support.candidates import make_candidate


def cell(teacher: str, kept: int, judged: int = 100, seconds: float = 200.0, num_made: int = 100) -> Cell:
    return Cell(
        teacher=teacher, bucket="action", made=num_made, failed=0, seconds=seconds, judged=judged, kept=kept
    )


def test_the_price_of_a_kept_clip() -> None:
    good = cell("good", 20)
    assert good.seconds_each == 2.0 and good.keep_rate == 0.2 and good.seconds_per_kept == pytest.approx(10.0)
    # Wilson's interval of 20 in 100 by hand: (0.2 + z²/200 ± z sqrt(0.2 · 0.8 / 100 + z² / 40000)) / (1 + z²/100)
    low, high = good.keep_interval
    assert (low, high) == (pytest.approx(0.1334, abs=1e-3), pytest.approx(0.2888, abs=1e-3))
    assert good.seconds_per_kept_interval == (pytest.approx(2 / high), pytest.approx(2 / low))
    assert cell("none", 0).seconds_per_kept == inf and cell("new", 0, judged=0).seconds_per_kept is None
    failing = Cell(teacher="f", bucket="action", made=50, failed=50, seconds=200.0)
    assert failing.seconds_each == 4.0, "what failed is part of the price"
    assert together([good, good, failing])[1] == total([good, good], "good", "action")


def test_prices_that_nobody_knows_are_unbounded() -> None:
    new, never = cell("new", 0, judged=0), cell("never", 0, num_made=0)
    assert new.keep_rate is None and new.keep_interval == (0.0, 1.0)
    assert new.seconds_per_kept_interval == (2.0, inf)
    assert never.seconds_each == inf and cell("none", 0).seconds_per_kept_interval[1] == inf


def test_cells_add_up() -> None:
    cells = [cell("a", 1), cell("b", 2, judged=50, seconds=10.0, num_made=7), cell("a", 3)]
    assert total(cells) == Cell(
        teacher="all", bucket="", made=207, failed=0, seconds=410.0, judged=250, kept=6
    )
    assert [row.name for row in together(cells)] == [("a", "action"), ("b", "action")]
    assert together(cells)[0].kept == 4 and total([], "x").seconds_each == inf


def test_spending_counts_what_failed_and_what_people_judged() -> None:
    row = make_candidate(b"one", teacher="calm", seconds=1.5)
    rows = [
        row,
        replace(row, status="failed", clip=None, clip_digest=None, seconds=0.5),
        replace(row, teacher="wild", bucket="emotion", seconds=4.0),
    ]
    rates = [
        {"teacher": "calm", "bucket": "action", "made": 3, "kept": 1},
        {"teacher": "calm", "bucket": "action", "made": 2, "kept": 2},
    ]
    assert spending(rows, rates) == [
        Cell(teacher="calm", bucket="action", made=1, failed=1, seconds=2.0, judged=5, kept=3),
        Cell(teacher="wild", bucket="emotion", made=1, failed=0, seconds=4.0),
    ]


def test_what_a_plan_replaced_was_paid_for_too(finished: tuple[Plan, str]) -> None:
    plan, uri = finished
    assert len(list(spent(uri))) == len(plan.rows)
    chosen = plan.of("wild")[:3]
    reseeded = regeneration(plan.plan_id, chosen, PROMPTS, STICKERS, TEACHERS, reseed=1)
    new = write_finished(Path(uri).parents[1], reseeded)
    paid = list(spent(new))
    assert len(paid) == len(plan.rows) + 3 and {row.candidate_id for row in chosen} <= {
        row.candidate_id for row in paid
    }
    assert total(spending(paid)).seconds == pytest.approx(0.5 * len(paid))

    repeated = regeneration(plan.plan_id, chosen, PROMPTS, STICKERS, TEACHERS)
    twice = list(spent(write_finished(Path(uri).parents[1], repeated)))
    assert len(twice) == len(plan.rows) + 3, "the same candidates, made again, were paid for twice"
    assert len({row.candidate_id for row in twice}) == len(plan.rows)


def test_seconds_are_of_the_devices_that_made_the_clips(finished: tuple[Plan, str]) -> None:
    assert unit_of(finished[1]) == "CPU"
