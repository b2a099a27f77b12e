"""How well a quorum chooses, by simulation: `python experiments/studies/funnel.py`. Everybody is simulated.

The paper's funnel (section 2.3): 15,000 prompts, two pictures each, four teachers, jobs of six clips, two of three
people and then experts; about 1,500 prompts keep a clip. Few clips are good, so most of the clips that careless people
pick are bad, however many of the good ones they find. Which quorum a lead should ask for depends on how accurate people
are.

Assumptions: the share of good clips differs from prompt to prompt by a beta distribution; a second table has clips that
are good or bad independently of their prompt. The mean is fitted so that a tenth of the prompts keep a clip under
people who never err. A person errs on good and bad clips alike, independently of other people and of the clip. Real
people err together on hard clips, where more of them help less than these tables say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Annotated

import numpy as np
import tyro
from rich.table import Table
from scipy.optimize import brentq
from scipy.stats import binom

from actors.screen import console
from experiments.cli.options import run_script
from stickers.errors import UserError

ACCURACIES = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
QUORUMS = ((1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 5), (4, 5))


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A clip is kept when `quorum` of `people` pick it, and the expert too where there is one."""

    quorum: int
    people: int
    expert: bool

    def __str__(self) -> str:
        return f"{self.quorum} of {self.people}{' + expert' if self.expert else ''}"

    def rates(self, accuracy: float, expert_accuracy: float) -> tuple[float, float]:
        """The chances that a good and a bad clip are kept, in closed form."""
        good, bad = (float(binom.sf(self.quorum - 1, self.people, rate)) for rate in (accuracy, 1 - accuracy))
        return (good * expert_accuracy, bad * (1 - expert_accuracy)) if self.expert else (good, bad)


RULES = [Rule(quorum=q, people=n, expert=expert) for expert in (False, True) for q, n in QUORUMS]
PAPERS = Rule(quorum=2, people=3, expert=True)


@dataclass(frozen=True, kw_only=True)
class World:
    """`rate` of all clips are good; `correlation` is that of two clips of a prompt, 0 when each is for itself."""

    prompts: int
    clips: int
    rate: float
    correlation: float

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Which clips are good, bool `[prompts, clips]`."""
        rates = np.full(self.prompts, self.rate)
        if self.correlation:
            rates = rng.beta(*_beta(self.rate, self.correlation), self.prompts)
        return rng.random((self.prompts, self.clips)) < rates[:, None]


def _beta(rate: float, correlation: float) -> tuple[float, float]:
    """The parameters of the beta distribution with this mean whose clips have this correlation."""
    concentration = 1 / correlation - 1
    return rate * concentration, (1 - rate) * concentration


def some_good(rate: float, clips: int, correlation: float) -> float:
    """The share of prompts of which at least one clip is good, in closed form."""
    if not correlation:
        return 1 - (1 - rate) ** clips
    a, b = _beta(rate, correlation)
    return 1 - prod((b + i) / (a + b + i) for i in range(clips))


def fitted(prompts: int, clips: int, share: float, correlation: float) -> World:
    """The world in which a `share` of the prompts has a good clip.

    Raises:
        UserError: a number is out of range, or clips are so alike that no rate gives that share.
    """
    if prompts < 1 or clips < 1 or not 0 < share < 1 or not 0 <= correlation < 1:
        raise UserError("prompts and clips are at least 1, share lies in (0, 1), correlation in [0, 1)")
    rate = brentq(lambda mean: some_good(mean, clips, correlation) - share, 1e-9, 1 - 1e-9)
    return World(prompts=prompts, clips=clips, rate=float(rate), correlation=correlation)


@dataclass(frozen=True, kw_only=True)
class RuleOutcome:
    """What a rule keeps, on average over repeats.

    There were `good` good clips. The rule keeps `kept` clips, of which `right` are good, of `prompts` prompts, of which
    `right_prompts` have a good one. People and experts answered `submissions` jobs.
    """

    rule: Rule
    accuracy: float
    good: float
    kept: float
    right: float
    prompts: float
    right_prompts: float
    submissions: float

    @property
    def precision(self) -> float:
        """The share of good clips among the kept ones."""
        return self.right / self.kept if self.kept else 0.0

    @property
    def recall(self) -> float:
        """The share of good clips that are kept."""
        return self.right / self.good if self.good else 0.0

    @property
    def price(self) -> float:
        """Submissions for each good clip that is kept."""
        return self.submissions / self.right if self.right else float("inf")


def simulate(
    world: World,
    rules: Sequence[Rule],
    accuracies: Sequence[float],
    *,
    expert_accuracy: float,
    clips_per_job: int,
    repeats: int,
    seed: int,
) -> list[RuleOutcome]:
    """Outcomes of every rule at every accuracy; each repeat draws other clips and other errors."""
    rng, sums = np.random.default_rng(seed), np.zeros((len(accuracies), len(rules), 6))
    for _ in range(repeats):
        good = world.draw(rng)
        experts = rng.random(good.shape) < np.where(good, expert_accuracy, 1 - expert_accuracy)
        for i, accuracy in enumerate(accuracies):
            chance = np.where(good, accuracy, 1 - accuracy)
            yes = {people: rng.binomial(people, chance) for people in sorted({rule.people for rule in rules})}
            for j, rule in enumerate(rules):
                kept = yes[rule.people] >= rule.quorum
                submissions = ceil(good.size / clips_per_job) * rule.people
                if rule.expert:
                    submissions += ceil(int(kept.sum()) / clips_per_job)
                    kept &= experts
                right = kept & good
                sums_row = (
                    good.sum(),
                    kept.sum(),
                    right.sum(),
                    kept.any(axis=1).sum(),
                    right.any(axis=1).sum(),
                    submissions,
                )
                sums[i, j] += sums_row
    means = sums / repeats
    names = ("good", "kept", "right", "prompts", "right_prompts", "submissions")
    return [
        RuleOutcome(rule=rule, accuracy=accuracy, **dict(zip(names, means[i, j].tolist(), strict=True)))
        for i, accuracy in enumerate(accuracies)
        for j, rule in enumerate(rules)
    ]


def expected(world: World, rule: Rule, accuracy: float, *, expert_accuracy: float) -> tuple[float, float]:
    """Precision and recall in closed form; how good clips are spread over prompts does not matter to them."""
    good, bad = rule.rates(accuracy, expert_accuracy)
    return world.rate * good / (world.rate * good + (1 - world.rate) * bad), good


def show(
    world: World, outcomes: Sequence[RuleOutcome], accuracies: Sequence[float], expert_accuracy: float
) -> None:
    """Print precision, recall and price of every rule at every accuracy."""
    how = (
        f"correlation {world.correlation:g} within a prompt" if world.correlation else "every clip for itself"
    )
    table = Table(
        "kept by",
        *(f"{accuracy:g}" for accuracy in accuracies),
        title=f"precision, recall, submissions a good clip kept, by annotators' accuracy (simulated; {how}; "
        f"{world.rate:.2%} of clips are good; expert's accuracy {expert_accuracy:g})",
    )
    for rule in RULES:
        rule_outcomes = [outcome for outcome in outcomes if outcome.rule == rule]
        table.add_row(
            str(rule),
            *(
                f"{outcome.precision:.2f} {outcome.recall:.2f} {outcome.price:4.0f}"
                for outcome in rule_outcomes
            ),
            style="bold" if rule == PAPERS else "",
        )
    console.print(table)


def show_papers(world: World, outcomes: Sequence[RuleOutcome]) -> None:
    """Print how many clips and prompts the paper's rule keeps."""
    table = Table(
        "accuracy", "clips kept", "of them good", "good in all", "prompts kept", "with a good clip", "submissions",
        title=f"what {PAPERS} keeps of {world.prompts:,} prompts (simulated)",
    )  # fmt: skip
    for outcome in (row for row in outcomes if row.rule == PAPERS):
        counts = (
            outcome.kept,
            outcome.right,
            outcome.good,
            outcome.prompts,
            outcome.right_prompts,
            outcome.submissions,
        )
        table.add_row(f"{outcome.accuracy:g}", *(f"{count:,.0f}" for count in counts))
    console.print(table)


def advice(world: World, outcomes: Sequence[RuleOutcome], precision: float) -> list[str]:
    """Sentences for a lead."""
    lines = [
        f"advice (simulated): a clip is bad {(1 - world.rate) / world.rate:.0f} times as often as good; each pick by a "
        "person of accuracy a multiplies the odds of good by a / (1 - a): by 3 at 0.75, 9 at 0.9, 19 at 0.95"
    ]
    for accuracy in sorted({outcome.accuracy for outcome in outcomes}):
        of_accuracy = [outcome for outcome in outcomes if outcome.accuracy == accuracy]
        precise = [outcome for outcome in of_accuracy if outcome.precision >= precision and outcome.right]
        if precise:
            cheapest = min(precise, key=lambda outcome: outcome.price)
            widest = max(precise, key=lambda outcome: outcome.recall)
            sentence = f"of precision {precision:g} {_facts(cheapest)} is the cheapest"
            sentence += " and finds the most" if widest == cheapest else f", {_facts(widest)} finds the most"
        else:
            best = max(of_accuracy, key=lambda outcome: outcome.precision)
            sentence = f"none reaches precision {precision:g}, {_facts(best)} comes closest"
        lines.append(f"accuracy {accuracy:g}: {sentence}")
    return lines


def _facts(outcome: RuleOutcome) -> str:
    quality = f"precision {outcome.precision:.2f}, recall {outcome.recall:.2f}"
    return f"{outcome.rule} ({quality}, {outcome.price:.0f} submissions a good clip)"


def main(
    prompts: int = 15_000,
    pictures: int = 2,
    teachers: int = 4,
    share: float = 0.1,
    correlation: float = 0.2,
    accuracies: tuple[float, ...] = ACCURACIES,
    expert_accuracy: float = 0.95,
    clips_per_job: int = 6,
    precision: float = 0.9,
    repeats: Annotated[int, tyro.conf.arg(help="simulated funnels, over which is averaged")] = 10,
    seed: int = 0,
) -> None:
    """Print how many good and bad clips quorums keep, and what that costs. Everything is simulated.

    Args:
        prompts: prompts that candidates are made for.
        pictures: pictures of each prompt.
        teachers: teachers that animate each picture.
        share: share of the prompts that keep a clip when nobody errs.
        correlation: correlation of two clips of a prompt being good, from 0; the independent case is shown beside it.
        accuracies: the annotators' share of right answers, on good clips and on bad ones.
        expert_accuracy: the experts' share of right answers.
        clips_per_job: clips that a submission judges.
        precision: precision that the advice asks for.
        seed: seed of all draws.
    """
    for accuracy in (*accuracies, expert_accuracy, precision):
        if not 0.5 <= accuracy <= 1:
            raise UserError(f"accuracies and precision lie from 0.5 to 1, got {accuracy}")
    if not accuracies or clips_per_job < 1 or repeats < 1:
        raise UserError("there is at least one accuracy, one clip a job and one repeat")
    for alike in dict.fromkeys((correlation, 0.0)):
        world = fitted(prompts, pictures * teachers, share, alike)
        outcomes = simulate(
            world, RULES, accuracies, expert_accuracy=expert_accuracy, clips_per_job=clips_per_job,
            repeats=repeats, seed=seed,
        )  # fmt: skip
        show(world, outcomes, accuracies, expert_accuracy)
        show_papers(world, outcomes)
        console.print(*advice(world, outcomes, precision), sep="\n", highlight=False, soft_wrap=True)
    console.print(
        f"simulated, seed {seed}, {repeats} repeats; assumed: errors are symmetric and independent",
        highlight=False,
    )


if __name__ == "__main__":
    run_script(main)
