"""Where the next GPU-seconds go: to the cells of teacher and bucket whose clips people keep, for their price.

Thompson sampling (Thompson 1933; Russo et al. 2018, "A Tutorial on Thompson Sampling", section 3): a cell is drawn as
often as it is likely to be the best one, by kept clips a second. Votes come long after the clips, so a whole budget is
laid out at once; a floor of it is spread evenly, since a cell that nobody looks at can never be found to have
become good.
"""

from collections.abc import Sequence
from math import inf

import numpy as np

from stickers.candidates.prices import Cell, total
from stickers.errors import UserError

#: judged clips that the prior of a cell counts for; its mean is the keep rate of all cells together
PRIOR_STRENGTH = 2.0
#: candidates that one budget pays for at most
MOST = 10_000_000
#: of a budget, what is spread evenly
FLOOR = 0.1


def posteriors(cells: Sequence[Cell]) -> tuple[np.ndarray, np.ndarray]:
    """The two parameters of each cell's Beta posterior of its keep rate."""
    whole = total(cells)
    mean = (whole.kept + 0.5) / (whole.judged + 1.0)
    kept = np.array([each.kept for each in cells], float)
    judged = np.array([each.judged for each in cells], float)
    return PRIOR_STRENGTH * mean + kept, PRIOR_STRENGTH * (1 - mean) + judged - kept


def allocate(cells: Sequence[Cell], seconds: float, *, floor: float = FLOOR, seed: int = 0) -> list[int]:
    """How many candidates each cell gets; together they cost no more than `seconds`.

    Args:
        cells: each has been tried: what one of its candidates costs is known.
        seconds: the budget.
        floor: the share of it that is spread evenly over the cells, 0 to 1.
        seed: of the draws.

    Raises:
        UserError: there is no cell, one was never made, or budget or floor are out of range.
    """
    if not 0 <= floor <= 1:
        raise UserError(f"the floor is a share of the budget, 0 to 1, got {floor}")
    if not 0 < seconds < inf:
        raise UserError(f"a budget is a positive number of seconds, got {seconds}")
    untried = [each for each in cells if not each.made or not each.seconds > 0]
    if not cells or untried:
        what = f"{untried[0].teacher} in {untried[0].bucket}" if untried else "any teacher"
        raise UserError(f"nothing is known of what a candidate of {what} costs; make some first")
    price = np.array([each.seconds_each for each in cells])
    counts = (floor * seconds / len(cells) / price).astype(int)
    left = seconds - float(counts @ price)
    draws = np.random.default_rng(seed)
    alpha, beta = posteriors(cells)
    wanted = int(left / price.min()) + 1
    if wanted > MOST:
        raise UserError(f"{seconds:.0f} seconds are more than {MOST} candidates; give a smaller budget")
    best = (draws.beta(alpha, beta, size=(wanted, len(cells))) / price).argmax(axis=1)
    affordable = np.cumsum(price[best]) <= left
    counts += np.bincount(best[affordable], minlength=len(cells))
    return [int(each) for each in counts]
