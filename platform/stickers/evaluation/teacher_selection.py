"""Measures which teachers an ensemble needs, by their best clips (paper section 3.2).

People keep a few good clips of many. So a teacher is worth its best clip of a prompt, however poor the others are, and
an ensemble is worth the best clip of all its teachers. More clips alone make the best one better. To separate a
teacher's own contribution, ensembles are compared at equal numbers of clips: the one with the teacher, each member
drawing fewer, against the one without it.

Legend: T teachers, P prompts, N clips of one teacher for one prompt, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np

from stickers.errors import UserError
from stickers.evaluation.comparisons import interval, resamples

TOLERANCE = 0.05
"""Two best clips that differ by less are equally good: about what another seed changes."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One clip of the pilot.

    `quality` lies in [0, 1], 0 for a clip that nobody needs and for one that could not be made; `group` is what its
    prompt asks for, a motion in the toy world and the bucket elsewhere; `speed` is its motion a second in luma levels
    and `consistency` lies in [0, 1], both None for a clip that could not be made.
    """

    candidate_id: str
    teacher: str
    prompt: str
    bucket: str
    group: str
    quality: float
    speed: float | None
    consistency: float | None


@dataclass(frozen=True)
class Interval:
    """A mean over prompts with its 95 % bootstrap interval, prompts being drawn."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TeacherFigures:
    """One teacher.

    `best` is its best clip of each prompt, `mean` all its clips, both averaged over prompts; `buckets` and `groups`
    hold `best` for those prompts alone. `lost` is what the ensemble's best falls by without it, `lost_at_equal_clips`
    the same when the others draw its clips in its place. `able` counts the prompts of which it makes a clip worth
    sharing, `only` names those of which no other does, `only_groups` the groups of which no other does any; `ahead`
    the groups in which it beats every other teacher by more than the tolerance, and by how much. `speed` (luma levels a
    second) and `consistency` are its medians.
    """

    teacher: str
    best: Interval
    mean: float
    buckets: Mapping[str, Interval]
    groups: Mapping[str, Interval]
    lost: Interval
    lost_at_equal_clips: Interval
    able: int
    only: tuple[str, ...]
    only_groups: tuple[str, ...]
    ahead: Mapping[str, float]
    speed: float
    consistency: float


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the greedy order: the ensemble's best with `teacher`, and what that adds to those before it, as it
    is and against as many clips of those before it alone; `needed_for` names the groups where the latter is more than
    the tolerance, and above 0 over the whole interval."""

    teacher: str
    reached: Interval
    added: Interval
    added_at_equal_clips: Interval
    needed_for: tuple[str, ...]


class Pilot:
    """The clips that all teachers drew for the same prompts, ready for analysis.

    Raises:
        UserError: there are no clips, or teachers drew different numbers of clips for a prompt.
    """

    def __init__(self, scored: Sequence[Scored], *, able: float, tolerance: float = TOLERANCE) -> None:
        if not scored:
            raise UserError("teachers are chosen by their clips, and there is none")
        self.able, self.tolerance = able, tolerance
        self.teachers = tuple(sorted({clip.teacher for clip in scored}))
        first = {clip.prompt: clip for clip in sorted(scored, key=lambda clip: clip.prompt)}
        self.prompts = tuple(first)
        self.groups = tuple(clip.group for clip in first.values())
        self.buckets = tuple(clip.bucket for clip in first.values())
        self.qualities = [self._of_prompt(scored, prompt) for prompt in self.prompts]
        self.speeds = self._of_teachers(scored, "speed")
        self.consistencies = self._of_teachers(scored, "consistency")

    def _of_teachers(self, scored: Sequence[Scored], field: str) -> dict[str, np.ndarray]:
        """A field of each teacher's made clips."""
        values: dict[str, list[float]] = {name: [] for name in self.teachers}
        for clip in scored:
            if (value := getattr(clip, field)) is not None:
                values[clip.teacher].append(value)
        return {name: np.array(numbers) for name, numbers in values.items()}

    def _of_prompt(self, scored: Sequence[Scored], prompt: str) -> np.ndarray:
        """Qualities `[T, N]` of one prompt."""
        rows = [
            [clip.quality for clip in scored if (clip.teacher, clip.prompt) == (name, prompt)]
            for name in self.teachers
        ]
        counts = {name: len(row) for name, row in zip(self.teachers, rows, strict=True)}
        if len(set(counts.values())) > 1:
            raise UserError(f"prompt {prompt!r} was not drawn equally often by every teacher: {counts}")
        return np.array(rows)

    @cached_property
    def best(self) -> np.ndarray:
        """The best clip of each teacher and prompt, `[T, P]`."""
        return np.stack([values.max(axis=1) for values in self.qualities], axis=1)

    @cached_property
    def _weights(self) -> np.ndarray:
        """How often each prompt is drawn in each resample `[R, P]`."""
        return resamples(self.prompts, seed=0)

    def average(self, values_P: np.ndarray, chosen_P: np.ndarray | None = None) -> Interval:
        """The mean over the prompts of a mask, or over all, with its interval."""
        chosen = np.ones(len(self.prompts), dtype=bool) if chosen_P is None else chosen_P
        weights, values = self._weights[:, chosen], values_P[chosen]
        total = weights.sum(axis=1)
        drawn = (weights @ values)[total > 0] / total[total > 0]
        return Interval(float(values.mean()), *interval(drawn))

    def of(self, members: Sequence[int]) -> np.ndarray:
        """The best clip of all members per prompt, `[P]`; 0 without members."""
        return self.best[list(members)].max(axis=0, initial=0.0)

    def sampled(self, members: Sequence[int], of_clips: int) -> np.ndarray:
        """The expected best clip per prompt, `[P]`, when the members draw as many of their clips as `of_clips` teachers
        drew, in equal parts."""
        share = of_clips / len(members)
        return np.array([expected_best(q[list(members)], share * q.shape[1]) for q in self.qualities])

    def figures(self) -> list[TeacherFigures]:
        """The figures of all teachers, sorted by name."""
        return [self._figures(index) for index in range(len(self.teachers))]

    def _figures(self, index: int) -> TeacherFigures:
        everyone = range(len(self.teachers))
        others = [other for other in everyone if other != index]
        lost = self.of(everyone) - self.of(others)
        at_equal = self.sampled(everyone, len(others)) - self.of(others) if others else lost
        best, able = self.best[index], (self.best >= self.able) & (self.best > 0)
        elsewhere = able[others].any(axis=0)
        alone = able[index] & ~elsewhere
        groups = np.array(self.groups)
        return TeacherFigures(
            teacher=self.teachers[index],
            best=self.average(best),
            mean=float(np.mean([values[index].mean() for values in self.qualities])),
            buckets=self._by(self.buckets, best),
            groups=self._by(self.groups, best),
            lost=self.average(lost),
            lost_at_equal_clips=self.average(at_equal),
            able=int(able[index].sum()),
            only=tuple(prompt for prompt, mark in zip(self.prompts, alone, strict=True) if mark),
            only_groups=tuple(sorted(set(groups[alone].tolist()) - set(groups[elsewhere].tolist()))),
            ahead=self._ahead(index, others),
            speed=_median(self.speeds[self.teachers[index]]),
            consistency=_median(self.consistencies[self.teachers[index]]),
        )

    def _by(self, names: tuple[str, ...], values_P: np.ndarray) -> dict[str, Interval]:
        return {name: self.average(values_P, np.array(names) == name) for name in sorted(set(names))}

    def _ahead(self, index: int, others: list[int]) -> dict[str, float]:
        if not others:
            return {}
        leads = {}
        for name in sorted(set(self.groups)):
            means = self.best[:, np.array(self.groups) == name].mean(axis=1)
            leads[name] = float(means[index] - means[others].max())
        return {name: lead for name, lead in leads.items() if lead > self.tolerance}

    def greedy(self) -> list[Step]:
        """Teachers in greedy order: each adds most to those before it. A teacher's own best clips break ties."""
        steps: list[Step] = []
        inside: list[int] = []
        while len(inside) < len(self.teachers):
            remaining = [index for index in range(len(self.teachers)) if index not in inside]
            index = max(remaining, key=lambda i: (self.of([*inside, i]).mean(), self.best[i].mean(), -i))
            steps.append(self._step(inside, index))
            inside.append(index)
        return steps

    def _step(self, inside: list[int], index: int) -> Step:
        grown = [*inside, index]
        before = self.of(inside)
        added = self.of(grown) - before
        at_equal = self.sampled(grown, len(inside)) - before if inside else added
        needed = [
            n for n, e in self._by(self.groups, at_equal).items() if e.value > self.tolerance and e.low > 0
        ]
        return Step(
            teacher=self.teachers[index],
            reached=self.average(self.of(grown)),
            added=self.average(added),
            added_at_equal_clips=self.average(at_equal),
            needed_for=tuple(needed) if inside else (),
        )

    def quality_overlap(self) -> np.ndarray:
        """For each pair of teachers the share of prompts on which neither beats the other by more than the tolerance,
        `[T, T]`; 1 for duplicates."""
        apart = np.abs(self.best[:, None] - self.best[None])
        return (apart <= self.tolerance + 1e-9).mean(axis=2)

    def speed_bins(self, count: int = 12) -> np.ndarray:
        """Edges `[count + 1]` of common bins of motion per second; the last bin also holds the fastest 2 %."""
        speeds = np.concatenate(list(self.speeds.values()))
        top = float(np.percentile(speeds, 98)) if len(speeds) else 0.0
        return np.linspace(0, max(top, 1.0), count + 1)

    def speed_shares(self) -> dict[str, np.ndarray]:
        """The share of each teacher's clips in each bin of `speed_bins`."""
        edges = self.speed_bins()
        counts = {n: np.histogram(np.minimum(v, edges[-1]), edges)[0] for n, v in self.speeds.items()}
        return {name: count / max(1, count.sum()) for name, count in counts.items()}

    def speed_overlap(self) -> np.ndarray:
        """For each pair of teachers the overlap of their distributions of motion per second, `[T, T]`: 1 for equal
        ones, 0 when no bin holds clips of both."""
        shares = np.stack([self.speed_shares()[name] for name in self.teachers])
        return np.minimum(shares[:, None], shares[None]).sum(axis=2)


def expected_best(values_TN: np.ndarray, draws: float) -> float:
    """The expected best clip when each teacher draws `draws` of its N clips, none twice.

    A fraction means that the next clip is drawn with that probability. Values are at least 0; no clip is worth 0.
    """
    floor = int(draws)
    grid = np.unique(np.append(values_TN, 0.0))
    below = (values_TN[:, :, None] <= grid).sum(axis=1)
    part = draws - floor
    chance = (1 - part) * _all_below(below, floor, values_TN.shape[1])
    if part:
        chance = chance + part * _all_below(below, floor + 1, values_TN.shape[1])
    return float(grid @ np.diff(chance.prod(axis=0), prepend=0))


def _median(values: np.ndarray) -> float:
    """The median, or 0 of no values."""
    return float(np.median(values)) if len(values) else 0.0


def _all_below(below: np.ndarray, drawn: int, total: int) -> np.ndarray:
    """The probability that all of `drawn` clips are among the `below` of `total`."""
    ways = np.array([comb(count, drawn) for count in range(total + 1)], dtype=float)
    return ways[below] / ways[total]


def suggest(steps: Sequence[Step], threshold: float) -> tuple[str, ...]:
    """The teachers that a program suggests: the first of the greedy order, and the others that add at least `threshold`
    at equal clips or that a group needs. A person decides.

    Raises:
        UserError: the threshold is negative.
    """
    if threshold < 0:
        raise UserError(f"the threshold is a gain of quality and at least 0, got {threshold}")
    useful = [step for step in steps[1:] if step.needed_for or step.added_at_equal_clips.value >= threshold]
    return tuple(step.teacher for step in [*steps[:1], *useful])
