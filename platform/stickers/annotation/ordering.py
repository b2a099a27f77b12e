"""Puts the queue in the order in which people will likely keep clips, and says what stopping early would miss.

A job keeps its position in the queue; only its seats move, so the order can be undone at any time. Every order is
stored with its audit slice, from which the clips that nobody has judged are estimated.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from stickers.annotation.jobs import CHOOSE, Job
from stickers.annotation.ranking import Missed, Queue, fit, missed, order
from stickers.annotation.rounds import read_settings
from stickers.annotation.settings import Settings
from stickers.annotation.store.database import jobs, orders, seats
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import note
from stickers.annotation.store.votes import votes_in
from stickers.annotation.tally import verdicts
from stickers.artifacts.records import Candidate, Vote

#: digits of the AUC in the log of events
AUC_DIGITS = 3


def arrange(connection: Connection, candidates: Mapping[str, Candidate], by: str) -> str:
    """Put the jobs that nobody has begun in the order of the settings; returns a sentence about it.

    Args:
        candidates: of every plan in the queue, by id.
    """
    settings = read_settings(connection)
    waiting = _not_begun(connection)
    if settings.ordering == "queue":
        _move_seats(connection, {job.job_id: position for position, job in waiting.items()})
        return "the jobs come in the order in which they joined the queue"
    decided = _decided(votes_in(connection, round_number=1), settings)
    ranker, reason = fit(list(candidates.values()), decided)
    if ranker is None:
        return f"the order stays as it is: {reason}"
    number = (connection.execute(select(func.max(orders.c.number))).scalar() or 0) + 1
    scores = ranker.scores(list(candidates.values()))
    queue = order(list(waiting.values()), scores, settings.audit_share, seed=number)
    positions = sorted(waiting)
    _move_seats(connection, {job.job_id: positions[rank] for rank, job in enumerate(queue.jobs)})
    value = {
        "jobs": [job.job_id for job in queue.jobs],
        "audit": sorted(queue.audit),
        "scores": dict(queue.scores),
        "trained_on": ranker.trained_on,
        "auc": ranker.auc,
        "found_before": sum(decided.values()),
    }
    connection.execute(insert(orders), {"at": time.time(), "by": by, "value": value})
    note(connection, by, "queue ordered", {"jobs": len(queue.jobs), "auc": round(ranker.auc, AUC_DIGITS)})
    return (
        f"{len(queue.jobs)} jobs by a model of {ranker.trained_on} decided clips, which tells a keeper from another "
        f"with {ranker.auc:.2f} (0.5 is by chance); {len(queue.audit)} of them at random"
    )


def _not_begun(connection: Connection) -> dict[float, Job]:
    """The first-round jobs that nobody has ever taken, by their position in the queue."""
    begun = set(connection.execute(select(seats.c.job_id).where(seats.c.holder.is_not(None))).scalars())
    rows = connection.execute(select(jobs.c.job_id, jobs.c.position))
    positions = {row.job_id: row.position for row in rows}
    return {
        positions[job.job_id]: job
        for job in jobs_in(connection, kind=CHOOSE)
        if job.round == 1 and job.job_id not in begun
    }


def _move_seats(connection: Connection, positions: Mapping[str, float]) -> None:
    """Move the seats of jobs to new positions, by job id."""
    rows = [{"job": job_id, "new_position": position} for job_id, position in positions.items()]
    if rows:
        move = update(seats).where(seats.c.job_id == bindparam("job"))
        connection.execute(move.values(position=bindparam("new_position")), rows)


def _decided(votes: Sequence[Vote], settings: Settings) -> dict[str, bool]:
    """Whether the first round kept each clip that enough people have judged, by candidate id."""
    return {
        clip[0]: verdict.survives
        for clip, verdict in verdicts(votes, 1, settings.rounds[0]).items()
        if verdict.judged or verdict.ruling is not None
    }


def help_of(connection: Connection, votes: Sequence[Vote], settings: Settings) -> dict[str, Any] | None:
    """What the latest order achieves, for the lead's page; None where no model orders the queue."""
    value = connection.execute(select(orders.c.value).order_by(orders.c.number.desc()).limit(1)).scalar()
    if value is None or settings.ordering == "queue":
        return None
    estimate = _missed(connection, value, _decided([vote for vote in votes if vote.round == 1], settings))
    return {
        "ordering": settings.ordering,
        "trained_on": value["trained_on"],
        "auc": value["auc"],
        "audit": {
            "judged": estimate.audited,
            "kept": estimate.kept,
            "missed_share": estimate.share,
            "interval": estimate.interval,
        },
    }


def _missed(connection: Connection, value: Mapping[str, Any], decided: Mapping[str, bool]) -> Missed:
    by_id = {job.job_id: job for job in jobs_in(connection, kind=CHOOSE)}
    ordered = [by_id[job_id] for job_id in value["jobs"] if job_id in by_id]
    queue = Queue(jobs=tuple(ordered), audit=frozenset(value["audit"]), scores=value["scores"])
    judged = {
        job.job_id: sum(decided[name] for name in job.candidates)
        for job in ordered
        if all(name in decided for name in job.candidates)
    }
    return missed(queue, judged, found_before=value["found_before"])
