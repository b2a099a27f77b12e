"""The queue in the order of what people will likely keep, and what that order would miss: ranking at work on the store.

A job keeps its own place in the queue; only its seats move, so that the order can be taken back at any time. Each order
is kept with its audit slice, by which is estimated what lies in the part that nobody has judged.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from stickers.annotation.jobs import CHOOSE, Job
from stickers.annotation.kept import verdicts
from stickers.annotation.ranking import Missed, Queue, fit, missed, order
from stickers.annotation.rounds import read_settings
from stickers.annotation.settings import Settings
from stickers.annotation.store.database import jobs, orders, seats
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import note
from stickers.annotation.store.votes import votes_in
from stickers.artifacts.records import Candidate, Vote


def arrange(connection: Connection, candidates: Mapping[str, Candidate], by: str) -> str:
    """Put the queue in the order that the settings ask for; returns a sentence about it.

    Args:
        candidates: of every plan in the queue, by id.
    """
    now = read_settings(connection)
    waiting = _not_begun(connection)
    if now.ordering == "queue":
        _place(connection, {job.job_id: place for place, job in waiting.items()})
        return "the jobs come in the order in which they joined the queue"
    decided = _decided(votes_in(connection, round=1), now)
    ranker, reason = fit(list(candidates.values()), decided)
    if ranker is None:
        return f"the order stays as it is: {reason}"
    number = (connection.execute(select(func.max(orders.c.number))).scalar() or 0) + 1
    scores = ranker.scores(list(candidates.values()))
    queue = order(list(waiting.values()), scores, now.audit_share, seed=number)
    places = sorted(waiting)
    _place(connection, {job.job_id: places[at] for at, job in enumerate(queue.jobs)})
    value = {
        "jobs": [job.job_id for job in queue.jobs],
        "audit": sorted(queue.audit),
        "scores": dict(queue.scores),
        "trained_on": ranker.trained_on,
        "auc": ranker.auc,
        "found_before": sum(decided.values()),
    }
    connection.execute(insert(orders), {"at": time.time(), "by": by, "value": value})
    note(connection, by, "queue ordered", {"jobs": len(queue.jobs), "auc": round(ranker.auc, 3)})
    return (
        f"{len(queue.jobs)} jobs by a model of {ranker.trained_on} decided clips, which tells a keeper from another "
        f"with {ranker.auc:.2f} (0.5 is by chance); {len(queue.audit)} of them at random"
    )


def _not_begun(connection: Connection) -> dict[float, Job]:
    """The first round's jobs that nobody has ever taken, by their own place."""
    begun = set(connection.execute(select(seats.c.job_id).where(seats.c.holder.is_not(None))).scalars())
    place = {row.job_id: row.position for row in connection.execute(select(jobs.c.job_id, jobs.c.position))}
    return {
        place[job.job_id]: job
        for job in jobs_in(connection, kind=CHOOSE)
        if job.round == 1 and job.job_id not in begun
    }


def _place(connection: Connection, places: Mapping[str, float]) -> None:
    rows = [{"job": job_id, "place": place} for job_id, place in places.items()]
    if rows:
        move = update(seats).where(seats.c.job_id == bindparam("job")).values(position=bindparam("place"))
        connection.execute(move, rows)


def _decided(some: Sequence[Vote], now: Settings) -> dict[str, bool]:
    """Whether the first round let each clip through that enough people have judged, by candidate id."""
    found = verdicts(some, 1, now.rounds[0])
    return {clip[0]: each.survives for clip, each in found.items() if each.judged or each.ruling is not None}


def help_of(connection: Connection, some: Sequence[Vote], now: Settings) -> dict[str, Any] | None:
    """What the last order does, for the lead's page; none when there was none."""
    value = connection.execute(select(orders.c.value).order_by(orders.c.number.desc()).limit(1)).scalar()
    if value is None or now.ordering == "queue":
        return None
    found = _missed(connection, value, _decided([vote for vote in some if vote.round == 1], now))
    return {
        "ordering": now.ordering,
        "trained_on": value["trained_on"],
        "auc": value["auc"],
        "audit": {
            "judged": found.audited,
            "kept": found.kept,
            "missed_share": found.share,
            "interval": found.interval,
        },
    }


def _missed(connection: Connection, value: Mapping[str, Any], decided: Mapping[str, bool]) -> Missed:
    named = {job.job_id: job for job in jobs_in(connection, kind=CHOOSE)}
    ordered = [named[job_id] for job_id in value["jobs"] if job_id in named]
    queue = Queue(jobs=tuple(ordered), audit=frozenset(value["audit"]), scores=value["scores"])
    judged = {
        job.job_id: sum(decided[name] for name in job.candidates)
        for job in ordered
        if all(name in decided for name in job.candidates)
    }
    return missed(queue, judged, found_before=value["found_before"])
