"""Jobs in the database: appended to the queue with their seats, found by their names, listed in their order.

What a job shows never changes. All functions run inside a transaction of their caller's.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from stickers.annotation.jobs import Job
from stickers.annotation.store.database import insert_new, jobs, seats

#: jobs that a connection remembers at most
REMEMBERED = 2_000
_JOB = (jobs.c.job_id, jobs.c.plan_id, jobs.c.round, jobs.c.kind, jobs.c.clips)
_JOBS_OF = select(*_JOB).where(jobs.c.job_id.in_(bindparam("ids", expanding=True)))


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


def find_job(connection: Connection, job_id: str) -> Job:
    """A job of the queue. LookupError: there is no such job."""
    return find_jobs(connection, [job_id])[job_id]


def find_jobs(connection: Connection, ids: Collection[str]) -> Mapping[str, Job]:
    """Jobs of the queue by their ids; what they show never changes, so the connection remembers it.

    Raises:
        LookupError: there is no such job.
    """
    known: dict[str, Job] = connection.info.setdefault("jobs", {})
    if len(known) + len(ids) > REMEMBERED:
        known.clear()
    unknown = [each for each in ids if each not in known]
    if unknown:
        for row in connection.execute(_JOBS_OF, {"ids": padded(unknown)}).mappings():
            known[row["job_id"]] = job_from(row)
    missing = [each for each in unknown if each not in known]
    if missing:
        raise LookupError(f"there is no job {missing[0]}")
    return {each: known[each] for each in ids}


def padded(values: Sequence[str]) -> list[str]:
    """Values, the last one repeated up to a power of two: few lengths are few statements for a database to plan."""
    wanted = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (wanted - len(values))]
