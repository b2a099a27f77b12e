"""Jobs and votes that come in from files join the queue, so that nobody is asked what was answered elsewhere."""

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from stickers.annotation.jobs import CHOOSE, Job
from stickers.annotation.rounds import read_settings
from stickers.annotation.store.database import lock_job_building, seats
from stickers.annotation.store.filing import add_jobs
from stickers.annotation.store.people import LONGEST_NAME
from stickers.annotation.store.votes import add_votes, votes_in
from stickers.artifacts.records import Vote
from stickers.errors import UserError


def import_jobs(connection: Connection, imported: Iterable[Job]) -> int:
    """Append jobs that were made elsewhere; returns how many are new. UserError: a job's round does not exist."""
    lock_job_building(connection)
    settings, num_new = read_settings(connection), 0
    by_round: defaultdict[int, list[Job]] = defaultdict(list)
    for job in imported:
        by_round[job.round].append(job)
    for number, jobs in sorted(by_round.items()):
        if not 1 <= number <= len(settings.rounds):
            raise UserError(
                f"job {jobs[0].job_id} is of round {number}; there are {len(settings.rounds)} rounds"
            )
        to_choose = [job for job in jobs if job.kind == CHOOSE]
        num_new += add_jobs(connection, to_choose, settings.rounds[number - 1].people)
    return num_new


def import_votes(connection: Connection, imported: Iterable[Vote]) -> tuple[int, list[tuple[str, str]]]:
    """Append votes that were given elsewhere, and fill the seats of their jobs.

    Returns:
        How many are new, and (job id, reason) of those that contradict the store.
    """
    num_new, refused = 0, []
    for vote in imported:
        try:
            num_new += add_votes(connection, [vote])
        except UserError as error:
            refused.append((vote.job_id, str(error)))
    _fill_seats(connection)
    return num_new, refused


def _fill_seats(connection: Connection) -> None:
    """Give every vote the seat that its person holds, or else a free one of its job."""
    query = select(seats.c.job_id, seats.c.holder, seats.c.seat, seats.c.answered)
    held = {(row.job_id, row.holder): row for row in connection.execute(query)}
    for vote in votes_in(connection, retired=True):
        holder = vote.annotator[:LONGEST_NAME]
        own_seat = held.get((vote.job_id, holder))
        if own_seat is None:
            free = (
                select(seats.c.seat).where(seats.c.job_id == vote.job_id, seats.c.holder.is_(None)).limit(1)
            )
            seat = connection.execute(free.with_for_update(skip_locked=True)).scalar()
        else:
            seat = None if own_seat.answered else own_seat.seat
        if seat is not None:
            is_seat = (seats.c.job_id == vote.job_id) & (seats.c.seat == seat)
            connection.execute(update(seats).where(is_seat).values(holder=holder, answered=True))
