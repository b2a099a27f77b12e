"""What a lead decides: clips that people disagree about or have flagged become jobs whose answers are rulings."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from stickers.annotation.jobs import CHOOSE, RULING, build_jobs, group_by_plan
from stickers.annotation.rounds import read_settings
from stickers.annotation.settings import Settings
from stickers.annotation.store.database import lock_job_building
from stickers.annotation.store.filing import add_jobs, jobs_in
from stickers.annotation.store.people import Person
from stickers.annotation.store.seats import Lease, take_of, take_ruling
from stickers.annotation.store.votes import votes_in
from stickers.annotation.tally import Clip, Verdict, verdicts
from stickers.artifacts.records import Candidate, Vote

#: built at a time; more would not help, since later votes change which disputes are closest
CLIPS_AT_ONCE = 60


def disputed(votes: Sequence[Vote], settings: Settings) -> dict[int, list[tuple[Clip, Verdict]]]:
    """By round, the clips that people disagree about or flagged and that have no ruling; the closest votes first."""
    by_round: dict[int, list[tuple[Clip, Verdict]]] = {}
    for number, rules in enumerate(settings.rounds, 1):
        clips = [
            (clip, verdict)
            for clip, verdict in verdicts(votes, number, rules).items()
            if verdict.judged and verdict.disputed and verdict.ruling is None
        ]
        by_round[number] = sorted(clips, key=lambda item: (abs(item[1].yes - item[1].no), item[0]))
    return by_round


def next_ruling(
    connection: Connection, lead: Person, candidates: Mapping[str, Candidate], have: Collection[str] = ()
) -> tuple[Lease, dict[str, Verdict]] | None:
    """A job of disputed clips for a lead, with the verdict on each clip by candidate id; None without disputes.

    Args:
        candidates: of every plan in the queue, by id.
        have: ids of the jobs that the lead's page already shows.
    """
    settings, votes = read_settings(connection), votes_in(connection)
    lease = take_ruling(connection, lead, settings, have)
    for number, clips in disputed(votes, settings).items():
        lease = lease or take_of(connection, lead, settings, number, RULING)
        if lease is None:
            _build_rulings(connection, number, clips, candidates, settings)
            lease = take_of(connection, lead, settings, number, RULING)
    if lease is None:
        return None
    number = lease.job.round
    by_clip = verdicts(votes, number, settings.rounds[number - 1])
    return lease, {clip[0]: by_clip[clip] for clip in lease.job.clips if clip in by_clip}


def _build_rulings(
    connection: Connection,
    round_number: int,
    clips: Sequence[tuple[Clip, Verdict]],
    candidates: Mapping[str, Candidate],
    settings: Settings,
) -> None:
    lock_job_building(connection)
    queued = {
        clip for job in jobs_in(connection, kind=RULING) if job.round == round_number for clip in job.clips
    }
    rows = [
        candidates[name]
        for (name, digest), _ in clips
        if (name, digest) not in queued and name in candidates and candidates[name].clip_digest == digest
    ][:CLIPS_AT_ONCE]
    for plan_id, rows_of_plan in group_by_plan(rows, jobs_in(connection, kind=CHOOSE), round_number).items():
        new_jobs = build_jobs(
            rows_of_plan,
            plan_id=plan_id,
            round_number=round_number,
            clips_per_job=settings.clips_per_job,
            kind=RULING,
        )
        add_jobs(connection, new_jobs, 1)
