"""The store alone: a queue for simulated people, and how many durable commits a second it makes without HTTP.

The trial in `crowd.py` compares the pace over HTTP with these figures, measured in the same run.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from stickers.annotation.exchange.incoming import import_jobs
from stickers.annotation.jobs import CLIPS_PER_JOB, Job
from stickers.annotation.rounds import change_settings, read_settings
from stickers.annotation.store.database import votes
from stickers.annotation.store.people import Person, add_person
from stickers.annotation.store.seats import Answer, Lease, Submission, submit, take
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Vote

PLAN_ID = "crowd"
PEOPLE_PER_JOB = 3
#: how long a job stays with a person where nobody is killed: longer than any trial needs
LEASE_SECONDS = 900.0
NUM_FRAMES = FPS = 8
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
#: as many as the crowd: a person answers the job that they took this many answers ago
BARE_PEOPLE = 50
#: more than the store commits in the seconds of a measurement
BARE_JOBS = 5_000


def jobs_of(count: int) -> list[Job]:
    """`count` jobs of six clips that nobody will look at."""
    return [_job(number) for number in range(count)]


def _job(number: int) -> Job:
    names = tuple(content_id("candidate", number, index) for index in range(CLIPS_PER_JOB))
    return Job(
        job_id=content_id("job", number),
        plan_id=PLAN_ID,
        round=1,
        candidates=names,
        digests=tuple(content_id("clip", name) for name in names),
        prompts=(f"prompt {number}",) * CLIPS_PER_JOB,
        frames=(NUM_FRAMES,) * CLIPS_PER_JOB,
        fps=(FPS,) * CLIPS_PER_JOB,
    )


def prepare(url: str, num_jobs: int, num_people: int, lease_seconds: float) -> dict[str, str]:
    """Fill a store with jobs and people; returns the tokens of their sign-in links by name."""
    one_round = [{"role": "annotator", "people": PEOPLE_PER_JOB, "quorum": 2}]
    values = {"rounds": one_round, "lease_seconds": lease_seconds}
    with VoteStore(url) as store:
        store.write(lambda connection: change_settings(connection, values, "crowd")).result()
        store.write(lambda connection: import_jobs(connection, jobs_of(num_jobs))).result()
        names = [f"simulated-{number:02d}" for number in range(num_people)]
        return store.write(
            lambda connection: {
                name: add_person(connection, name, "annotator", simulated=True) for name in names
            }
        ).result()


class BareAnswers:
    """Simulated people who answer through the store alone, without the service.

    A call writes what the service writes for an answer: the vote, its seat, and a seat of the next job.
    """

    def __init__(self, store: VoteStore) -> None:
        self.store, self.settings = store, store.read(read_settings)
        self.leases: list[Lease] = []

    def __call__(self) -> None:
        """Write the next answer."""
        worker = Person(name=f"bare {len(self.leases) % BARE_PEOPLE}", role="annotator", simulated=True)
        lease = (
            self.leases[-BARE_PEOPLE]
            if len(self.leases) >= BARE_PEOPLE
            else self.store.write(lambda connection: take(connection, worker, self.settings)).result()
        )
        assert lease is not None
        submission = Submission(
            person=worker,
            settings=self.settings,
            job_id=lease.job.job_id,
            answer=Answer(picks=lease.job.candidates[:2]),
        )
        _, following = self.store.write_along(submit, submission).result()
        assert following is not None
        self.leases.append(following)


def bare_vote() -> Vote:
    """A vote by somebody new."""
    job = _job(-1)
    return Vote(
        job_id=job.job_id, annotator=f"bare {time.monotonic_ns()}", round=1, plan_id="bare",
        shown=list(job.candidates), shown_digests=list(job.digests), picks=[], started_at=NOON,
        submitted_at=NOON, simulated=True,
    )  # fmt: skip


def bare_rates(url: str, seconds: float) -> dict[str, float]:
    """Durable commits a second, one after another: everything of an answer, a vote alone, and a plain row."""
    prepare(url, BARE_JOBS, 0, LEASE_SECONDS)
    with VoteStore(url) as store:

        def insert_row() -> None:
            with store.engine.begin() as connection:
                connection.execute(insert(votes), vars(bare_vote()))

        commits: dict[str, Callable[[], Any]] = {
            "the store alone, an answer a commit": BareAnswers(store),
            "the store alone, a vote a commit": lambda: store.add([bare_vote()]),
            "a plain insertion a commit": insert_row,
        }
        rates = {}
        for name, commit in commits.items():
            begun, count = time.monotonic(), 0
            while not count or time.monotonic() < begun + seconds:
                commit()
                count += 1
            rates[name] = count / (time.monotonic() - begun)
        return rates
