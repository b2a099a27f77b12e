"""What moves clips through the rounds: plans join the queue, survivors go on, leads decide, numbers change midway.

Everything here may be done again at any time: it adds the jobs and seats that are missing, takes away seats that are
not needed any more, and never touches a vote.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, text, update

from stickers.annotation.jobs import CHOOSE, GOLD, RULING, Job, build_jobs
from stickers.annotation.kept import Verdict, verdicts
from stickers.annotation.settings import Settings, settings_of
from stickers.annotation.store.database import jobs, plans, retirements, seats, settings
from stickers.annotation.store.filing import add_jobs, add_seats, jobs_in
from stickers.annotation.store.people import LONGEST_NAME, Person, note
from stickers.annotation.store.seats import Lease, take_of, take_ruling
from stickers.annotation.store.votes import add_votes, retired_people, votes_in
from stickers.artifacts.records import Candidate, Vote
from stickers.errors import UserError

Clip = tuple[str, str]
#: a key of our own among PostgreSQL's advisory locks: who builds jobs does so alone
BUILDING = 0x57_1C_4E_26
#: disputed clips that are made into jobs at a time
RULINGS_AT_ONCE = 60


def read_settings(connection: Connection) -> Settings:
    """The settings in force."""
    query = select(settings.c.value).order_by(settings.c.version.desc()).limit(1)
    value = connection.execute(query).scalar()
    return settings_of(value) if value else Settings()


def change_settings(connection: Connection, values: Mapping[str, Any], by: str) -> Settings:
    """Let other settings be in force, for jobs that are there too: missing seats are added, needless ones go.

    Raises:
        UserError: a value cannot be.
    """
    _alone(connection)
    before = read_settings(connection)
    after = before.changed(values)
    if after == before:
        return after
    connection.execute(insert(settings), {"at": time.time(), "by": by, "value": asdict(after)})
    note(connection, by, "settings", dict(values))
    if after.rounds != before.rounds:
        balance(connection, after)
    return after


def open_plan(
    connection: Connection,
    plan_id: str,
    uri: str,
    candidates: Iterable[Candidate],
    *,
    supersedes: str = "",
    by: str,
) -> int:
    """Let a finished plan's candidates join the queue; returns how many jobs are new.

    A clip that has been in a job of the first round is not asked for again. Where this plan replaces rows of another,
    jobs that show such a row and that nobody has begun are withdrawn; what is left of them is asked for anew.
    """
    _alone(connection)
    rows = [row for row in candidates if row.clip_digest is not None]
    values = {"uri": uri, "supersedes": supersedes, "open": True, "opened_at": time.time()}
    known = connection.execute(select(plans.c.plan_id).where(plans.c.plan_id == plan_id)).first()
    if known:
        connection.execute(update(plans).where(plans.c.plan_id == plan_id).values(open=True, uri=uri))
    else:
        connection.execute(insert(plans), {"plan_id": plan_id, **values})
        note(connection, by, "plan opened", {"plan_id": plan_id, "candidates": len(rows)})
    now = read_settings(connection)
    if known:
        balance(connection, now)
    if supersedes:
        _withdraw_replaced(connection, supersedes, {(row.candidate_id, str(row.clip_digest)) for row in rows})
    shown = {clip for job in jobs_in(connection, kind=CHOOSE) if job.round == 1 for clip in job.clips}
    fresh = [row for row in rows if (row.candidate_id, row.clip_digest) not in shown]
    return _add(connection, fresh, plan_id, 1, now) if fresh else 0


def _add(connection: Connection, rows: list[Candidate], plan_id: str, round: int, now: Settings) -> int:
    built = build_jobs(rows, plan_id=plan_id, round=round, clips_per_job=now.clips_per_job, policy=now.policy)
    return add_jobs(connection, built, now.rounds[round - 1].people)


def _withdraw_replaced(connection: Connection, plan_id: str, there: set[Clip]) -> None:
    """Jobs of an older plan that nobody has begun and that show what is no longer there."""
    begun = _begun(connection, plan_id)
    stale = [
        job.job_id
        for job in jobs_in(connection, plan_id)
        if job.job_id not in begun and not set(job.clips) <= there
    ]
    withdraw(connection, stale)


def _begun(connection: Connection, plan_id: str) -> set[str]:
    """A plan's jobs that somebody has taken; nobody takes or answers others before this transaction ends."""
    mine = select(jobs.c.job_id).where(jobs.c.plan_id == plan_id)
    query = select(seats.c.job_id, seats.c.holder).where(seats.c.job_id.in_(mine)).with_for_update()
    return {row.job_id for row in connection.execute(query) if row.holder is not None}


def withdraw(connection: Connection, job_ids: Sequence[str]) -> None:
    """Take jobs out of the queue; answers that they have stay."""
    for start in range(0, len(job_ids), 500):
        some = job_ids[start : start + 500]
        connection.execute(update(jobs).where(jobs.c.job_id.in_(some)).values(withdrawn=True))
        connection.execute(delete(seats).where(seats.c.job_id.in_(some), ~seats.c.answered))


def close_plan(connection: Connection, plan_id: str, by: str) -> None:
    """Ask for nothing more of a plan; opened again, it goes on where it was. UserError: it was never opened."""
    if not connection.execute(update(plans).where(plans.c.plan_id == plan_id).values(open=False)).rowcount:
        raise UserError(f"plan {plan_id!r} was never opened")
    mine = select(jobs.c.job_id).where(jobs.c.plan_id == plan_id)
    connection.execute(delete(seats).where(seats.c.job_id.in_(mine), ~seats.c.answered))
    note(connection, by, "plan closed", {"plan_id": plan_id})


def rebuild(connection: Connection, candidates: Iterable[Candidate], plan_id: str, by: str) -> int:
    """Build the first round's jobs that nobody has begun again, as the settings are now; returns how many there are."""
    _alone(connection)
    begun = _begun(connection, plan_id)
    mine = [job for job in jobs_in(connection, plan_id, CHOOSE) if job.round == 1 and job.job_id not in begun]
    clips = {clip for job in mine for clip in job.clips}
    rows = [row for row in candidates if (row.candidate_id, row.clip_digest) in clips]
    if not rows:
        return 0
    now = read_settings(connection)
    built = build_jobs(rows, plan_id=plan_id, round=1, clips_per_job=now.clips_per_job, policy=now.policy)
    same = {job.job_id for job in built}
    withdraw(connection, [job.job_id for job in mine if job.job_id not in same])
    again = update(jobs).where(jobs.c.job_id == bindparam("job")).values(withdrawn=False)
    connection.execute(again, [{"job": job_id} for job_id in same])
    add_jobs(connection, built, now.rounds[0].people)
    balance(connection, now)
    note(connection, by, "jobs rebuilt", {"plan_id": plan_id, "jobs": len(built)})
    return len(built)


def balance(connection: Connection, now: Settings, job_ids: Collection[str] | None = None) -> None:
    """Give every job as many seats as it needs people whose votes count; needless empty seats go.

    A job of the rounds needs as many as its round says; one that others disagree about needs one lead.
    """
    gone = retired_people(connection)
    counted = case((seats.c.answered & seats.c.holder.not_in(gone), 1), else_=0)
    waiting = case((~seats.c.answered, 1), else_=0)  # a job without seats has none
    query = (
        select(
            jobs.c.job_id,
            jobs.c.round,
            jobs.c.kind,
            jobs.c.position,
            func.coalesce(func.sum(counted), 0),
            func.coalesce(func.sum(waiting), 0),
        )
        .join(plans, plans.c.plan_id == jobs.c.plan_id)
        .outerjoin(seats, seats.c.job_id == jobs.c.job_id)
        .where(~jobs.c.withdrawn, plans.c.open, jobs.c.kind.in_((CHOOSE, RULING)))
        .group_by(jobs.c.job_id, jobs.c.round, jobs.c.kind, jobs.c.position)
    )
    more = []
    for job_id, round, kind, position, answered, empty in connection.execute(query).all():
        if round > len(now.rounds) or (job_ids is not None and job_id not in job_ids):
            continue
        wanted = 1 if kind == RULING else now.rounds[round - 1].people
        missing = wanted - answered - empty
        if missing > 0:
            more.append((job_id, round, kind, position, missing))
        elif missing < 0 and empty:
            _remove_seats(connection, job_id, min(-missing, empty))
    add_seats(connection, more)


def _remove_seats(connection: Connection, job_id: str, count: int) -> None:
    """Empty seats first, then those whose holders have not answered yet, the last one first."""
    query = (
        select(seats.c.seat)
        .where(seats.c.job_id == job_id, ~seats.c.answered)
        .order_by(seats.c.holder.is_not(None), seats.c.leased_at.desc(), seats.c.seat.desc())
        .limit(count)
    )
    needless = connection.execute(query.with_for_update()).scalars().all()
    connection.execute(delete(seats).where(seats.c.job_id == job_id, seats.c.seat.in_(needless)))


def retire(connection: Connection, name: str, *, retired: bool, by: str, reason: str) -> int:
    """Let a person's votes count no more, or again; their jobs go to others, or not. Returns how many votes it touches.

    Raises:
        UserError: it is so already, or there is no reason.
    """
    if not reason.strip():
        raise UserError("say why: the reason stands in the trail")
    if (name in retired_people(connection)) == retired:
        raise UserError(f"the votes of {name!r} are {'retired' if retired else 'counted'} already")
    connection.execute(
        insert(retirements),
        {"name": name, "retired": retired, "by": by, "reason": reason[:500], "at": time.time()},
    )
    note(
        connection,
        by,
        "votes retired" if retired else "votes restored",
        {"name": name, "reason": reason[:500]},
    )
    answered = select(seats.c.job_id).where(seats.c.holder == name, seats.c.answered)
    touched = set(connection.execute(answered).scalars())
    balance(connection, read_settings(connection), touched)
    return len(touched)


def advance(connection: Connection, candidates: Mapping[str, Candidate]) -> int:
    """Build jobs of the next rounds for clips that survived one; returns how many.

    Jobs are filled as far as survivors go; the last ones of a round, when nothing of it is open any more.

    Args:
        candidates: of every open plan, by id.
    """
    _alone(connection)
    now, made = read_settings(connection), 0
    some = votes_in(connection)
    every = jobs_in(connection, kind=CHOOSE)
    for number in range(1, len(now.rounds)):
        through = {
            clip for clip, found in verdicts(some, number, now.rounds[number - 1]).items() if found.survives
        }
        shown = {clip for job in every if job.round == number + 1 for clip in job.clips}
        waiting = [
            candidates[name]
            for name, digest in sorted(through - shown)
            if name in candidates and candidates[name].clip_digest == digest
        ]
        still = connection.execute(
            select(seats.c.job_id).where(seats.c.round == number, seats.c.kind == CHOOSE, ~seats.c.answered)
        ).first()
        for plan_id, rows in _by_plan(waiting, every, number).items():
            made += _add(
                connection, _whole_jobs(rows, now.clips_per_job) if still else rows, plan_id, number + 1, now
            )
    return made


def _by_plan(rows: Iterable[Candidate], every: Iterable[Job], number: int) -> dict[str, list[Candidate]]:
    """Candidates by the plan whose jobs showed them."""
    plan_of = {clip: job.plan_id for job in every if job.round == number for clip in job.clips}
    found: defaultdict[str, list[Candidate]] = defaultdict(list)
    for row in rows:
        plan_id = plan_of.get((row.candidate_id, str(row.clip_digest)))
        if plan_id:
            found[plan_id].append(row)
    return dict(found)


def _whole_jobs(rows: list[Candidate], clips_per_job: int) -> list[Candidate]:
    """The first rows that fill jobs, a prompt's together."""
    rows = sorted(rows, key=lambda row: (row.prompt, row.candidate_id))
    return rows[: len(rows) // clips_per_job * clips_per_job]


def disputed(some: Sequence[Vote], now: Settings) -> dict[int, list[tuple[Clip, Verdict]]]:
    """By round, the clips that people disagree about or have flagged and no lead has decided; the closest first."""
    found: dict[int, list[tuple[Clip, Verdict]]] = {}
    for number, each in enumerate(now.rounds, 1):
        clips = [
            (clip, verdict)
            for clip, verdict in verdicts(some, number, each).items()
            if verdict.judged and verdict.disputed and verdict.ruling is None
        ]
        found[number] = sorted(clips, key=lambda item: (abs(item[1].yes - item[1].no), item[0]))
    return found


def next_ruling(
    connection: Connection, lead: Person, candidates: Mapping[str, Candidate], have: Collection[str] = ()
) -> tuple[Lease, dict[str, Verdict]] | None:
    """A job of disputed clips for a lead, with what others said of each clip; or none, when nobody disagrees."""
    now, some = read_settings(connection), votes_in(connection)
    found, open_disputes = take_ruling(connection, lead, now, have), disputed(some, now)
    for number, clips in open_disputes.items():
        found = found or take_of(connection, lead, now, number, RULING)
        if found is None:
            _build_rulings(connection, number, clips, candidates, now)
            found = take_of(connection, lead, now, number, RULING)
    if found is None:
        return None
    said = verdicts(some, found.job.round, now.rounds[found.job.round - 1])
    return found, {clip[0]: said[clip] for clip in found.job.clips if clip in said}


def _build_rulings(
    connection: Connection,
    number: int,
    clips: Sequence[tuple[Clip, Verdict]],
    candidates: Mapping[str, Candidate],
    now: Settings,
) -> None:
    _alone(connection)
    asked = {clip for job in jobs_in(connection, kind=RULING) if job.round == number for clip in job.clips}
    rows = [
        candidates[name]
        for (name, digest), _ in clips
        if (name, digest) not in asked and name in candidates and candidates[name].clip_digest == digest
    ][:RULINGS_AT_ONCE]
    for plan_id, mine in _by_plan(rows, jobs_in(connection, kind=CHOOSE), number).items():
        built = build_jobs(mine, plan_id=plan_id, round=number, clips_per_job=now.clips_per_job, kind=RULING)
        add_jobs(connection, built, 1)


def plant_gold(
    connection: Connection,
    plan_id: str,
    known: Mapping[str, bool],
    candidates: Mapping[str, Candidate],
    by: str,
) -> int:
    """Make jobs of clips whose right answer is known; returns how many are new.

    Args:
        known: whether a candidate is worth sharing.

    Raises:
        UserError: a candidate is not one of the plan's.
    """
    strangers = sorted(set(known) - set(candidates))
    if strangers:
        raise UserError(f"candidate {strangers[0][:40]!r} is not one of plan {plan_id}; no gold was planted")
    now = read_settings(connection)
    rows = [candidates[name] for name in known if candidates[name].clip_digest is not None]
    built = build_jobs(rows, plan_id=plan_id, round=1, clips_per_job=now.clips_per_job, kind=GOLD)
    right = {job.job_id: [name for name in job.candidates if known[name]] for job in built}
    made = add_jobs(connection, built, 0, right=right)
    note(connection, by, "gold planted", {"plan_id": plan_id, "jobs": made})
    return made


def agreed(some: Sequence[Vote], now: Settings) -> dict[str, bool]:
    """Clips that everybody judged alike, by candidate id: rejected by the whole first round or picked by all."""
    found: dict[str, bool] = {}
    seen = [verdicts(some, number, asked) for number, asked in enumerate(now.rounds, 1)]
    for clip, first in seen[0].items():
        if first.judged and not first.flags and not first.yes:
            found[clip[0]] = False
        elif all(clip in each and each[clip].judged and not each[clip].no for each in seen):
            found[clip[0]] = True
    return found


def balanced(known: Mapping[str, bool], most: int) -> dict[str, bool]:
    """So many of the clips at most, half of them worth sharing where there are enough, in an order that mixes them."""
    good, bad = (sorted(name for name in known if known[name] == share) for share in (True, False))
    half = min(len(good), len(bad), most // 2)
    return {name: known[name] for pair in zip(good[:half], bad[:half], strict=True) for name in pair}


def import_jobs(connection: Connection, some: Iterable[Job]) -> int:
    """Append jobs that were made elsewhere; returns how many are new. UserError: a round of theirs does not exist."""
    _alone(connection)
    now, made = read_settings(connection), 0
    by_round: defaultdict[int, list[Job]] = defaultdict(list)
    for job in some:
        by_round[job.round].append(job)
    for number, mine in sorted(by_round.items()):
        if not 1 <= number <= len(now.rounds):
            raise UserError(f"job {mine[0].job_id} is of round {number}; there are {len(now.rounds)} rounds")
        plain = [job for job in mine if job.kind == CHOOSE]
        made += add_jobs(connection, plain, now.rounds[number - 1].people)
    return made


def import_votes(connection: Connection, some: Iterable[Vote]) -> tuple[int, list[tuple[str, str]]]:
    """Append votes that were given elsewhere, and let them fill the seats of their jobs, so that nobody is asked again.

    Returns:
        How many are new, and (job id, reason) of those that contradict what is there.
    """
    made, refused = 0, []
    for vote in some:
        try:
            made += add_votes(connection, [vote])
        except UserError as error:
            refused.append((vote.job_id, str(error)))
    query = select(seats.c.job_id, seats.c.holder, seats.c.seat, seats.c.answered)
    held = {(row.job_id, row.holder): row for row in connection.execute(query)}
    for vote in votes_in(connection, retired=True):
        holder = vote.annotator[:LONGEST_NAME]
        mine = held.get((vote.job_id, holder))
        if mine is None:
            free = (
                select(seats.c.seat).where(seats.c.job_id == vote.job_id, seats.c.holder.is_(None)).limit(1)
            )
            seat = connection.execute(free.with_for_update(skip_locked=True)).scalar()
        else:
            seat = None if mine.answered else mine.seat
        if seat is not None:
            place = (seats.c.job_id == vote.job_id) & (seats.c.seat == seat)
            connection.execute(update(seats).where(place).values(holder=holder, answered=True))
    return made, refused


def _alone(connection: Connection) -> None:
    """Wait until nobody else builds jobs; on SQLite nobody else writes anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": BUILDING})
