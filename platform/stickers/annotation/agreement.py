"""How far people agree about the same clips, and what a lead sees of each person.

Chance-corrected figures differ most where most clips are bad, which is the rule here: with one answer in fifty a yes,
people who agree on 95 % of the clips may have a kappa near 0 and an AC1 near 0.95. Hence all of them, beside the plain
percentage. The formulas are our own: the libraries that have them pin an old scipy or carry a licence that we cannot
take. The tests hold values that those libraries gave.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from stickers.annotation.jobs import CHOOSE
from stickers.artifacts.records import Vote

#: jobs that say something about motion, below which a bias has no interval
FEWEST_JOBS = 10
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement over `clips`, those that two people or more have judged; a figure is none where it is undefined.

    `percent` is the share, 0 to 1, of pairs of people who gave one clip the same answer, averaged over clips. `alpha`
    is Krippendorff's for nominal data (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"), `kappa`
    Fleiss' in the form for unequal numbers of people and `ac1` Gwet's (Gwet 2014, "Handbook of inter-rater
    reliability", chapters 2 and 5). Without variation, everybody saying the same of every clip, alpha and kappa are
    0 / 0; AC1 is then 1.
    """

    clips: int
    percent: float | None
    alpha: float | None
    kappa: float | None
    ac1: float | None


def agreement(votes: Iterable[Vote], *, round: int) -> Agreement:
    """Of a round's votes on jobs that nobody knows the answer of; gold jobs and rulings take no part."""
    return agreement_of(counts(votes, round=round))


def counts(votes: Iterable[Vote], *, round: int) -> np.ndarray:
    """People who said no and yes of each clip of a round `[N, 2]`; a person who saw a clip twice said yes if ever."""
    seen = _answers(each for each in votes if each.round == round)
    yes = np.bincount(seen.clip[seen.picked], minlength=seen.num_clips)
    return np.stack([np.bincount(seen.clip, minlength=seen.num_clips) - yes, yes], axis=1)


def agreement_of(counts_NK: np.ndarray) -> Agreement:
    """Of a table `[N, K]` of how many people gave each of N clips each of K answers; K is 2 for no and yes."""
    given = np.asarray(counts_NK, float)
    given = given[given.sum(axis=1) > 0]
    people = given.sum(axis=1)
    several = people >= 2
    if not several.any():
        return Agreement(clips=0, percent=None, alpha=None, kappa=None, ac1=None)
    pairs, judges = given[several], people[several]
    same = (pairs * (pairs - 1)).sum(axis=1) / (judges * (judges - 1))
    percent = float(same.mean())
    share = (given / people[:, None]).mean(axis=0)
    return Agreement(
        clips=int(several.sum()),
        percent=percent,
        alpha=_alpha(pairs, judges, same),
        kappa=_corrected(percent, float(np.square(share).sum())),
        ac1=_corrected(percent, float((share * (1 - share)).sum() / (len(share) - 1))),
    )


def _corrected(observed: float, by_chance: float) -> float | None:
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else None


def _alpha(pairs: np.ndarray, people: np.ndarray, same: np.ndarray) -> float | None:
    """1 minus observed over expected disagreement; a clip weighs as many people as have judged it."""
    every, answers = people.sum(), pairs.sum(axis=0)
    expected = every * every - np.square(answers).sum()
    if expected == 0:
        return None
    return float(1 - (every - 1) * (people * (1 - same)).sum() / expected)


@dataclass(frozen=True, kw_only=True)
class PersonFacts:
    """One person's work, by the answers that count.

    `answers` are all of them; `median_seconds` is from when a job was shown to its answer. All below but `gold` leaves
    gold jobs and rulings out: `pick_rate` is the share of clips shown that were picked, `with_majority` the share of
    clips on which this person said what most of the others said, of the clips on which most others said one thing.
    `gold_right` of `gold_of` clips in gold jobs were judged as is known to be right.

    `low_motion_bias` is, averaged over jobs, the mean motion rank of the clips not picked less that of those picked,
    each job's clips being ranked by motion from 0 to 1: it lies in [-1, 1], and is positive where somebody prefers low
    motion. Since it compares clips within a job, which jobs somebody got does not matter. Jobs of which all or none
    was picked, or whose clips move alike, say nothing and are left out. Where good clips happen to move less it is
    positive for everybody: compare people. `low_motion_interval` is its 95 % t interval over the `low_motion_jobs`, or
    none below `FEWEST_JOBS`.
    """

    answers: int
    median_seconds: float | None = None
    pick_rate: float | None = None
    gold_right: int = 0
    gold_of: int = 0
    with_majority: float | None = None
    low_motion_bias: float | None = None
    low_motion_interval: tuple[float, float] | None = None
    low_motion_jobs: int = 0
    simulated: bool = False


def people_facts(
    votes: Iterable[Vote], motion: Mapping[str, float], gold: Mapping[str, Set[str]]
) -> dict[str, PersonFacts]:
    """What is known of each person, by name in alphabetical order.

    Args:
        votes: of all rounds and kinds.
        motion: score by candidate id; a clip without one takes no part in the bias.
        gold: the right candidate ids by the id of the gold job; a gold vote on another job measures nothing.
    """
    every = list(votes)
    asked = [each for each in every if each.kind == CHOOSE and each.job_id not in gold]
    seen = _answers(asked)
    rates, majorities = _pick_rates(seen), _with_majority(seen)
    leanings = _leanings(asked, motion)
    given: dict[str, list[Vote]] = {}
    for vote in every:
        given.setdefault(vote.annotator, []).append(vote)
    facts = {}
    for name, mine in sorted(given.items()):
        right, of = _gold(mine, gold)
        bias, interval = _mean_and_interval(leanings.get(name, []))
        facts[name] = PersonFacts(
            answers=len(mine),
            median_seconds=float(
                np.median([(each.submitted_at - each.started_at).total_seconds() for each in mine])
            ),
            pick_rate=rates.get(name),
            gold_right=right,
            gold_of=of,
            with_majority=majorities.get(name),
            low_motion_bias=bias,
            low_motion_interval=interval,
            low_motion_jobs=len(leanings.get(name, [])),
            simulated=any(each.simulated for each in mine),
        )
    return facts


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """One row for each clip that each person judged: its number, the person's, and whether it was picked."""

    clip: np.ndarray
    person: np.ndarray
    picked: np.ndarray
    num_clips: int
    names: list[str]


def _answers(votes: Iterable[Vote]) -> _Answers:
    numbers: dict[tuple[int, str, str], int] = {}
    people: dict[str, int] = {}
    clip, person, picked = [], [], []
    for vote in votes:
        if vote.kind != CHOOSE:
            continue
        who, picks = people.setdefault(vote.annotator, len(people)), set(vote.picks)
        for name, digest in zip(vote.shown, vote.shown_digests, strict=True):
            clip.append(numbers.setdefault((vote.round, name, digest), len(numbers)))
            person.append(who)
            picked.append(name in picks)
    count = max(1, len(people))
    key, which = np.unique(np.array(clip, int) * count + np.array(person, int), return_inverse=True)
    return _Answers(
        clip=key // count,
        person=key % count,
        picked=np.bincount(which, np.array(picked, float), minlength=len(key)) > 0,
        num_clips=len(numbers),
        names=list(people),
    )


def _pick_rates(seen: _Answers) -> dict[str, float]:
    return _shares(seen, seen.picked, np.ones(len(seen.clip), bool))


def _with_majority(seen: _Answers) -> dict[str, float]:
    yes = np.bincount(seen.clip[seen.picked], minlength=seen.num_clips)[seen.clip] - seen.picked
    others = np.bincount(seen.clip, minlength=seen.num_clips)[seen.clip] - 1
    return _shares(seen, seen.picked == (2 * yes > others), 2 * yes != others)


def _shares(seen: _Answers, good: np.ndarray, counted: np.ndarray) -> dict[str, float]:
    """By person, the share of the counted rows that are good."""
    of = np.bincount(seen.person[counted], minlength=len(seen.names))
    held = np.bincount(seen.person[counted & good], minlength=len(seen.names))
    return {name: float(held[i] / of[i]) for i, name in enumerate(seen.names) if of[i]}


def _gold(votes: list[Vote], gold: Mapping[str, Set[str]]) -> tuple[int, int]:
    """Clips of gold jobs that were judged rightly, of all."""
    judged = [
        (name in vote.picks) == (name in gold[vote.job_id])
        for vote in votes
        if vote.job_id in gold
        for name in vote.shown
    ]
    return sum(judged), len(judged)


def _leanings(votes: list[Vote], motion: Mapping[str, float]) -> dict[str, list[float]]:
    """By person, for each job that says something: mean motion rank of what was not picked less that of what was."""
    job, score, picked = [], [], []
    for number, vote in enumerate(votes):
        for name in vote.shown:
            if name in motion:
                job.append(number)
                score.append(motion[name])
                picked.append(name in vote.picks)
    if not job:
        return {}
    jobs, scores = np.array(job), np.array(score, float)
    rank, chosen = _ranks(jobs, scores), np.array(picked)

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(jobs, values, minlength=len(votes))

    size, of = sums(np.ones(len(jobs))), sums(chosen)
    every, high = sums(rank), sums(rank * chosen)
    uneven = sums(np.abs(rank - 0.5)) > 0  # ranks of clips that move alike are all one half
    found: dict[str, list[float]] = {}
    for number in np.flatnonzero(uneven & (of > 0) & (of < size)).tolist():
        rest = (every[number] - high[number]) / (size[number] - of[number])
        found.setdefault(votes[number].annotator, []).append(float(rest - high[number] / of[number]))
    return found


def _ranks(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Ranks within each group, 0 the least and 1 the greatest; equal values share their mean rank, a lone one has
    one half."""
    order = np.lexsort((value, group))
    groups, values = group[order], value[order]
    size = np.bincount(groups)
    place = np.arange(len(order)) - (np.cumsum(size) - size)[groups]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (groups[1:] != groups[:-1]) | (values[1:] != values[:-1])
    run = np.cumsum(fresh) - 1
    shared = (np.bincount(run, place) / np.bincount(run))[run]
    last = (size - 1)[groups]
    ranks = np.empty(len(order))
    ranks[order] = np.where(last > 0, shared / np.maximum(last, 1), 0.5)
    return ranks


def _mean_and_interval(values: list[float]) -> tuple[float | None, tuple[float, float] | None]:
    if not values:
        return None, None
    mean = float(np.mean(values))
    if len(values) < FEWEST_JOBS:
        return mean, None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(student_t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1)) * error
    return mean, (max(-1.0, mean - reach), min(1.0, mean + reach))
