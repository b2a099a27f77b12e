"""Budgets: never exceeded, moved to what is kept for its price, with a floor for the rest."""

import numpy as np
import pytest

from stickers.candidates.budget import allocate
from stickers.candidates.prices import Cell


def cell(teacher: str, kept: int, judged: int = 100, seconds: float = 200.0, num_made: int = 100) -> Cell:
    return Cell(
        teacher=teacher, bucket="action", made=num_made, failed=0, seconds=seconds, judged=judged, kept=kept
    )


CELLS = [cell("good", 30), cell("poor", 3), cell("dear", 30, seconds=2000.0), cell("new", 0, judged=0)]
PRICES = np.array([cell.seconds_each for cell in CELLS])


@pytest.mark.parametrize("floor", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("seconds", [1.0, 777.0, 50_000.0])
def test_no_second_more_than_the_budget_and_none_wasted(floor: float, seconds: float) -> None:
    counts = allocate(CELLS, seconds, floor=floor, seed=3)
    cost = float(np.array(counts) @ PRICES)
    assert cost <= seconds and seconds - cost <= len(CELLS) * PRICES.max()
    assert counts == allocate(CELLS, seconds, floor=floor, seed=3), "a seed decides"


def test_it_goes_to_what_is_kept_for_its_price() -> None:
    good, poor, dear, new = allocate(CELLS, 20_000.0, floor=0.0)
    assert good > 5 * max(poor, dear, 1), "as often kept as the dear one, at a tenth of the price"
    assert new > poor, "what nobody has judged is tried"


def test_the_floor_reaches_every_cell() -> None:
    counts = np.array(allocate(CELLS, 20_000.0, floor=0.4))
    assert (counts * PRICES >= 0.4 * 20_000 / len(CELLS) - PRICES).all()
    even = np.array(allocate(CELLS, 20_000.0, floor=1.0)) * PRICES
    assert np.ptp(even) <= PRICES.max()


def test_what_cannot_be_laid_out_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="floor is a share"):
        allocate(CELLS, 10.0, floor=1.5)
    with pytest.raises(ValueError, match="positive number of seconds"):
        allocate(CELLS, 0.0)
    with pytest.raises(ValueError, match="the cost of a candidate of late in action is unknown"):
        allocate([*CELLS, cell("late", 0, judged=0, seconds=0.0, num_made=0)], 10.0)
