"""How far people agree about the same clips, and what a lead sees of each person.

Chance-corrected figures differ most where most clips are bad, as they are here: when one answer in fifty is a yes,
people who agree on 95 % of the clips may have a kappa near 0 and an AC1 near 0.95. So all figures are shown beside the
plain percentage. The formulas are implemented here because the libraries that have them pin an old scipy or carry a
licence that we cannot accept. The tests compare them with values from those libraries.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from stickers.annotation.jobs import CHOOSE
from stickers.artifacts.records import Vote

#: informative jobs below which a low-motion bias gets no interval
FEWEST_JOBS = 10
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class RaterAgreement:
    """Agreement over `clips`, those that at least two people have judged; a figure is None where it is undefined.

    `percent` is the share, 0 to 1, of pairs of people who gave one clip the same answer, averaged over clips. `alpha`
    is Krippendorff's for nominal data (Krippendorff 2011, "Computing Krippendorff's alpha-reliability"), `kappa`
    Fleiss' in the form for unequal numbers of people and `ac1` Gwet's (Gwet 2014, "Handbook of inter-rater
    reliability", chapters 2 and 5). Where all answers are the same, alpha and kappa are 0 / 0 and AC1 is 1.
    """

    clips: int
    percent: float | None
    alpha: float | None
    kappa: float | None
    ac1: float | None


def agreement(votes: Iterable[Vote], *, round_number: int) -> RaterAgreement:
    """Agreement of a round's votes; gold jobs and rulings are left out."""
    return agreement_of(count_answers(votes, round_number=round_number))


def count_answers(votes: Iterable[Vote], *, round_number: int) -> np.ndarray:
    """How many people said no and yes to each clip of a round `[N, 2]`; of two answers by one person a yes counts."""
    answers = _answers(vote for vote in votes if vote.round == round_number)
    yes = np.bincount(answers.clip[answers.picked], minlength=answers.num_clips)
    return np.stack([np.bincount(answers.clip, minlength=answers.num_clips) - yes, yes], axis=1)


def agreement_of(counts_NK: np.ndarray) -> RaterAgreement:
    """Agreement in a table `[N, K]` of how many people gave each of K answers (2: no, yes) to each of N clips."""
    counts = np.asarray(counts_NK, float)
    counts = counts[counts.sum(axis=1) > 0]
    people = counts.sum(axis=1)
    is_shared = people >= 2
    if not is_shared.any():
        return RaterAgreement(clips=0, percent=None, alpha=None, kappa=None, ac1=None)
    shared, people_per_clip = counts[is_shared], people[is_shared]
    agreeing = (shared * (shared - 1)).sum(axis=1) / (people_per_clip * (people_per_clip - 1))
    percent = float(agreeing.mean())
    share = (counts / people[:, None]).mean(axis=0)
    return RaterAgreement(
        clips=int(is_shared.sum()),
        percent=percent,
        alpha=_alpha(shared, people_per_clip, agreeing),
        kappa=_corrected(percent, float(np.square(share).sum())),
        ac1=_corrected(percent, float((share * (1 - share)).sum() / (len(share) - 1))),
    )


def _corrected(observed: float, by_chance: float) -> float | None:
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else None


def _alpha(counts: np.ndarray, people: np.ndarray, agreeing: np.ndarray) -> float | None:
    """1 minus observed over expected disagreement; a clip is weighted by the number of people who judged it."""
    num_answers, answers = people.sum(), counts.sum(axis=0)
    expected = num_answers * num_answers - np.square(answers).sum()
    if expected == 0:
        return None
    return float(1 - (num_answers - 1) * (people * (1 - agreeing)).sum() / expected)


@dataclass(frozen=True, kw_only=True)
class PersonFacts:
    """One person's work.

    `answers` counts all answers, and `median_seconds` is the time from showing a job to its answer. `gold_right` of the
    `gold_of` clips in gold jobs were judged correctly. The other figures leave gold jobs and rulings out. `pick_rate`
    is the share of the clips shown that were picked. `with_majority` is the share of clips on which this person agreed
    with the majority of the others; clips on which the others are evenly split do not count.

    `low_motion_bias` lies in [-1, 1] and is positive where a person prefers clips that move little. The clips of a job
    are ranked by motion from 0 to 1, and the mean rank of the picked clips is subtracted from that of the others; the
    bias is the mean over jobs. It compares clips within a job, so it does not depend on which jobs a person got. Jobs
    where all or none were picked, or whose clips move equally, are left out. Where good clips tend to move less the
    bias is positive for everybody, so compare people with each other. `low_motion_interval` is its 95 % t interval
    over the `low_motion_jobs`, or None below `FEWEST_JOBS`.
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
    """The figures of each person, by name in alphabetical order.

    Args:
        votes: of all rounds and kinds.
        motion: score by candidate id; clips without one are left out of the bias.
        gold: the candidates worth sharing, by the id of the gold job; gold votes on other jobs are ignored.
    """
    all_votes = list(votes)
    chosen = [vote for vote in all_votes if vote.kind == CHOOSE and vote.job_id not in gold]
    answers = _answers(chosen)
    rates, majorities = _pick_rates(answers), _with_majority(answers)
    leanings = _leanings(chosen, motion)
    votes_by_name: dict[str, list[Vote]] = {}
    for vote in all_votes:
        votes_by_name.setdefault(vote.annotator, []).append(vote)
    facts = {}
    for name, votes_of_person in sorted(votes_by_name.items()):
        right, num_gold = _gold(votes_of_person, gold)
        bias, interval = _mean_and_interval(leanings.get(name, []))
        facts[name] = PersonFacts(
            answers=len(votes_of_person),
            median_seconds=float(
                np.median([(vote.submitted_at - vote.started_at).total_seconds() for vote in votes_of_person])
            ),
            pick_rate=rates.get(name),
            gold_right=right,
            gold_of=num_gold,
            with_majority=majorities.get(name),
            low_motion_bias=bias,
            low_motion_interval=interval,
            low_motion_jobs=len(leanings.get(name, [])),
            simulated=any(vote.simulated for vote in votes_of_person),
        )
    return facts


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """A row for every clip that a person judged: the numbers of clip and person, and whether it was picked."""

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
    key, rows = np.unique(np.array(clip, int) * count + np.array(person, int), return_inverse=True)
    return _Answers(
        clip=key // count,
        person=key % count,
        picked=np.bincount(rows, np.array(picked, float), minlength=len(key)) > 0,
        num_clips=len(numbers),
        names=list(people),
    )


def _pick_rates(answers: _Answers) -> dict[str, float]:
    return _shares(answers, answers.picked, np.ones(len(answers.clip), bool))


def _with_majority(answers: _Answers) -> dict[str, float]:
    yes = (
        np.bincount(answers.clip[answers.picked], minlength=answers.num_clips)[answers.clip] - answers.picked
    )
    others = np.bincount(answers.clip, minlength=answers.num_clips)[answers.clip] - 1
    return _shares(answers, answers.picked == (2 * yes > others), 2 * yes != others)


def _shares(answers: _Answers, good: np.ndarray, counted: np.ndarray) -> dict[str, float]:
    """The share of the counted rows that are good, by person."""
    num_counted = np.bincount(answers.person[counted], minlength=len(answers.names))
    num_good = np.bincount(answers.person[counted & good], minlength=len(answers.names))
    return {
        name: float(num_good[i] / num_counted[i]) for i, name in enumerate(answers.names) if num_counted[i]
    }


def _gold(votes: list[Vote], gold: Mapping[str, Set[str]]) -> tuple[int, int]:
    """How many clips of gold jobs were judged correctly, and how many there are."""
    judged = [
        (name in vote.picks) == (name in gold[vote.job_id])
        for vote in votes
        if vote.job_id in gold
        for name in vote.shown
    ]
    return sum(judged), len(judged)


def _leanings(votes: list[Vote], motion: Mapping[str, float]) -> dict[str, list[float]]:
    """By person, for every informative job, the mean motion rank of the other clips minus that of the picked ones."""
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

    size, num_picked = sums(np.ones(len(jobs))), sums(chosen)
    rank_sum, picked_rank_sum = sums(rank), sums(rank * chosen)
    is_informative = sums(np.abs(rank - 0.5)) > 0  # where all clips move equally, every rank is one half
    leanings: dict[str, list[float]] = {}
    for number in np.flatnonzero(is_informative & (num_picked > 0) & (num_picked < size)).tolist():
        rest = (rank_sum[number] - picked_rank_sum[number]) / (size[number] - num_picked[number])
        leanings.setdefault(votes[number].annotator, []).append(
            float(rest - picked_rank_sum[number] / num_picked[number])
        )
    return leanings


def _ranks(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Ranks within each group, from 0 for the least to 1 for the greatest; equal values share their mean rank, and a
    value alone in its group gets one half."""
    order = np.lexsort((value, group))
    groups, values = group[order], value[order]
    size = np.bincount(groups)
    position = np.arange(len(order)) - (np.cumsum(size) - size)[groups]
    begins_run = np.ones(len(order), bool)
    begins_run[1:] = (groups[1:] != groups[:-1]) | (values[1:] != values[:-1])
    run_of = np.cumsum(begins_run) - 1
    run_rank = (np.bincount(run_of, position) / np.bincount(run_of))[run_of]
    last = (size - 1)[groups]
    ranks = np.empty(len(order))
    ranks[order] = np.where(last > 0, run_rank / np.maximum(last, 1), 0.5)
    return ranks


def _mean_and_interval(values: list[float]) -> tuple[float | None, tuple[float, float] | None]:
    if not values:
        return None, None
    mean = float(np.mean(values))
    if len(values) < FEWEST_JOBS:
        return mean, None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    margin = float(student_t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1)) * error
    return mean, (max(-1.0, mean - margin), min(1.0, mean + margin))
