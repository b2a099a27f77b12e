"""Jobs in the database: appended to the queue with their seats, found by id, listed in order.

What a job shows never changes. Every function runs in its caller's transaction.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from stickers.annotation.jobs import Job
from stickers.annotation.store.database import insert_new, jobs, seats

#: jobs that a connection caches at most: a few megabytes
MOST_CACHED = 2_000
#: databases limit the parameters of a statement
IDS_PER_STATEMENT = 500
_JOB = (jobs.c.job_id, jobs.c.plan_id, jobs.c.round, jobs.c.kind, jobs.c.clips)
_JOBS_OF = select(*_JOB).where(jobs.c.job_id.in_(bindparam("ids", expanding=True)))


def add_jobs(
    connection: Connection,
    new_jobs: Iterable[Job],
    num_people: int,
    *,
    right: Mapping[str, Sequence[str]] | None = None,
) -> int:
    """Append jobs to the queue; jobs that it has already stay as they are. Returns how many are new.

    Args:
        num_people: seats of each job.
        right: for gold jobs, the candidates worth sharing by job id.
    """
    new_jobs = list(new_jobs)
    stored_ids = set(connection.execute(select(jobs.c.job_id)).scalars())
    fresh = [job for job in new_jobs if job.job_id not in stored_ids]
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
                list(clip) for clip in zip(job.candidates, job.digests, job.prompts, job.frames, job.fps)
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


def add_seats(connection: Connection, seat_counts: Sequence[tuple[str, int, str, float, int]]) -> None:
    """Add seats to jobs.

    Args:
        seat_counts: (job id, round, kind, position in the queue, number of seats) of each job.
    """
    ids = [row[0] for row in seat_counts]
    taken: dict[str, int] = {}
    for start in range(0, len(ids), IDS_PER_STATEMENT):
        query = (
            select(seats.c.job_id, func.max(seats.c.seat))
            .where(seats.c.job_id.in_(ids[start : start + IDS_PER_STATEMENT]))
            .group_by(seats.c.job_id)
        )
        taken |= {row[0]: row[1] + 1 for row in connection.execute(query)}
    rows = [
        {
            "job_id": job_id,
            "seat": taken.get(job_id, 0) + number,
            "round": round_number,
            "kind": kind,
            "position": position,
            "holder": None,
            "leased_at": 0.0,
            "expires_at": 0.0,
            "answered": False,
        }
        for job_id, round_number, kind, position, count in seat_counts
        for number in range(count)
    ]
    if rows:
        connection.execute(insert(seats), rows)


def job_from(row: Any) -> Job:
    """The job in a row of the table `jobs`."""
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
    """Every job that is not withdrawn, in the order of the queue.

    Args:
        plan_id: only this plan's jobs.
        kind: only jobs of this kind.
    """
    query = select(*_JOB).where(~jobs.c.withdrawn).order_by(jobs.c.round, jobs.c.position)
    if plan_id is not None:
        query = query.where(jobs.c.plan_id == plan_id)
    if kind is not None:
        query = query.where(jobs.c.kind == kind)
    return [job_from(row) for row in connection.execute(query).mappings()]


def waiting_jobs(connection: Connection) -> set[str]:
    """The ids of the jobs that somebody has still to answer."""
    return set(connection.execute(select(seats.c.job_id).where(~seats.c.answered).distinct()).scalars())


def find_job(connection: Connection, job_id: str) -> Job:
    """A job by its id. LookupError: there is no such job."""
    return find_jobs(connection, [job_id])[job_id]


def find_jobs(connection: Connection, ids: Collection[str]) -> Mapping[str, Job]:
    """Jobs by their ids, cached on the connection, since what they show never changes.

    Raises:
        LookupError: there is no such job.
    """
    cache: dict[str, Job] = connection.info.setdefault("jobs", {})
    if len(cache) + len(ids) > MOST_CACHED:
        cache.clear()
    unknown = [job_id for job_id in ids if job_id not in cache]
    if unknown:
        for row in connection.execute(_JOBS_OF, {"ids": padded(unknown)}).mappings():
            cache[row["job_id"]] = job_from(row)
    missing = [job_id for job_id in unknown if job_id not in cache]
    if missing:
        raise LookupError(f"there is no job {missing[0]}")
    return {job_id: cache[job_id] for job_id in ids}


def padded(values: Sequence[str]) -> list[str]:
    """Values with the last one repeated up to a power of two, so that the database plans few different statements."""
    length = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (length - len(values))]
