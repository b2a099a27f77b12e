"""The queue of jobs: who gets which, for how long, and what becomes of their answers.

Each job has as many seats as it needs people. A person takes a seat for the length of a lease; an answer fills it for
good. So nobody answers a job twice and no job is answered more often than it needs, however many ask at the same
moment, and a job that somebody walked away from goes to the next. All functions run inside a transaction of their
caller's.
"""

import random
import time
from collections import defaultdict
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
    tuple_,
    update,
)

from stickers.annotation.jobs import CHOOSE, GOLD, RULING, Job
from stickers.annotation.settings import Settings
from stickers.annotation.store.database import jobs, seats, skips, votes
from stickers.annotation.store.filing import add_seats, find_job, find_jobs, padded
from stickers.annotation.store.people import Person, note
from stickers.annotation.store.votes import Conflict, add_votes, last_vote
from stickers.artifacts.records import Vote
from stickers.errors import UserError

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


@dataclass(frozen=True, kw_only=True)
class Submission:
    """An answer, and with it the wish for a next job other than those that the person has."""

    person: Person
    settings: Settings
    job_id: str
    answer: Answer
    have: Collection[str] = ()


def submit(connection: Connection, some: Sequence[Submission]) -> list[tuple[Vote, Lease | None]]:
    """Take the answers of many people and give each of them the next job, in few steps for all; see `give`, `take`.

    Raises:
        Conflict: one of them, not said which, does not have the job (any more), or left out an answer.
        UserError: one of them names what the job does not show.
    """
    names = [each.person.name for each in some]
    if len(set(names)) < len(names):
        return [submit(connection, [each])[0] for each in some]
    cast = _give(connection, [(each.person, each.job_id, each.answer) for each in some])
    held = _held_by(connection, names)
    leases = [
        _take(connection, each.person, each.settings, each.have, held[each.person.name]) for each in some
    ]
    return list(zip(cast, leases, strict=True))


def take(
    connection: Connection, person: Person, settings: Settings, have: Collection[str] = ()
) -> Lease | None:
    """A job for a person, other than those that they `have` before them; or none, when nothing needs them now.

    What they took before and have not answered comes first, so that a reloaded page goes on where it was.
    """
    before = _held_by(connection, [person.name])[person.name]
    return _take(connection, person, settings, have, before)


def _take(
    connection: Connection, person: Person, settings: Settings, have: Collection[str], before: Sequence[Any]
) -> Lease | None:
    mine = [row for row in before if row.job_id not in have and row.kind != RULING]
    kept = _first_lease(connection, mine, person, settings)
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
            return _lease(connection, gold["job_id"], connection.execute(last).scalar(), person, settings)
    for number in rounds:
        found = take_of(connection, person, settings, number, CHOOSE)
        if found:
            return found
    return None


def _held_by(connection: Connection, names: Sequence[str]) -> defaultdict[str, list[Any]]:
    """The seats that people took and have not answered, by their names, the first taken first."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(_HELD, {"names": padded(names)}):
        found[row.holder].append(row)
    return found


def take_ruling(
    connection: Connection, lead: Person, settings: Settings, have: Collection[str]
) -> Lease | None:
    """The disputed job that a lead took, has not decided and does not `have` before them, or none."""
    before = _held_by(connection, [lead.name])[lead.name]
    mine = [row for row in before if row.job_id not in have and row.kind == RULING]
    return _first_lease(connection, mine, lead, settings)


def take_of(
    connection: Connection, person: Person, settings: Settings, number: int, kind: str
) -> Lease | None:
    """The first job of a round and kind that needs this person, or none."""
    now = time.time()
    until = now + settings.lease_seconds
    values = {"me": person.name, "now": now, "until": until, "number": number, "what": kind}
    taken = connection.execute(_TAKE_FIRST, values).scalar()
    return Lease(job=find_job(connection, taken)) if taken else None


def _first_lease(
    connection: Connection, some: Iterable[Any], person: Person, settings: Settings
) -> Lease | None:
    """The first of some seats that is still nobody else's, for another lease."""
    for row in some:
        found = _lease(connection, row.job_id, row.seat, person, settings)
        if found:
            return found
    return None


def _lease(
    connection: Connection, job_id: str, seat: Any, person: Person, settings: Settings
) -> Lease | None:
    now = time.time()
    values = {"me": person.name, "now": now, "until": now + settings.lease_seconds}
    taken = connection.execute(_TAKE, {**values, "job": job_id, "place": seat}).rowcount
    return Lease(job=find_job(connection, job_id)) if taken else None


_HELD = (
    select(seats.c.holder, seats.c.job_id, seats.c.seat, seats.c.kind)
    .where(seats.c.holder.in_(bindparam("names", expanding=True)), ~seats.c.answered)
    .order_by(seats.c.leased_at)
)
_other = seats.alias("other")


def _none(column: Any, *where: ColumnElement[bool]) -> ColumnElement[bool]:
    """There is no such row, looked up for one seat at a time: PostgreSQL scans all seats for a plain NOT EXISTS, also
    within a CASE, and takes a bare IS NULL to be so rare that it sorts the whole queue."""
    return case((select(column).where(*where).scalar_subquery().is_not(None), false()), else_=true())


#: the first seat that can be taken, of a job that this person has no seat of and has not skipped
_OPEN = (
    select(seats.c.job_id, seats.c.seat)
    .where(
        seats.c.kind == bindparam("what"),
        seats.c.round == bindparam("number"),
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
    select(jobs.c.job_id, jobs.c.round, jobs.c.position)
    .where(
        jobs.c.kind == GOLD,
        ~jobs.c.withdrawn,
        _none(seats.c.seat, seats.c.job_id == jobs.c.job_id, seats.c.holder == bindparam("me")),
        _none(skips.c.at, skips.c.job_id == jobs.c.job_id, skips.c.name == bindparam("me")),
    )
    .order_by(jobs.c.position)
    .limit(1)
)
_LEASED: dict[str, Any] = {
    "holder": bindparam("me"),
    "leased_at": bindparam("now"),
    "expires_at": bindparam("until"),
}
_TAKE = (
    update(seats)
    .where(
        seats.c.job_id == bindparam("job"),
        seats.c.seat == bindparam("place"),
        ~seats.c.answered,
        or_(seats.c.holder.is_(None), seats.c.holder == bindparam("me")),
    )
    .values(_LEASED)
)
_TAKE_FIRST = (
    update(seats)
    .where(tuple_(seats.c.job_id, seats.c.seat) == _OPEN.correlate(None).scalar_subquery())
    .values(_LEASED)
    .returning(seats.c.job_id)
)
_mine = and_(seats.c.job_id == bindparam("job"), seats.c.holder == bindparam("me"))
_MINE = select(seats.c.seat).where(_mine)
_FILL = update(seats).where(_mine).values(answered=True)
_LEAVE = update(seats).where(_mine, ~seats.c.answered).values(holder=None, expires_at=0.0)


def give(connection: Connection, person: Person, job_id: str, answer: Answer) -> Vote:
    """Take a person's answer to a job that they have; the same answer again changes nothing.

    A lease that ran out is as good as any while nobody else has taken the job.

    Raises:
        Conflict: the person does not have the job (any more), or an answer before this one has not arrived.
        UserError: the answer names what the job does not show.
    """
    return _give(connection, [(person, job_id, answer)])[0]


def _give(connection: Connection, some: Sequence[tuple[Person, str, Answer]]) -> list[Vote]:
    mine = [{"job": job_id, "me": person.name} for person, job_id, _ in some]
    if connection.execute(_FILL, mine).rowcount < len(some):
        raise Conflict(
            f"job {mine[0]['job'][:26]} is not yours: you never had it, or your time ran out and it went to "
            "somebody else"
        )
    known = find_jobs(connection, [job_id for _, job_id, _ in some])
    cast = [_vote(known[job_id], person, answer) for person, job_id, answer in some]
    add_votes(connection, cast)
    return cast


def _vote(job: Job, person: Person, answer: Answer) -> Vote:
    order = job.order_for(person.name)
    picks, shown = set(answer.picks), [job.candidates[place] for place in order]
    foreign = sorted((picks | set(answer.flags)) - set(shown))
    if foreign:
        raise UserError(f"job {job.job_id} does not show the clip {foreign[0][:40]!r}")
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
    if not connection.execute(_LEAVE, {"job": job_id, "me": person.name}).rowcount:
        there = select(skips.c.reason).where(skips.c.job_id == job_id, skips.c.name == person.name)
        if connection.execute(there).first():
            return
        raise Conflict(f"job {job_id[:26]} is not before you; it cannot be skipped")
    words = reason.strip()[:LONGEST_REASON]
    connection.execute(
        insert(skips), {"job_id": job_id, "name": person.name, "reason": words, "at": time.time()}
    )


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
    job = find_job(connection, job_id)
    answer = last_vote(connection, job_id, person.name, job.round)
    return Lease(job=job, revision=answer.revision if answer else 0, answer=answer)


def history(connection: Connection, name: str, most: int = 50) -> list[str]:
    """The jobs that a person answered, the last one first."""
    query = (
        select(votes.c.job_id)
        .where(votes.c.annotator == name)
        .group_by(votes.c.job_id)
        .order_by(func.max(votes.c.submitted_at).desc())
        .limit(most)
    )
    return list(connection.execute(query).scalars())
