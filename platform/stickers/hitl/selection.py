"""From votes to the kept set: a quorum in the first round, experts on what survived (paper section 2.3)."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from stickers.artifacts import Candidate, Kept, Vote

QUORUM = 2


@dataclass(frozen=True)
class Tally:
    """One clip in one round: who picked it, and in which jobs it was shown."""

    picked_by: tuple[str, ...]
    jobs: tuple[str, ...]


def tally(votes: list[Vote], *, round: int) -> dict[tuple[str, str], Tally]:
    """Votes of a round by (candidate id, clip digest): another clip under the same id is another matter."""
    picked: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    jobs: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for vote in (each for each in votes if each.round == round):
        for clip in zip(vote.shown, vote.shown_digests, strict=True):
            jobs[clip].add(vote.job_id)
            if clip[0] in vote.picks:
                picked[clip].add(vote.annotator)
    return {clip: Tally(tuple(sorted(picked[clip])), tuple(sorted(shown))) for clip, shown in jobs.items()}


def survivors(candidates: list[Candidate], votes: list[Vote], *, round: int, quorum: int) -> list[Candidate]:
    """The candidates that at least `quorum` people picked in a round.

    Raises:
        ValueError: the quorum is below one.
    """
    if quorum < 1:
        raise ValueError(f"the quorum must be at least 1, got {quorum}")
    counted = tally(votes, round=round)
    nobody = Tally((), ())
    return [
        each
        for each in candidates
        if each.clip_digest
        and len(counted.get((each.candidate_id, each.clip_digest), nobody).picked_by) >= quorum
    ]


def kept_rows(candidates: list[Candidate], votes: list[Vote], *, quorum: int = QUORUM) -> list[Kept]:
    """Clips that a quorum of the first round and an expert of the second kept, with their lineage, sorted by id."""
    first, second = tally(votes, round=1), tally(votes, round=2)
    through = survivors(survivors(candidates, votes, round=1, quorum=quorum), votes, round=2, quorum=1)
    simulated = {vote.job_id for vote in votes if vote.simulated}
    kept = []
    for each in sorted(through, key=lambda row: row.candidate_id):
        clip = (each.candidate_id, str(each.clip_digest))
        jobs = first[clip].jobs + second[clip].jobs
        kept.append(
            _kept(each, jobs, first[clip].picked_by, second[clip].picked_by, bool(simulated & set(jobs)))
        )
    return kept


def _kept(
    row: Candidate, jobs: tuple[str, ...], people: tuple[str, ...], experts: tuple[str, ...], simulated: bool
) -> Kept:
    assert row.clip is not None and row.clip_digest is not None and row.motion_score is not None
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
        jobs=list(jobs),
        accepted_by=list(people),
        experts=list(experts),
        simulated=simulated,
    )


def keep_rates(candidates: list[Candidate], kept: list[Kept]) -> list[dict[str, str | int]]:
    """Made and kept clips by teacher and bucket."""
    made = Counter((row.teacher, row.bucket) for row in candidates if row.clip_digest)
    held = Counter((row.teacher, row.bucket) for row in kept)
    return [
        {"teacher": teacher, "bucket": bucket, "made": made[teacher, bucket], "kept": held[teacher, bucket]}
        for teacher, bucket in sorted(made)
    ]
