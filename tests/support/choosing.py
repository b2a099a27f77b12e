"""People who choose on a vote store, for tests of what their answers lead to."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from stickers.annotation.jobs import Job, build_jobs
from stickers.annotation.kept import kept_rows
from stickers.annotation.rounds import read_settings
from stickers.annotation.store.people import Person
from stickers.annotation.store.seats import Answer, Lease, give, take
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Candidate, Vote
from tests.support.clips import ROWS

T = TypeVar("T")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PEOPLE = {
    "ann": "annotator",
    "bob": "annotator",
    "cid": "annotator",
    "dan": "annotator",
    "eve": "expert",
    "lea": "lead",
}
#: the clips that everybody likes
GOOD = {row.candidate_id for row in ROWS if row.teacher == "w"}


def do(store: VoteStore, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction of the store."""
    return store.write(work).result()


def work(store: VoteStore, name: str, good: set[str] = GOOD, most: int = 1000) -> int:
    """One person answers the jobs that come, and picks the good clips; returns how many jobs."""
    person, count = Person(name=name, role=PEOPLE[name]), 0  # type: ignore[arg-type]
    while count < most:
        settings = do(store, read_settings)
        lease = do(store, lambda connection, settings=settings: take(connection, person, settings))
        if lease is None:
            break
        answer = Answer(picks=[name for name in lease.job.candidates if name in good])
        job_id = lease.job.job_id
        do(store, lambda connection, job_id=job_id, answer=answer: give(connection, person, job_id, answer))
        count += 1
    return count


def kept(store: VoteStore, rows: list[Candidate] = ROWS) -> set[str]:
    """Ids of the candidates that the votes in a store keep."""
    return {row.candidate_id for row in kept_rows(rows, store.all(), do(store, read_settings))}


def require(lease: Lease | None) -> Lease:
    """The lease, which must be there."""
    assert lease is not None
    return lease


def answered(job: Job, person: str, picks: set[str], **more: Any) -> Vote:
    """A person's vote on a job."""
    values = {
        "job_id": job.job_id,
        "annotator": person,
        "round": job.round,
        "plan_id": job.plan_id,
        "shown": list(job.candidates),
        "shown_digests": list(job.digests),
        "picks": [name for name in job.candidates if name in picks],
        "started_at": NOON,
        "submitted_at": NOON,
        "simulated": True,
        "kind": job.kind,
    }
    return Vote(**(values | more))


def votes_of(picks_of: dict[str, set[str]], expert: set[str]) -> list[Vote]:
    """Votes of the annotators on all clips, and of one expert."""
    return [
        answered(job, person, picks)
        for number, people in ((1, picks_of), (2, {"expert": expert}))
        for job in build_jobs(ROWS, plan_id="p", round_number=number)
        for person, picks in people.items()
    ]
