"""Splits a budget of GPU-seconds over cells of teacher and bucket, by the clips that people keep per second spent.

This is Thompson sampling (Thompson 1933; Russo et al. 2018, "A Tutorial on Thompson Sampling", section 3): a cell is
drawn with the probability that it keeps the most clips per second. Votes come long after the clips, so the whole budget
is allocated at once. A floor of it is spread evenly, because a cell without new clips could never show that it has
improved.
"""

from collections.abc import Sequence
from math import inf

import numpy as np

from stickers.candidates.prices import Cell, total
from stickers.errors import UserError

#: judged clips that a cell's prior weighs as much as; its mean is the keep rate of all cells together
PRIOR_STRENGTH = 2.0
#: most candidates of one budget
MOST = 10_000_000
#: share of a budget that is spread evenly
FLOOR = 0.1


def posteriors(cells: Sequence[Cell]) -> tuple[np.ndarray, np.ndarray]:
    """The two parameters of each cell's Beta posterior of its keep rate."""
    overall = total(cells)
    mean = (overall.kept + 0.5) / (overall.judged + 1.0)
    kept = np.array([cell.kept for cell in cells], float)
    judged = np.array([cell.judged for cell in cells], float)
    return PRIOR_STRENGTH * mean + kept, PRIOR_STRENGTH * (1 - mean) + judged - kept


def allocate(cells: Sequence[Cell], seconds: float, *, floor: float = FLOOR, seed: int = 0) -> list[int]:
    """The number of candidates per cell; together they cost at most `seconds`.

    Args:
        cells: with at least one made candidate each, so that their prices are defined.
        seconds: the budget.
        floor: share of the budget that is spread evenly over the cells, 0 to 1.
        seed: of the random draws.

    Raises:
        UserError: there are no cells, a cell has no made candidate, or budget or floor is out of range.
    """
    if not 0 <= floor <= 1:
        raise UserError(f"the floor is a share of the budget, 0 to 1, got {floor}")
    if not 0 < seconds < inf:
        raise UserError(f"a budget is a positive number of seconds, got {seconds}")
    untried = [cell for cell in cells if not cell.made or not cell.seconds > 0]
    if not cells or untried:
        name = f"{untried[0].teacher} in {untried[0].bucket}" if untried else "any teacher"
        raise UserError(f"the cost of a candidate of {name} is unknown; make some first")
    price = np.array([cell.seconds_each for cell in cells])
    counts = (floor * seconds / len(cells) / price).astype(int)
    remaining = seconds - float(counts @ price)
    draws = np.random.default_rng(seed)
    alpha, beta = posteriors(cells)
    num_draws = int(remaining / price.min()) + 1
    if num_draws > MOST:
        raise UserError(f"{seconds:.0f} seconds are more than {MOST} candidates; give a smaller budget")
    best = (draws.beta(alpha, beta, size=(num_draws, len(cells))) / price).argmax(axis=1)
    affordable = np.cumsum(price[best]) <= remaining
    counts += np.bincount(best[affordable], minlength=len(cells))
    return [int(count) for count in counts]
