"""What a lead sees: how far each round is and when it will be done, how people agree, and what they keep."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from stickers.annotation.agreement import agreement, people_facts
from stickers.annotation.jobs import CHOOSE, GOLD, RULING
from stickers.annotation.kept import survivors, verdicts
from stickers.annotation.ordering import help_of
from stickers.annotation.rounds import disputed, read_settings
from stickers.annotation.settings import Settings
from stickers.annotation.store.database import events, jobs, people, seats
from stickers.annotation.store.votes import retired_people, votes_in
from stickers.artifacts.records import Candidate, Vote
from stickers.candidates.prices import Cell

#: of the last answers, by which the rest is foretold
PACE = timedelta(hours=1)
FLAGS_SHOWN, EVENTS_SHOWN = 50, 100


def overview(connection: Connection, candidates: Mapping[str, Candidate]) -> dict[str, Any]:
    """Everything of the lead's page, as JSON has it.

    Args:
        candidates: of every plan in the queue, by id.
    """
    now, every = read_settings(connection), votes_in(connection, retired=True)
    gone = retired_people(connection)
    counted = [vote for vote in every if vote.annotator not in gone]
    open_disputes = disputed(counted, now)
    return {
        "paused": now.paused,
        "simulated": any(vote.simulated for vote in counted),
        "settings": asdict(now),
        "rounds": _rounds(connection, now, counted, {n: len(found) for n, found in open_disputes.items()}),
        "agreement": [
            {"round": number, **asdict(agreement(counted, round=number))}
            for number in range(1, len(now.rounds) + 1)
        ],
        "people": _people(connection, every, gone, candidates),
        "keep_rates": keep_rates_of(candidates.values(), counted, now),
        "rulings": {
            "open": sum(map(len, open_disputes.values())),
            "decided": sum(len(vote.shown) for vote in counted if vote.kind == RULING),
        },
        "flags": _flags(counted, candidates),
        "help": help_of(connection, counted, now),
    }


def _rounds(
    connection: Connection, now: Settings, counted: Sequence[Vote], disputes: Mapping[int, int]
) -> list[dict[str, Any]]:
    waiting = select(seats.c.job_id).where(~seats.c.answered, seats.c.kind == CHOOSE).distinct()
    query = (
        select(jobs.c.round, func.count(), func.sum(jobs.c.job_id.in_(waiting).cast(seats.c.round.type)))
        .where(~jobs.c.withdrawn, jobs.c.kind == CHOOSE)
        .group_by(jobs.c.round)
    )
    there = {row[0]: (row[1], row[2]) for row in connection.execute(query)}
    empty = select(seats.c.round, func.count()).where(~seats.c.answered, seats.c.kind == CHOOSE)
    left_in = {row[0]: row[1] for row in connection.execute(empty.group_by(seats.c.round))}
    rows = []
    for number, asked in enumerate(now.rounds, 1):
        mine = [vote for vote in counted if vote.round == number and vote.kind == CHOOSE]
        count, unfinished = there.get(number, (0, 0))
        left, pace = left_in.get(number, 0), _per_hour(mine)
        found = verdicts(mine, number, asked).values()
        rows.append(
            {
                "round": number,
                **asdict(asked),
                "jobs": count,
                "finished": count - (unfinished or 0),
                "answers": len(mine),
                "wanted": len(mine) + left,
                "per_hour": pace,
                "left_hours": left / pace if pace else (0.0 if count and not left else None),
                "survived": sum(each.survives for each in found),
                "judged": sum(each.judged for each in found),
                "disputed": disputes[number],
            }
        )
    return rows


def _per_hour(mine: Sequence[Vote]) -> float | None:
    """Answers an hour over the last hour in which there were any."""
    if len(mine) < 2:
        return None
    times = sorted(vote.submitted_at for vote in mine)
    last = [when for when in times if when >= times[-1] - PACE]
    hours = (last[-1] - last[0]) / timedelta(hours=1)
    if hours <= 0 or datetime.now(UTC) - times[-1] > PACE:
        return None
    return (len(last) - 1) / hours


def _people(
    connection: Connection, every: Sequence[Vote], gone: set[str], candidates: Mapping[str, Candidate]
) -> list[dict[str, Any]]:
    motion = {name: row.motion_score for name, row in candidates.items() if row.motion_score is not None}
    gold = {
        row.job_id: set(row.right)
        for row in connection.execute(select(jobs.c.job_id, jobs.c.right).where(jobs.c.kind == GOLD))
    }
    facts = people_facts(every, motion, gold)
    held = select(seats.c.holder, func.count()).where(~seats.c.answered, seats.c.holder.is_not(None))
    holds = {row[0]: row[1] for row in connection.execute(held.group_by(seats.c.holder))}
    seen: dict[str, datetime] = {}
    for vote in every:
        seen[vote.annotator] = max(seen.get(vote.annotator, vote.submitted_at), vote.submitted_at)
    rows = []
    for row in connection.execute(select(people).order_by(people.c.name)).mappings():
        each, name = facts.get(row["name"]), row["name"]
        rows.append(
            {
                "name": name,
                "role": row["role"],
                "active": row["active"],
                "retired": name in gone,
                "simulated": row["simulated"],
                "holds": holds.get(name, 0),
                "answers": each.answers if each else 0,
                "median_seconds": each.median_seconds if each else None,
                "pick_rate": each.pick_rate if each else None,
                "gold": {"right": each.gold_right if each else 0, "of": each.gold_of if each else 0},
                "with_majority": each.with_majority if each else None,
                "low_motion_bias": each.low_motion_bias if each else None,
                "low_motion_interval": each.low_motion_interval if each else None,
                "last_seen": seen[name].isoformat() if name in seen else None,
            }
        )
    return rows


def keep_rates_of(
    candidates: Iterable[Candidate], counted: Sequence[Vote], now: Settings
) -> list[dict[str, Any]]:
    """By teacher and bucket, how many of the judged clips go through all rounds, with Wilson's 95 % interval.

    A clip counts as judged once the first round has rejected it or the last one has decided.
    """
    rows = list(candidates)
    alive = {(row.candidate_id, row.clip_digest) for row in survivors(rows, counted, now)}
    judged: set[tuple[str, str]] = set()
    for number, asked in enumerate(now.rounds, 1):
        final = number == len(now.rounds)
        judged |= {
            clip
            for clip, each in verdicts(counted, number, asked).items()
            if each.judged and (final or not each.survives)
        }
    made: Counter[tuple[str, str]] = Counter()
    kept: Counter[tuple[str, str]] = Counter()
    for row in rows:
        clip = row.candidate_id, str(row.clip_digest)
        if clip in judged:
            made[row.teacher, row.bucket] += 1
            kept[row.teacher, row.bucket] += clip in alive
    found = []
    for teacher, bucket in sorted(made):
        cell = Cell(
            teacher=teacher, bucket=bucket, made=0, failed=0, seconds=0.0,
            judged=made[teacher, bucket], kept=kept[teacher, bucket],
        )  # fmt: skip
        low, high = cell.keep_interval
        found.append(
            {"teacher": teacher, "bucket": bucket, "judged": cell.judged, "kept": cell.kept,
             "rate": cell.keep_rate, "low": low, "high": high}
        )  # fmt: skip
    return found


def _flags(counted: Sequence[Vote], candidates: Mapping[str, Candidate]) -> list[dict[str, Any]]:
    """The clips that people flagged, the most flagged first."""
    said: defaultdict[str, Counter[str]] = defaultdict(Counter)
    digest_of: dict[str, str] = {}
    for vote in counted:
        digests = dict(zip(vote.shown, vote.shown_digests, strict=True))
        for name, flag in zip(vote.flagged, vote.flags, strict=True):
            said[name][flag] += 1
            digest_of[name] = digests[name]
    order = sorted(said, key=lambda name: (-said[name].total(), name))
    return [
        {
            "clip": name,
            "url": f"/clips/{digest_of[name]}.webp",
            "frames": candidates[name].num_frames,
            "fps": candidates[name].fps,
            "prompt": candidates[name].prompt,
            "unsafe": said[name]["unsafe"],
            "broken": said[name]["broken"],
        }
        for name in order
        if name in candidates
    ][:FLAGS_SHOWN]


def trail(connection: Connection, most: int = EVENTS_SHOWN) -> list[dict[str, Any]]:
    """What leads and the program did, the last first."""
    query = select(events).order_by(events.c.number.desc()).limit(most)
    return [
        {
            "at": datetime.fromtimestamp(row["at"], UTC).isoformat(),
            "who": row["who"],
            "what": row["what"],
            "detail": row["detail"],
        }
        for row in connection.execute(query).mappings()
    ]
