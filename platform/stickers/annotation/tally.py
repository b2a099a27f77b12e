"""What people said of each clip in each round, and what the round decides by it (paper section 2.3).

A clip survives a round when as many people as the round asks for have judged it and a quorum of them picked it. Where a
lead has ruled on a disagreement, the ruling counts instead. A clip that anybody flagged as unsafe waits for a ruling.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stickers.annotation.jobs import CHOOSE, RULING
from stickers.annotation.settings import RoundSettings, Settings
from stickers.artifacts.records import Vote

UNSAFE = "unsafe"
#: (candidate id, clip digest): votes on one clip say nothing about another clip with the same id
Clip = tuple[str, str]


@dataclass(frozen=True)
class Tally:
    """The votes on one clip in one round: who picked it, who passed it over, its flags, and the jobs that showed it.

    `ruling` is a lead's decision, or None.
    """

    picked_by: tuple[str, ...]
    jobs: tuple[str, ...]
    passed_by: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    ruling: bool | None = None
    ruled_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a round decides about a clip; `judged` is true once enough people have seen it."""

    yes: int
    no: int
    flags: tuple[str, ...]
    judged: bool
    disputed: bool
    survives: bool
    ruling: bool | None


def tally(votes: Iterable[Vote], *, round_number: int) -> dict[Clip, Tally]:
    """Count the votes of a round by clip."""
    picked: defaultdict[Clip, set[str]] = defaultdict(set)
    passed: defaultdict[Clip, set[str]] = defaultdict(set)
    flags: defaultdict[Clip, list[str]] = defaultdict(list)
    jobs: defaultdict[Clip, set[str]] = defaultdict(set)
    rulings: dict[Clip, tuple[bool, str]] = {}
    of_round = [vote for vote in votes if vote.round == round_number and vote.kind in (CHOOSE, RULING)]
    for vote in sorted(of_round, key=lambda vote: vote.submitted_at):
        flag_of = dict(zip(vote.flagged, vote.flags, strict=True))
        picks = set(vote.picks)
        for clip in zip(vote.shown, vote.shown_digests, strict=True):
            jobs[clip].add(vote.job_id)
            if vote.kind == RULING:
                rulings[clip] = clip[0] in picks, vote.annotator
                continue
            (picked if clip[0] in picks else passed)[clip].add(vote.annotator)
            if clip[0] in flag_of:
                flags[clip].append(flag_of[clip[0]])
    return {
        clip: Tally(
            picked_by=tuple(sorted(picked[clip])),
            jobs=tuple(sorted(job_ids)),
            passed_by=tuple(sorted(passed[clip] - picked[clip])),
            flags=tuple(sorted(flags[clip])),
            ruling=rulings[clip][0] if clip in rulings else None,
            ruled_by=(rulings[clip][1],) if clip in rulings else (),
        )
        for clip, job_ids in jobs.items()
    }


def verdicts(votes: Iterable[Vote], round_number: int, rules: RoundSettings) -> dict[Clip, Verdict]:
    """What the round decides about every clip that somebody has seen in it."""
    tallies = tally(votes, round_number=round_number)
    return {clip: _verdict(counted, rules) for clip, counted in tallies.items()}


def _verdict(counted: Tally, rules: RoundSettings) -> Verdict:
    yes, no = len(counted.picked_by), len(counted.passed_by)
    judged = yes + no >= rules.people
    by_quorum = judged and yes >= rules.quorum and UNSAFE not in counted.flags
    return Verdict(
        yes=yes,
        no=no,
        flags=counted.flags,
        judged=judged,
        disputed=(yes > 0 and no > 0) or bool(counted.flags),
        survives=by_quorum if counted.ruling is None else counted.ruling,
        ruling=counted.ruling,
    )


def surviving_clips(votes: Sequence[Vote], settings: Settings) -> list[set[Clip]]:
    """For each round, the clips that survive it and all rounds before it."""
    by_round: list[set[Clip]] = []
    for number, rules in enumerate(settings.rounds, 1):
        clips = {clip for clip, verdict in verdicts(votes, number, rules).items() if verdict.survives}
        by_round.append(clips & by_round[-1] if by_round else clips)
    return by_round
