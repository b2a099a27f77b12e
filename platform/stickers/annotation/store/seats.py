"""The queue of jobs: who gets which job, for how long, and how answers are taken.

A job has a seat for every person that it needs. A person takes a seat for the length of a lease, and an answer fills it
for good. So nobody answers a job twice, no job gets more answers than it needs, however many people ask at the same
moment, and a job that somebody abandoned goes to another person. Every function runs in its caller's transaction.
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
from stickers.annotation.store.votes import ConflictError, add_votes, last_vote
from stickers.artifacts.records import Vote
from stickers.errors import UserError

LONGEST_REASON = 500
#: seconds on one job that are believed; a page left open claims more
LONGEST_LOOK = 3600.0
ID_LENGTH = 26
#: characters of an unknown clip id that an error repeats
CLIP_ID_SHOWN = 40
JOBS_SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A job that a person holds, with their last `answer` if they have answered it."""

    job: Job
    revision: int = 0
    answer: Vote | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A person's answer to a job: the clips worth sharing, and the flags of broken or unsafe clips by candidate id."""

    picks: Sequence[str] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Submission:
    """An answer together with the request for a next job, other than those that the person's page already shows."""

    person: Person
    settings: Settings
    job_id: str
    answer: Answer
    have: Collection[str] = ()


def submit(connection: Connection, submissions: Sequence[Submission]) -> list[tuple[Vote, Lease | None]]:
    """Take the answers of many people and give each the next job, in few statements for all; see `give` and `take`.

    Raises:
        ConflictError: some person does not hold the job, or an answer before this one has not arrived.
        UserError: some answer names a clip that the job does not show.
    """
    names = [submission.person.name for submission in submissions]
    if len(set(names)) < len(names):
        return [submit(connection, [submission])[0] for submission in submissions]
    new_votes = _give(
        connection, [(submission.person, submission.job_id, submission.answer) for submission in submissions]
    )
    held = _held_by(connection, names)
    leases = [
        _take(
            connection, submission.person, submission.settings, submission.have, held[submission.person.name]
        )
        for submission in submissions
    ]
    return list(zip(new_votes, leases, strict=True))


def take(
    connection: Connection, person: Person, settings: Settings, have: Collection[str] = ()
) -> Lease | None:
    """The next job for a person, or None where no job needs them now.

    Jobs that they hold and have not answered come first, so that a reloaded page goes on where it was.

    Args:
        have: ids of the jobs that their page already shows.
    """
    before = _held_by(connection, [person.name])[person.name]
    return _take(connection, person, settings, have, before)


def _take(
    connection: Connection, person: Person, settings: Settings, have: Collection[str], before: Sequence[Any]
) -> Lease | None:
    own_seats = [row for row in before if row.job_id not in have and row.kind != RULING]
    lease = _first_lease(connection, own_seats, person, settings)
    if lease:
        return lease
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
        lease = take_of(connection, person, settings, number, CHOOSE)
        if lease:
            return lease
    return None


def _held_by(connection: Connection, names: Sequence[str]) -> defaultdict[str, list[Any]]:
    """The seats that people hold and have not answered, by name, in the order in which they took them."""
    seats_by_name: defaultdict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(_HELD, {"names": padded(names)}):
        seats_by_name[row.holder].append(row)
    return seats_by_name


def take_ruling(
    connection: Connection, lead: Person, settings: Settings, have: Collection[str]
) -> Lease | None:
    """The ruling that a lead holds and has not decided, unless their page already shows it (`have`); or None."""
    before = _held_by(connection, [lead.name])[lead.name]
    own_seats = [row for row in before if row.job_id not in have and row.kind == RULING]
    return _first_lease(connection, own_seats, lead, settings)


def take_of(
    connection: Connection, person: Person, settings: Settings, number: int, kind: str
) -> Lease | None:
    """The first job of a round and kind that needs this person, or None."""
    now = time.time()
    until = now + settings.lease_seconds
    values = {"me": person.name, "now": now, "until": until, "number": number, "what": kind}
    taken = connection.execute(_TAKE_FIRST, values).scalar()
    return Lease(job=find_job(connection, taken)) if taken else None


def _first_lease(
    connection: Connection, rows: Iterable[Any], person: Person, settings: Settings
) -> Lease | None:
    """A new lease of the first seat that nobody else has taken, or None."""
    for row in rows:
        lease = _lease(connection, row.job_id, row.seat, person, settings)
        if lease:
            return lease
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
    """True where no such row exists, looked up for one seat at a time. For a plain NOT EXISTS, even within a CASE,
    PostgreSQL scans all seats; a bare IS NULL it takes to be so rare that it sorts the whole queue."""
    return case((select(column).where(*where).scalar_subquery().is_not(None), false()), else_=true())


#: the first free seat of a job that this person has no seat of and has not skipped
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
_OF_PERSON = and_(seats.c.job_id == bindparam("job"), seats.c.holder == bindparam("me"))
_SEAT_OF_PERSON = select(seats.c.seat).where(_OF_PERSON)
_FILL = update(seats).where(_OF_PERSON).values(answered=True)
_LEAVE = update(seats).where(_OF_PERSON, ~seats.c.answered).values(holder=None, expires_at=0.0)


def give(connection: Connection, person: Person, job_id: str, answer: Answer) -> Vote:
    """Take a person's answer to a job that they hold; sending the same answer again changes nothing.

    An expired lease still counts while nobody else has taken the seat.

    Raises:
        ConflictError: the person does not hold the job, or an answer before this one has not arrived.
        UserError: the answer names a clip that the job does not show.
    """
    return _give(connection, [(person, job_id, answer)])[0]


def _give(connection: Connection, answers: Sequence[tuple[Person, str, Answer]]) -> list[Vote]:
    keys = [{"job": job_id, "me": person.name} for person, job_id, _ in answers]
    if connection.execute(_FILL, keys).rowcount < len(answers):
        raise ConflictError(
            f"job {keys[0]['job'][:ID_LENGTH]} is not yours: you never had it, or your time ran out and it went to "
            "somebody else"
        )
    jobs_by_id = find_jobs(connection, [job_id for _, job_id, _ in answers])
    new_votes = [_vote(jobs_by_id[job_id], person, answer) for person, job_id, answer in answers]
    add_votes(connection, new_votes)
    return new_votes


def _vote(job: Job, person: Person, answer: Answer) -> Vote:
    order = job.order_for(person.name)
    picks, shown = set(answer.picks), [job.candidates[index] for index in order]
    foreign = sorted((picks | set(answer.flags)) - set(shown))
    if foreign:
        raise UserError(f"job {job.job_id} does not show the clip {foreign[0][:CLIP_ID_SHOWN]!r}")
    flagged = [name for name in shown if name in answer.flags]
    ended = datetime.now(UTC)
    return Vote(
        job_id=job.job_id,
        annotator=person.name,
        round=job.round,
        plan_id=job.plan_id,
        shown=shown,
        shown_digests=[job.digests[index] for index in order],
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
    """Give a job back for good, so that it goes to somebody else; skipping it again changes nothing.

    Raises:
        ConflictError: the person does not hold it, or has answered it.
    """
    if not connection.execute(_LEAVE, {"job": job_id, "me": person.name}).rowcount:
        skipped = select(skips.c.reason).where(skips.c.job_id == job_id, skips.c.name == person.name)
        if connection.execute(skipped).first():
            return
        raise ConflictError(f"job {job_id[:ID_LENGTH]} is not yours to skip")
    words = reason.strip()[:LONGEST_REASON]
    connection.execute(
        insert(skips), {"job_id": job_id, "name": person.name, "reason": words, "at": time.time()}
    )


def release(connection: Connection, name: str, by: str) -> int:
    """Give the jobs that a person holds and has not answered back to the queue; returns how many."""
    held = and_(seats.c.holder == name, ~seats.c.answered)
    count = connection.execute(update(seats).where(held).values(holder=None, expires_at=0.0)).rowcount
    note(connection, by, "jobs released", {"name": name, "jobs": count})
    return count


def count_answered(connection: Connection, name: str) -> int:
    """How many jobs a person has answered."""
    query = select(func.count()).select_from(votes).where(votes.c.annotator == name, votes.c.revision == 0)
    return int(connection.execute(query).scalar_one())


def recall(connection: Connection, person: Person, job_id: str) -> Lease | None:
    """A job that a person holds or has answered, with their last answer; None where it is not theirs."""
    seat = connection.execute(_SEAT_OF_PERSON, {"job": job_id, "me": person.name}).mappings().first()
    if seat is None:
        return None
    job = find_job(connection, job_id)
    answer = last_vote(connection, job_id, person.name, job.round)
    return Lease(job=job, revision=answer.revision if answer else 0, answer=answer)


def history(connection: Connection, name: str, most: int = JOBS_SHOWN) -> list[str]:
    """Ids of the jobs that a person answered, the latest first."""
    query = (
        select(votes.c.job_id)
        .where(votes.c.annotator == name)
        .group_by(votes.c.job_id)
        .order_by(func.max(votes.c.submitted_at).desc())
        .limit(most)
    )
    return list(connection.execute(query).scalars())
