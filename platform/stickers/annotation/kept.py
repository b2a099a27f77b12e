"""From votes to the kept set: the clips that survived every round, each with its lineage (paper section 2.3)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from stickers.annotation.settings import Settings
from stickers.annotation.tally import Clip, Tally, surviving_clips, tally
from stickers.artifacts.records import Candidate, Kept, Vote


def survivors(
    candidates: Iterable[Candidate], votes: Sequence[Vote], settings: Settings, *, rounds: int | None = None
) -> list[Candidate]:
    """The candidates that survived the first `rounds` rounds, by default all of them."""
    clips = surviving_clips(votes, settings)[(rounds or len(settings.rounds)) - 1]
    return [row for row in candidates if (row.candidate_id, row.clip_digest) in clips]


def kept_rows(candidates: Iterable[Candidate], votes: Sequence[Vote], settings: Settings) -> list[Kept]:
    """The clips that survived all rounds, with their lineage, sorted by id."""
    tallies = [tally(votes, round_number=number) for number in range(1, len(settings.rounds) + 1)]
    simulated = {vote.job_id for vote in votes if vote.simulated}
    kept = [_kept(row, tallies, settings, simulated) for row in survivors(candidates, votes, settings)]
    return sorted(kept, key=lambda row: row.candidate_id)


def _kept(
    row: Candidate, tallies: Sequence[Mapping[Clip, Tally]], settings: Settings, simulated: set[str]
) -> Kept:
    assert row.clip is not None and row.clip_digest is not None and row.motion_score is not None
    by_round = [tallies_of_round[row.candidate_id, row.clip_digest] for tallies_of_round in tallies]
    jobs = [job for counted in by_round for job in counted.jobs]
    experts = [
        name
        for counted, rules in zip(by_round, settings.rounds, strict=True)
        for name in (*(counted.picked_by if rules.role == "expert" else ()), *counted.ruled_by)
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
        accepted_by=list(by_round[0].picked_by),
        experts=experts,
        simulated=bool(simulated & set(jobs)),
    )


def keep_rates(
    candidates: Iterable[Candidate], kept: Iterable[Kept | Candidate]
) -> list[dict[str, str | int]]:
    """The number of clips made and of clips kept, by teacher and bucket."""
    num_made = Counter((row.teacher, row.bucket) for row in candidates if row.clip_digest)
    num_kept = Counter((row.teacher, row.bucket) for row in kept)
    return [
        {"teacher": cell[0], "bucket": cell[1], "made": num_made[cell], "kept": num_kept[cell]}
        for cell in sorted(num_made)
    ]
