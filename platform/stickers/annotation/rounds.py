"""How clips move through the rounds: plans join the queue, survivors go on, votes are retired, settings change.

Every function here may run again at any time. It adds jobs and seats that are missing, removes seats that are no longer
needed, and never touches a vote.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, update

from stickers.annotation.jobs import CHOOSE, RULING, build_jobs, group_by_plan
from stickers.annotation.settings import Settings, settings_of
from stickers.annotation.store.database import jobs, lock_job_building, plans, retirements, seats
from stickers.annotation.store.database import settings as settings_table
from stickers.annotation.store.filing import IDS_PER_STATEMENT, add_jobs, add_seats, jobs_in
from stickers.annotation.store.people import note
from stickers.annotation.store.seats import LONGEST_REASON
from stickers.annotation.store.votes import retired_people, votes_in
from stickers.annotation.tally import Clip, verdicts
from stickers.artifacts.records import Candidate
from stickers.errors import UserError


def read_settings(connection: Connection) -> Settings:
    """The current settings."""
    query = select(settings_table.c.value).order_by(settings_table.c.version.desc()).limit(1)
    value = connection.execute(query).scalar()
    return settings_of(value) if value else Settings()


def begin_settings(connection: Connection, settings: Settings, by: str) -> bool:
    """Take these settings, such as a project's, for a store that has neither settings nor a plan yet.

    Others keep theirs, because a lead may have decided them or people may have chosen by them.

    Returns:
        Whether they are taken.
    """
    lock_job_building(connection)
    for column in (settings_table.c.version, plans.c.plan_id):
        if connection.execute(select(column).limit(1)).first():
            return False
    connection.execute(insert(settings_table), {"at": time.time(), "by": by, "value": asdict(settings)})
    note(connection, by, "settings", asdict(settings))
    return True


def change_settings(connection: Connection, values: Mapping[str, Any], by: str) -> Settings:
    """Change settings for new jobs and for jobs in the queue: adds the seats they now need and removes the others.

    Raises:
        UserError: a name is unknown or a value is not accepted.
    """
    lock_job_building(connection)
    before = read_settings(connection)
    after = before.changed(values)
    if after == before:
        return after
    connection.execute(insert(settings_table), {"at": time.time(), "by": by, "value": asdict(after)})
    note(connection, by, "settings", dict(values))
    if after.rounds != before.rounds:
        balance(connection, after)
    return after


def open_plan(
    connection: Connection,
    plan_id: str,
    uri: str,
    candidates: Iterable[Candidate],
    *,
    supersedes: str = "",
    by: str,
) -> int:
    """Add a finished plan's candidates to the queue; returns how many jobs are new.

    A clip that was ever in a first-round job is not queued again. Where this plan replaces rows of the plan
    `supersedes`, jobs that show a replaced row and that nobody has begun are withdrawn, and their other clips are
    queued again.
    """
    lock_job_building(connection)
    rows = [row for row in candidates if row.clip_digest is not None]
    is_new = not connection.execute(select(plans.c.plan_id).where(plans.c.plan_id == plan_id)).first()
    if is_new:
        values = {"uri": uri, "supersedes": supersedes, "open": True, "opened_at": time.time()}
        connection.execute(insert(plans), {"plan_id": plan_id, **values})
        note(connection, by, "plan opened", {"plan_id": plan_id, "candidates": len(rows)})
    else:
        connection.execute(update(plans).where(plans.c.plan_id == plan_id).values(open=True, uri=uri))
    settings = read_settings(connection)
    if not is_new:
        balance(connection, settings)
    if supersedes:
        _withdraw_replaced(connection, supersedes, {(row.candidate_id, str(row.clip_digest)) for row in rows})
    queued = {clip for job in jobs_in(connection, kind=CHOOSE) if job.round == 1 for clip in job.clips}
    fresh = [row for row in rows if (row.candidate_id, row.clip_digest) not in queued]
    return _add_round_jobs(connection, fresh, plan_id, 1, settings) if fresh else 0


def _add_round_jobs(
    connection: Connection, rows: list[Candidate], plan_id: str, round_number: int, settings: Settings
) -> int:
    new_jobs = build_jobs(
        rows,
        plan_id=plan_id,
        round_number=round_number,
        clips_per_job=settings.clips_per_job,
        policy=settings.policy,
    )
    return add_jobs(connection, new_jobs, settings.rounds[round_number - 1].people)


def _withdraw_replaced(connection: Connection, plan_id: str, current: set[Clip]) -> None:
    """Withdraw the jobs of an older plan that nobody has begun and that show a clip outside of `current`."""
    begun = _begun(connection, plan_id)
    stale = [
        job.job_id
        for job in jobs_in(connection, plan_id)
        if job.job_id not in begun and not set(job.clips) <= current
    ]
    withdraw(connection, stale)


def _begun(connection: Connection, plan_id: str) -> set[str]:
    """The jobs of a plan that somebody has taken; until the transaction ends, nobody takes or answers the others."""
    of_plan = select(jobs.c.job_id).where(jobs.c.plan_id == plan_id)
    query = select(seats.c.job_id, seats.c.holder).where(seats.c.job_id.in_(of_plan)).with_for_update()
    return {row.job_id for row in connection.execute(query) if row.holder is not None}


def withdraw(connection: Connection, job_ids: Sequence[str]) -> None:
    """Take jobs out of the queue; their answers stay."""
    for start in range(0, len(job_ids), IDS_PER_STATEMENT):
        batch = job_ids[start : start + IDS_PER_STATEMENT]
        connection.execute(update(jobs).where(jobs.c.job_id.in_(batch)).values(withdrawn=True))
        connection.execute(delete(seats).where(seats.c.job_id.in_(batch), ~seats.c.answered))


def close_plan(connection: Connection, plan_id: str, by: str) -> None:
    """Take a plan's open jobs out of the queue; `open_plan` puts them back. UserError: it was never opened."""
    if not connection.execute(update(plans).where(plans.c.plan_id == plan_id).values(open=False)).rowcount:
        raise UserError(f"plan {plan_id!r} was never opened")
    of_plan = select(jobs.c.job_id).where(jobs.c.plan_id == plan_id)
    connection.execute(delete(seats).where(seats.c.job_id.in_(of_plan), ~seats.c.answered))
    note(connection, by, "plan closed", {"plan_id": plan_id})


def rebuild(connection: Connection, candidates: Iterable[Candidate], plan_id: str, by: str) -> int:
    """Build the first-round jobs that nobody has begun again, by the current settings; returns how many there are."""
    lock_job_building(connection)
    begun = _begun(connection, plan_id)
    old_jobs = [
        job for job in jobs_in(connection, plan_id, CHOOSE) if job.round == 1 and job.job_id not in begun
    ]
    clips = {clip for job in old_jobs for clip in job.clips}
    rows = [row for row in candidates if (row.candidate_id, row.clip_digest) in clips]
    if not rows:
        return 0
    settings = read_settings(connection)
    new_jobs = build_jobs(
        rows,
        plan_id=plan_id,
        round_number=1,
        clips_per_job=settings.clips_per_job,
        policy=settings.policy,
    )
    new_ids = {job.job_id for job in new_jobs}
    withdraw(connection, [job.job_id for job in old_jobs if job.job_id not in new_ids])
    requeue = update(jobs).where(jobs.c.job_id == bindparam("job")).values(withdrawn=False)
    connection.execute(requeue, [{"job": job_id} for job_id in new_ids])
    add_jobs(connection, new_jobs, settings.rounds[0].people)
    balance(connection, settings)
    note(connection, by, "jobs rebuilt", {"plan_id": plan_id, "jobs": len(new_jobs)})
    return len(new_jobs)


def balance(connection: Connection, settings: Settings, job_ids: Collection[str] | None = None) -> None:
    """Give every job as many seats as it still needs people whose votes count, and remove empty seats beyond that.

    A job of a round needs as many people as the round asks for, a ruling needs one lead.

    Args:
        job_ids: only these jobs; by default all.
    """
    retired = retired_people(connection)
    counted = case((seats.c.answered & seats.c.holder.not_in(retired), 1), else_=0)
    waiting = case((~seats.c.answered, 1), else_=0)  # NULL, and so 0, for a job without seats
    query = (
        select(
            jobs.c.job_id,
            jobs.c.round,
            jobs.c.kind,
            jobs.c.position,
            func.coalesce(func.sum(counted), 0),
            func.coalesce(func.sum(waiting), 0),
        )
        .join(plans, plans.c.plan_id == jobs.c.plan_id)
        .outerjoin(seats, seats.c.job_id == jobs.c.job_id)
        .where(~jobs.c.withdrawn, plans.c.open, jobs.c.kind.in_((CHOOSE, RULING)))
        .group_by(jobs.c.job_id, jobs.c.round, jobs.c.kind, jobs.c.position)
    )
    new_seats = []
    for job_id, round_number, kind, position, num_answered, num_empty in connection.execute(query).all():
        if round_number > len(settings.rounds) or (job_ids is not None and job_id not in job_ids):
            continue
        num_people = 1 if kind == RULING else settings.rounds[round_number - 1].people
        missing = num_people - num_answered - num_empty
        if missing > 0:
            new_seats.append((job_id, round_number, kind, position, missing))
        elif missing < 0 and num_empty:
            _remove_seats(connection, job_id, min(-missing, num_empty))
    add_seats(connection, new_seats)


def _remove_seats(connection: Connection, job_id: str, count: int) -> None:
    """Remove seats without an answer: free ones first, then those of the people who took the job last."""
    query = (
        select(seats.c.seat)
        .where(seats.c.job_id == job_id, ~seats.c.answered)
        .order_by(seats.c.holder.is_not(None), seats.c.leased_at.desc(), seats.c.seat.desc())
        .limit(count)
    )
    surplus = connection.execute(query.with_for_update()).scalars().all()
    connection.execute(delete(seats).where(seats.c.job_id == job_id, seats.c.seat.in_(surplus)))


def retire(connection: Connection, name: str, *, retired: bool, by: str, reason: str) -> int:
    """Stop counting a person's votes, or count them again, and balance the seats of their jobs.

    Returns:
        How many votes it concerns.

    Raises:
        UserError: the votes are in that state already, or the reason is empty.
    """
    if not reason.strip():
        raise UserError("say why: the reason is written into the log of events")
    if (name in retired_people(connection)) == retired:
        raise UserError(f"the votes of {name!r} are {'retired' if retired else 'counted'} already")
    reason = reason[:LONGEST_REASON]
    connection.execute(
        insert(retirements),
        {"name": name, "retired": retired, "by": by, "reason": reason, "at": time.time()},
    )
    note(connection, by, "votes retired" if retired else "votes restored", {"name": name, "reason": reason})
    answered = select(seats.c.job_id).where(seats.c.holder == name, seats.c.answered)
    job_ids = set(connection.execute(answered).scalars())
    balance(connection, read_settings(connection), job_ids)
    return len(job_ids)


def advance(connection: Connection, candidates: Mapping[str, Candidate]) -> int:
    """Build jobs of the next rounds for clips that survived a round; returns how many.

    While a round has open jobs, only full jobs are built of its survivors. Once it has none, the rest follows.

    Args:
        candidates: of every open plan, by id.
    """
    lock_job_building(connection)
    settings, num_jobs = read_settings(connection), 0
    votes = votes_in(connection)
    round_jobs = jobs_in(connection, kind=CHOOSE)
    for number, rules in enumerate(settings.rounds[:-1], 1):
        surviving = {clip for clip, verdict in verdicts(votes, number, rules).items() if verdict.survives}
        queued = {clip for job in round_jobs if job.round == number + 1 for clip in job.clips}
        waiting = [
            candidates[name]
            for name, digest in sorted(surviving - queued)
            if name in candidates and candidates[name].clip_digest == digest
        ]
        is_open = _has_open_jobs(connection, number)
        for plan_id, rows in group_by_plan(waiting, round_jobs, number).items():
            ready = _fill_jobs(rows, settings.clips_per_job) if is_open else rows
            num_jobs += _add_round_jobs(connection, ready, plan_id, number + 1, settings) if ready else 0
    return num_jobs


def _has_open_jobs(connection: Connection, round_number: int) -> bool:
    query = select(seats.c.job_id).where(
        seats.c.round == round_number, seats.c.kind == CHOOSE, ~seats.c.answered
    )
    return connection.execute(query).first() is not None


def _fill_jobs(rows: list[Candidate], clips_per_job: int) -> list[Candidate]:
    """The first rows that fill jobs, the clips of a prompt together."""
    rows = sorted(rows, key=lambda row: (row.prompt, row.candidate_id))
    return rows[: len(rows) // clips_per_job * clips_per_job]
