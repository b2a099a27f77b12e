"""How budgets are best spent: `python experiments/studies/budgets.py --runs RUNS` plays recorded keep rates back.

Each play starts with a few judged candidates in each cell and spends the same budget in rounds; the votes on a round
are known before the next. Regret is how many more clips the oracle, who knows the true rates, would have kept. In half
of the plays the rates change places midway, as after a new checkpoint. The clips are simulated; the rates are too where
the recorded votes are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.table import Table

from actors.screen import console, track
from experiments.cli.options import RUNS, Runs, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from experiments.prices import collect
from stickers import storage
from stickers.candidates.budget import allocate, posteriors
from stickers.candidates.prices import Cell
from stickers.errors import UserError

FLOORS = (0.0, 0.05, 0.1, 0.2, 0.4)
#: judged candidates of each cell at the start
PILOT = 10
Policy = Callable[[Sequence[Cell], np.ndarray, float, int], list[int]]


def thompson(floor: float) -> Policy:
    """Thompson sampling with this floor, as the product allocates budgets."""
    return lambda cells, _, seconds, seed: allocate(cells, seconds, floor=floor, seed=seed)


def uniform(cells: Sequence[Cell], _truth: np.ndarray, seconds: float, seed: int) -> list[int]:
    """The same seconds for every cell."""
    return allocate(cells, seconds, floor=1.0, seed=seed)


def greedy(cells: Sequence[Cell], _truth: np.ndarray, seconds: float, _seed: int) -> list[int]:
    """Everything to the cell whose kept clips are the cheapest by the votes so far."""
    kept, other = posteriors(cells)
    return _all_to(int((kept / (kept + other) / prices(cells)).argmax()), cells, seconds)


def oracle(cells: Sequence[Cell], truth: np.ndarray, seconds: float, _seed: int) -> list[int]:
    """Everything to the cell whose kept clips are the cheapest in truth."""
    return _all_to(int((truth / prices(cells)).argmax()), cells, seconds)


def prices(cells: Sequence[Cell]) -> np.ndarray:
    """Seconds that a candidate of each cell takes."""
    return np.array([cell.seconds_each for cell in cells])


def _all_to(best: int, cells: Sequence[Cell], seconds: float) -> list[int]:
    return [int(seconds / cell.seconds_each) if number == best else 0 for number, cell in enumerate(cells)]


POLICIES: dict[str, Policy] = {
    "uniform": uniform,
    "greedy": greedy,
    **{f"Thompson, floor {floor:.0%}": thompson(floor) for floor in FLOORS},
    "oracle": oracle,
}


@dataclass(frozen=True)
class Played:
    """The expected number of kept clips, and the share of the budget that went to the truly best cells."""

    kept: float
    on_best: float


def play(
    policy: Policy,
    cells: Sequence[Cell],
    truth: np.ndarray,
    later: np.ndarray,
    seconds: float,
    rounds: int,
    seed: int,
) -> Played:
    """Spend a budget in rounds; from the middle round on the true rates are `later`."""
    dice, price = np.random.default_rng(seed), prices(cells)
    judged_cells = [
        replace(cell, judged=PILOT, kept=int(dice.binomial(PILOT, rate)))
        for cell, rate in zip(cells, truth, strict=True)
    ]
    kept, on_best = 0.0, 0.0
    for turn in range(rounds):
        rates = later if 2 * turn >= rounds else truth
        counts = np.array(policy(judged_cells, rates, seconds / rounds, int(dice.integers(2**31))))
        kept += float(counts @ rates)
        best = int((rates / price).argmax())
        on_best += float(counts[best] * price[best]) / seconds
        kept_counts = dice.binomial(counts, rates)
        judged_cells = [
            replace(cell, judged=cell.judged + int(num_judged), kept=cell.kept + int(num_kept))
            for cell, num_judged, num_kept in zip(judged_cells, counts, kept_counts, strict=True)
        ]
    return Played(kept, on_best)


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    candidates: int = 1000,
    rounds: int = 5,
    plays: int = 200,
    seed: int = 1,
) -> None:
    """Play recorded keep rates back under every policy.

    Args:
        candidates: candidates that the budget would pay for if it were spread evenly.
        rounds: rounds in which it is spent.
        plays: plays of each policy, the same for all.
        seed: seed of the plays; the default floor was chosen on seed 0.
    """
    chosen = choose_project(project)
    data = collect(storage.resolve_runs(runs), chosen.name)
    cells = [cell for cell in data.cells if cell.judged]
    if not cells:
        raise UserError(
            f"nobody has judged a candidate of project {chosen.name!r}; run experiments/simulate.py first"
        )
    truth = np.array([cell.kept / cell.judged for cell in cells])
    seconds = candidates * float(prices(cells).mean())
    for title, moves in (("steady rates", False), ("rates that change places midway", True)):
        results: dict[str, list[Played]] = {name: [] for name in POLICIES}
        for number in track(range(plays), title, unit="plays"):
            order = np.random.default_rng([seed, number]).permutation(len(cells)) if moves else slice(None)
            for name, policy in POLICIES.items():
                results[name].append(
                    play(policy, cells, truth, truth[order], seconds, rounds, seed * plays + number)
                )
        show(
            f"{title}{', simulated votes' if data.simulated else ''}: {len(cells)} cells, {plays} plays",
            results,
        )


def show(title: str, results: dict[str, list[Played]]) -> None:
    """Print what each policy keeps, and its regret against the oracle."""
    table = Table("policy", "kept", "regret", "95 %", "on the best cell", title=title)
    best = np.array([play.kept for play in results["oracle"]])
    for name, plays in results.items():
        kept = np.array([play.kept for play in plays])
        regret = (best - kept) / best.mean()
        error = 1.96 * regret.std(ddof=1) / np.sqrt(len(regret))
        on_best = float(np.mean([play.on_best for play in plays]))
        table.add_row(
            name, f"{kept.mean():.1f}", f"{regret.mean():.1%}",
            f"{regret.mean() - error:.1%} to {regret.mean() + error:.1%}", f"{on_best:.0%}",
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    run_script(main)
