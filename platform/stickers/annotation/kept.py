"""From votes to the kept set: a quorum in each round, experts on what survived (paper section 2.3).

A clip goes through a round when as many people as the round asks for have judged it and a quorum of them picked it;
where a lead has decided a disagreement, the lead's word stands instead. One that anybody flagged as unsafe waits for
that word.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stickers.annotation.jobs import CHOOSE, RULING
from stickers.annotation.settings import RoundSettings, Settings
from stickers.artifacts.records import Candidate, Kept, Vote

UNSAFE = "unsafe"
Clip = tuple[str, str]


@dataclass(frozen=True)
class Tally:
    """One clip in one round: who picked it, who saw it and did not, what was flagged, and the jobs it was shown in.

    `ruling` is what a lead decided, or none.
    """

    picked_by: tuple[str, ...]
    jobs: tuple[str, ...]
    passed_by: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    ruling: bool | None = None
    ruled_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a round makes of a clip: `judged` once enough people have seen it."""

    yes: int
    no: int
    flags: tuple[str, ...]
    judged: bool
    disputed: bool
    survives: bool
    ruling: bool | None


def tally(votes: Iterable[Vote], *, round: int) -> dict[Clip, Tally]:
    """Votes of a round by (candidate id, clip digest): another clip under the same id is another matter."""
    picked: defaultdict[Clip, set[str]] = defaultdict(set)
    passed: defaultdict[Clip, set[str]] = defaultdict(set)
    flags: defaultdict[Clip, list[str]] = defaultdict(list)
    jobs: defaultdict[Clip, set[str]] = defaultdict(set)
    rulings: dict[Clip, tuple[bool, str]] = {}
    mine = [each for each in votes if each.round == round and each.kind in (CHOOSE, RULING)]
    for vote in sorted(mine, key=lambda each: each.submitted_at):
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
            jobs=tuple(sorted(shown)),
            passed_by=tuple(sorted(passed[clip] - picked[clip])),
            flags=tuple(sorted(flags[clip])),
            ruling=rulings[clip][0] if clip in rulings else None,
            ruled_by=(rulings[clip][1],) if clip in rulings else (),
        )
        for clip, shown in jobs.items()
    }


def verdicts(votes: Iterable[Vote], number: int, asked: RoundSettings) -> dict[Clip, Verdict]:
    """What the round of that number makes of every clip that somebody has seen in it."""
    return {clip: _verdict(each, asked) for clip, each in tally(votes, round=number).items()}


def _verdict(each: Tally, asked: RoundSettings) -> Verdict:
    yes, no = len(each.picked_by), len(each.passed_by)
    judged = yes + no >= asked.people
    unsafe = UNSAFE in each.flags
    by_quorum = judged and yes >= asked.quorum and not unsafe
    return Verdict(
        yes=yes,
        no=no,
        flags=each.flags,
        judged=judged,
        disputed=(yes > 0 and no > 0) or bool(each.flags),
        survives=by_quorum if each.ruling is None else each.ruling,
        ruling=each.ruling,
    )


def through(votes: Sequence[Vote], settings: Settings) -> list[set[Clip]]:
    """The clips that survive each round and all before it, round by round."""
    found: list[set[Clip]] = []
    for number, asked in enumerate(settings.rounds, 1):
        mine = {clip for clip, each in verdicts(votes, number, asked).items() if each.survives}
        found.append(mine & found[-1] if found else mine)
    return found


def survivors(
    candidates: Iterable[Candidate], votes: Sequence[Vote], settings: Settings, *, rounds: int | None = None
) -> list[Candidate]:
    """The candidates that went through the first `rounds` rounds, by default through all."""
    alive = through(votes, settings)[(rounds or len(settings.rounds)) - 1]
    return [each for each in candidates if (each.candidate_id, each.clip_digest) in alive]


def kept_rows(candidates: Iterable[Candidate], votes: Sequence[Vote], settings: Settings) -> list[Kept]:
    """Clips that went through all rounds, with their lineage, sorted by id."""
    tallies = [tally(votes, round=number) for number in range(1, len(settings.rounds) + 1)]
    simulated = {vote.job_id for vote in votes if vote.simulated}
    kept = [_kept(each, tallies, settings, simulated) for each in survivors(candidates, votes, settings)]
    return sorted(kept, key=lambda row: row.candidate_id)


def _kept(
    row: Candidate, tallies: Sequence[Mapping[Clip, Tally]], settings: Settings, simulated: set[str]
) -> Kept:
    assert row.clip is not None and row.clip_digest is not None and row.motion_score is not None
    mine = [each[row.candidate_id, row.clip_digest] for each in tallies]
    jobs = [job for each in mine for job in each.jobs]
    experts = [
        name
        for each, asked in zip(mine, settings.rounds, strict=True)
        for name in (*(each.picked_by if asked.role == "expert" else ()), *each.ruled_by)
    ]
    return Kept(
        candidate_id=row.candidate_id,
        clip_digest=row.clip_digest,
        plan_id=row.plan_id,
        sticker_id=row.sticker_id,
        teacher=row.teacher,
        checkpoint=row.checkpoint,
        seed=row.seed,
        prompt=row.prompt,
        bucket=row.bucket,
        clip=row.clip,
        num_frames=row.num_frames,
        fps=row.fps,
        motion_score=row.motion_score,
        jobs=jobs,
        accepted_by=list(mine[0].picked_by),
        experts=experts,
        simulated=bool(simulated & set(jobs)),
    )


def keep_rates(
    candidates: Iterable[Candidate], kept: Iterable[Kept | Candidate]
) -> list[dict[str, str | int]]:
    """Made and kept clips by teacher and bucket."""
    made = Counter((row.teacher, row.bucket) for row in candidates if row.clip_digest)
    held = Counter((row.teacher, row.bucket) for row in kept)
    return [
        {"teacher": teacher, "bucket": bucket, "made": made[teacher, bucket], "kept": held[teacher, bucket]}
        for teacher, bucket in sorted(made)
    ]
