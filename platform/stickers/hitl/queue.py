"""The queue of jobs: who gets which, for how long, and what becomes of their answers.

Each job has as many seats as it needs people. A person takes a seat for the length of a lease; an answer fills it for
good. So nobody answers a job twice and no job is answered more often than it needs, however many ask at the same
moment, and a job that somebody walked away from goes to the next. All functions run inside a transaction of their
caller's.
"""

import random
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from stickers.artifacts import Vote
from stickers.hitl.database import insert_new, jobs, seats, skips, votes
from stickers.hitl.jobs import CHOOSE, GOLD, RULING, Job
from stickers.hitl.people import Person, note
from stickers.hitl.settings import Settings
from stickers.hitl.votes import Conflict, add_vote, last_vote

LONGEST_REASON = 500
#: seconds that a person may claim to have looked at one job
LONGEST_LOOK = 3600.0


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A job that a person has; `answer` is what they said before, if they have answered it."""

    job: Job
    revision: int = 0
    answer: Vote | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a person says of a job: the clips worth sharing, and those that something is wrong with."""

    picks: Sequence[str] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0
    seconds: float = 0.0


def take(
    connection: Connection, person: Person, settings: Settings, have: Collection[str] = ()
) -> Lease | None:
    """A job for a person, other than those that they `have` before them; or none, when nothing needs them now.

    What they took before and have not answered comes first, so that a reloaded page goes on where it was.
    """
    now, kept = time.time(), held(connection, person, settings, have)
    if kept:
        return kept
    rounds = settings.rounds_of(person.role)
    if not rounds or settings.paused:
        return None
    if 1 in rounds and random.random() < settings.gold_rate:
        gold = connection.execute(_UNSEEN_GOLD, {"me": person.name}).mappings().first()
        if gold:
            add_seats(connection, [(gold["job_id"], gold["round"], GOLD, gold["position"], 1)])
            last = select(func.max(seats.c.seat)).where(seats.c.job_id == gold["job_id"])
            return _lease(
                connection, {**gold, "seat": connection.execute(last).scalar()}, person, settings, now
            )
    for number in rounds:
        found = take_of(connection, person, settings, number, CHOOSE)
        if found:
            return found
    return None


def held(
    connection: Connection, person: Person, settings: Settings, have: Collection[str], *, ruling: bool = False
) -> Lease | None:
    """A job that a person took, has not answered and does not `have` before them, or none."""
    for row in connection.execute(_HELD, {"me": person.name}).mappings().all():
        if row["job_id"] not in have and (row["kind"] == RULING) == ruling:
            return _lease(connection, row, person, settings, time.time())
    return None


def take_of(
    connection: Connection, person: Person, settings: Settings, number: int, kind: str
) -> Lease | None:
    """The first job of a round and kind that needs this person, or none."""
    now = time.time()
    values = {"me": person.name, "now": now, "round": number, "kind": kind}
    row = connection.execute(_OPEN, values).mappings().first()
    return _lease(connection, row, person, settings, now) if row else None


def _lease(connection: Connection, row: Any, person: Person, settings: Settings, now: float) -> Lease:
    until = now + settings.lease_seconds
    connection.execute(
        _TAKE, {"job": row["job_id"], "place": row["seat"], "me": person.name, "now": now, "until": until}
    )
    return Lease(job=job_from(row))


_JOB = (jobs.c.job_id, jobs.c.plan_id, jobs.c.round, jobs.c.kind, jobs.c.clips)
_HELD = (
    select(*_JOB, seats.c.seat)
    .join(seats, seats.c.job_id == jobs.c.job_id)
    .where(seats.c.holder == bindparam("me"), ~seats.c.answered)
    .order_by(seats.c.leased_at)
)
_other = seats.alias("other")


def _none(column: Any, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """There is no such row, looked up for one seat at a time: PostgreSQL scans all seats for a plain NOT EXISTS, also
    within a CASE, and takes a bare IS NULL to be so rare that it sorts the whole queue."""
    return case((select(column).where(*where).scalar_subquery().is_not(None), false()), else_=true())


#: the first seat that can be taken, of a job that this person has no seat of and has not skipped
_OPEN = (
    select(*_JOB, seats.c.seat)
    .join(seats, seats.c.job_id == jobs.c.job_id)
    .where(
        seats.c.kind == bindparam("kind"),
        seats.c.round == bindparam("round"),
        ~seats.c.answered,
        or_(seats.c.holder.is_(None), seats.c.expires_at < bindparam("now")),
        _none(_other.c.seat, _other.c.job_id == seats.c.job_id, _other.c.holder == bindparam("me")),
        _none(skips.c.at, skips.c.job_id == seats.c.job_id, skips.c.name == bindparam("me")),
    )
    .order_by(seats.c.position, seats.c.seat)
    .limit(1)
    .with_for_update(skip_locked=True, of=seats)
)
_UNSEEN_GOLD = (
    select(*_JOB, jobs.c.position)
    .where(
        jobs.c.kind == GOLD,
        ~jobs.c.withdrawn,
        _none(seats.c.seat, seats.c.job_id == jobs.c.job_id, seats.c.holder == bindparam("me")),
        _none(skips.c.at, skips.c.job_id == jobs.c.job_id, skips.c.name == bindparam("me")),
    )
    .order_by(jobs.c.position)
    .limit(1)
)
_TAKE = (
    update(seats)
    .where(seats.c.job_id == bindparam("job"), seats.c.seat == bindparam("place"))
    .values(holder=bindparam("me"), leased_at=bindparam("now"), expires_at=bindparam("until"))
)
_MINE = (
    select(*_JOB, seats.c.seat, seats.c.answered)
    .join(seats, seats.c.job_id == jobs.c.job_id)
    .where(seats.c.job_id == bindparam("job"), seats.c.holder == bindparam("me"))
)
_FILL = (
    update(seats)
    .where(seats.c.job_id == bindparam("job"), seats.c.seat == bindparam("place"))
    .values(answered=True)
)


def give(connection: Connection, person: Person, job_id: str, answer: Answer) -> Vote:
    """Take a person's answer to a job that they have; the same answer again changes nothing.

    A lease that ran out is as good as any while nobody else has taken the job.

    Raises:
        Conflict: the person does not have the job (any more), or an answer before this one has not arrived.
        ValueError: the answer names what the job does not show.
    """
    mine = connection.execute(_MINE, {"job": job_id, "me": person.name}).mappings().first()
    if mine is None:
        raise Conflict(
            f"job {job_id[:26]} is not yours: you never had it, or your time ran out and it went to somebody else"
        )
    vote = _vote(job_from(mine), person, answer)
    add_vote(connection, vote)
    if not mine["answered"]:
        connection.execute(_FILL, {"job": job_id, "place": mine["seat"]})
    return vote


def _vote(job: Job, person: Person, answer: Answer) -> Vote:
    order = job.order_for(person.name)
    picks, shown = set(answer.picks), [job.candidates[place] for place in order]
    foreign = sorted((picks | set(answer.flags)) - set(shown))
    if foreign:
        raise ValueError(f"job {job.job_id} does not show the clip {foreign[0][:40]!r}")
    flagged = [name for name in shown if name in answer.flags]
    ended = datetime.now(UTC)
    return Vote(
        job_id=job.job_id,
        annotator=person.name,
        round=job.round,
        plan_id=job.plan_id,
        shown=shown,
        shown_digests=[job.digests[place] for place in order],
        picks=[name for name in shown if name in picks],
        started_at=ended - timedelta(seconds=min(max(answer.seconds, 0.0), LONGEST_LOOK)),
        submitted_at=ended,
        simulated=person.simulated,
        kind=job.kind,
        revision=answer.revision,
        flagged=flagged,
        flags=[answer.flags[name] for name in flagged],
    )


def skip(connection: Connection, person: Person, job_id: str, reason: str) -> None:
    """Give a job back for good: it goes to somebody else. Again, it changes nothing.

    Raises:
        Conflict: the person does not have it, or has answered it.
    """
    there = select(skips.c.reason).where(skips.c.job_id == job_id, skips.c.name == person.name)
    if connection.execute(there).first():
        return
    mine = connection.execute(_MINE, {"job": job_id, "me": person.name}).mappings().first()
    if mine is None or mine["answered"]:
        raise Conflict(f"job {job_id[:26]} is not before you; it cannot be skipped")
    words = reason.strip()[:LONGEST_REASON]
    connection.execute(
        insert(skips), {"job_id": job_id, "name": person.name, "reason": words, "at": time.time()}
    )
    seat = and_(seats.c.job_id == job_id, seats.c.seat == mine["seat"])
    connection.execute(update(seats).where(seat).values(holder=None, expires_at=0.0))


def release(connection: Connection, name: str, by: str) -> int:
    """Give everything that a person holds and has not answered back to the queue; returns how many jobs."""
    held = and_(seats.c.holder == name, ~seats.c.answered)
    count = connection.execute(update(seats).where(held).values(holder=None, expires_at=0.0)).rowcount
    note(connection, by, "jobs released", {"name": name, "jobs": count})
    return count


def count_answered(connection: Connection, name: str) -> int:
    """How many jobs a person has answered."""
    query = select(func.count()).select_from(votes).where(votes.c.annotator == name, votes.c.revision == 0)
    return int(connection.execute(query).scalar_one())


def recall(connection: Connection, person: Person, job_id: str) -> Lease | None:
    """A job that a person has or had, with their last answer; or none, when it is not theirs."""
    mine = connection.execute(_MINE, {"job": job_id, "me": person.name}).mappings().first()
    if mine is None:
        return None
    answer = last_vote(connection, job_id, person.name, mine["round"])
    return Lease(job=job_from(mine), revision=answer.revision if answer else 0, answer=answer)


def history(connection: Connection, name: str, most: int = 50) -> list[str]:
    """The jobs that a person answered, the last one first."""
    query = (
        select(votes.c.job_id)
        .where(votes.c.annotator == name)
        .order_by(votes.c.submitted_at.desc())
        .limit(2 * most)
    )
    return list(dict.fromkeys(connection.execute(query).scalars()))[:most]


def add_jobs(
    connection: Connection,
    some: Iterable[Job],
    num_people: int,
    *,
    right: Mapping[str, Sequence[str]] | None = None,
) -> int:
    """Append jobs to the queue, each with so many seats; those that are there stay. Returns how many are new.

    Args:
        right: of gold jobs, the candidates that are worth sharing.
    """
    some = list(some)
    known = set(connection.execute(select(jobs.c.job_id)).scalars())
    fresh = [job for job in some if job.job_id not in known]
    last = connection.execute(select(func.max(jobs.c.position))).scalar() or 0.0
    now = time.time()
    rows: list[dict[str, Any]] = [
        {
            "job_id": job.job_id,
            "plan_id": job.plan_id,
            "round": job.round,
            "kind": job.kind,
            "position": last + number,
            "clips": [
                list(each) for each in zip(job.candidates, job.digests, job.prompts, job.frames, job.fps)
            ],
            "right": list(right[job.job_id]) if right else None,
            "withdrawn": False,
            "created_at": now,
        }
        for number, job in enumerate(fresh, 1)
    ]
    if rows:
        connection.execute(insert_new(connection.dialect.name, jobs), rows)
        add_seats(
            connection,
            [(row["job_id"], row["round"], row["kind"], row["position"], num_people) for row in rows],
        )
    return len(rows)


def add_seats(connection: Connection, wanted: Sequence[tuple[str, int, str, float, int]]) -> None:
    """More seats: of each (job id, round, kind, position, how many)."""
    ids = [row[0] for row in wanted]
    taken: dict[str, int] = {}
    for start in range(0, len(ids), 500):
        query = (
            select(seats.c.job_id, func.max(seats.c.seat))
            .where(seats.c.job_id.in_(ids[start : start + 500]))
            .group_by(seats.c.job_id)
        )
        taken |= {row[0]: row[1] + 1 for row in connection.execute(query)}
    rows = [
        {
            "job_id": job_id,
            "seat": taken.get(job_id, 0) + number,
            "round": round,
            "kind": kind,
            "position": position,
            "holder": None,
            "leased_at": 0.0,
            "expires_at": 0.0,
            "answered": False,
        }
        for job_id, round, kind, position, count in wanted
        for number in range(count)
    ]
    if rows:
        connection.execute(insert(seats), rows)


def job_from(row: Any) -> Job:
    """A job as its row has it."""
    candidates, digests, prompts, frames, fps = zip(*row["clips"], strict=True)
    return Job(
        job_id=row["job_id"],
        plan_id=row["plan_id"],
        round=row["round"],
        candidates=candidates,
        digests=digests,
        prompts=prompts,
        frames=frames,
        fps=fps,
        kind=row["kind"],
    )


def jobs_in(connection: Connection, plan_id: str | None = None, kind: str | None = None) -> list[Job]:
    """Every job that is not withdrawn, in the order of the queue."""
    query = select(*_JOB).where(~jobs.c.withdrawn).order_by(jobs.c.round, jobs.c.position)
    if plan_id is not None:
        query = query.where(jobs.c.plan_id == plan_id)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    return [job_from(row) for row in connection.execute(query).mappings()]
