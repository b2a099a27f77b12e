"""What a lead sees: the progress of each round, how far people agree, what each person does, and what is kept."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from stickers.annotation.agreement import PersonFacts, agreement, people_facts
from stickers.annotation.jobs import CHOOSE, GOLD, RULING
from stickers.annotation.kept import survivors
from stickers.annotation.ordering import help_of
from stickers.annotation.rounds import read_settings
from stickers.annotation.rulings import disputed
from stickers.annotation.settings import RoundSettings, Settings
from stickers.annotation.store.database import events, jobs, people, seats
from stickers.annotation.store.votes import retired_people, votes_in
from stickers.annotation.tally import Clip, verdicts
from stickers.artifacts.records import Candidate, Vote
from stickers.candidates.prices import Cell

#: the pace of the most recent answers predicts when a round will end
PACE = timedelta(hours=1)
FLAGS_SHOWN, EVENTS_SHOWN = 50, 100


def overview(connection: Connection, candidates: Mapping[str, Candidate]) -> dict[str, Any]:
    """Everything on the lead's page, as JSON values.

    Args:
        candidates: of every plan in the queue, by id.
    """
    settings, all_votes = read_settings(connection), votes_in(connection, retired=True)
    retired = retired_people(connection)
    counted = [vote for vote in all_votes if vote.annotator not in retired]
    open_disputes = disputed(counted, settings)
    return {
        "paused": settings.paused,
        "simulated": any(vote.simulated for vote in counted),
        "settings": asdict(settings),
        "rounds": _rounds(connection, settings, counted, {n: len(c) for n, c in open_disputes.items()}),
        "agreement": [
            {"round": number, **asdict(agreement(counted, round_number=number))}
            for number in range(1, len(settings.rounds) + 1)
        ],
        "people": _people(connection, all_votes, retired, candidates),
        "keep_rates": keep_rates_of(candidates.values(), counted, settings),
        "rulings": {
            "open": sum(map(len, open_disputes.values())),
            "decided": sum(len(vote.shown) for vote in counted if vote.kind == RULING),
        },
        "flags": _flags(counted, candidates),
        "help": help_of(connection, counted, settings),
    }


def _rounds(
    connection: Connection, settings: Settings, counted: Sequence[Vote], num_disputed: Mapping[int, int]
) -> list[dict[str, Any]]:
    unfinished = select(seats.c.job_id).where(~seats.c.answered, seats.c.kind == CHOOSE).distinct()
    query = (
        select(jobs.c.round, func.count(), func.sum(jobs.c.job_id.in_(unfinished).cast(seats.c.round.type)))
        .where(~jobs.c.withdrawn, jobs.c.kind == CHOOSE)
        .group_by(jobs.c.round)
    )
    job_counts = {row[0]: (row[1], row[2] or 0) for row in connection.execute(query)}
    waiting = select(seats.c.round, func.count()).where(~seats.c.answered, seats.c.kind == CHOOSE)
    waiting_by_round = {row[0]: row[1] for row in connection.execute(waiting.group_by(seats.c.round))}
    return [
        {
            "round": number,
            **asdict(rules),
            **_progress(
                [vote for vote in counted if vote.round == number and vote.kind == CHOOSE],
                *job_counts.get(number, (0, 0)),
                waiting_by_round.get(number, 0),
            ),
            **_outcome(counted, number, rules),
            "disputed": num_disputed[number],
        }
        for number, rules in enumerate(settings.rounds, 1)
    ]


def _progress(votes: Sequence[Vote], num_jobs: int, num_unfinished: int, num_waiting: int) -> dict[str, Any]:
    """How far a round is; `wanted` counts answers, those that are there and those that are still missing."""
    pace = _per_hour(votes)
    is_finished = num_jobs > 0 and not num_waiting
    return {
        "jobs": num_jobs,
        "finished": num_jobs - num_unfinished,
        "answers": len(votes),
        "wanted": len(votes) + num_waiting,
        "per_hour": pace,
        "left_hours": num_waiting / pace if pace else (0.0 if is_finished else None),
    }


def _outcome(counted: Sequence[Vote], round_number: int, rules: RoundSettings) -> dict[str, int]:
    """How many clips a round has judged so far, and how many of them survived."""
    votes = [vote for vote in counted if vote.kind == CHOOSE]
    decisions = verdicts(votes, round_number, rules).values()
    return {
        "survived": sum(verdict.survives for verdict in decisions),
        "judged": sum(verdict.judged for verdict in decisions),
    }


def _per_hour(votes: Sequence[Vote]) -> float | None:
    """Answers an hour over the last hour of work, or None where nobody has worked for an hour."""
    if len(votes) < 2:
        return None
    times = sorted(vote.submitted_at for vote in votes)
    recent = [time for time in times if time >= times[-1] - PACE]
    hours = (recent[-1] - recent[0]) / timedelta(hours=1)
    if hours <= 0 or datetime.now(UTC) - times[-1] > PACE:
        return None
    return (len(recent) - 1) / hours


def _people(
    connection: Connection,
    all_votes: Sequence[Vote],
    retired: set[str],
    candidates: Mapping[str, Candidate],
) -> list[dict[str, Any]]:
    motion = {name: row.motion_score for name, row in candidates.items() if row.motion_score is not None}
    gold = {
        row.job_id: set(row.right)
        for row in connection.execute(select(jobs.c.job_id, jobs.c.right).where(jobs.c.kind == GOLD))
    }
    facts = people_facts(all_votes, motion, gold)
    held = select(seats.c.holder, func.count()).where(~seats.c.answered, seats.c.holder.is_not(None))
    num_held = {row[0]: row[1] for row in connection.execute(held.group_by(seats.c.holder))}
    last_vote: dict[str, datetime] = {}
    for vote in all_votes:
        last_vote[vote.annotator] = max(last_vote.get(vote.annotator, vote.submitted_at), vote.submitted_at)
    return [
        {
            "name": row["name"],
            "role": row["role"],
            "active": row["active"],
            "retired": row["name"] in retired,
            "simulated": row["simulated"],
            "holds": num_held.get(row["name"], 0),
            **_person_figures(facts.get(row["name"], PersonFacts(answers=0))),
            "last_seen": last_vote[row["name"]].isoformat() if row["name"] in last_vote else None,
        }
        for row in connection.execute(select(people).order_by(people.c.name)).mappings()
    ]


def _person_figures(facts: PersonFacts) -> dict[str, Any]:
    return {
        "answers": facts.answers,
        "median_seconds": facts.median_seconds,
        "pick_rate": facts.pick_rate,
        "gold": {"right": facts.gold_right, "of": facts.gold_of},
        "with_majority": facts.with_majority,
        "low_motion_bias": facts.low_motion_bias,
        "low_motion_interval": facts.low_motion_interval,
    }


def keep_rates_of(
    candidates: Iterable[Candidate], votes: Sequence[Vote], settings: Settings
) -> list[dict[str, Any]]:
    """By teacher and bucket, how many of the judged clips survive all rounds, with Wilson's 95 % interval.

    A clip counts as judged once a round has rejected it or the last round has decided.
    """
    rows = list(candidates)
    surviving = {(row.candidate_id, row.clip_digest) for row in survivors(rows, votes, settings)}
    judged = _judged_clips(votes, settings)
    num_judged: Counter[tuple[str, str]] = Counter()
    num_kept: Counter[tuple[str, str]] = Counter()
    for row in rows:
        clip = row.candidate_id, str(row.clip_digest)
        if clip in judged:
            num_judged[row.teacher, row.bucket] += 1
            num_kept[row.teacher, row.bucket] += clip in surviving
    return [
        _keep_rate(teacher, bucket, num_judged[teacher, bucket], num_kept[teacher, bucket])
        for teacher, bucket in sorted(num_judged)
    ]


def _judged_clips(votes: Sequence[Vote], settings: Settings) -> set[Clip]:
    clips: set[Clip] = set()
    for number, rules in enumerate(settings.rounds, 1):
        is_last = number == len(settings.rounds)
        clips |= {
            clip
            for clip, verdict in verdicts(votes, number, rules).items()
            if verdict.judged and (is_last or not verdict.survives)
        }
    return clips


def _keep_rate(teacher: str, bucket: str, num_judged: int, num_kept: int) -> dict[str, Any]:
    cell = Cell(
        teacher=teacher, bucket=bucket, made=0, failed=0, seconds=0.0, judged=num_judged, kept=num_kept
    )
    low, high = cell.keep_interval
    return {
        "teacher": teacher,
        "bucket": bucket,
        "judged": num_judged,
        "kept": num_kept,
        "rate": cell.keep_rate,
        "low": low,
        "high": high,
    }


def _flags(votes: Sequence[Vote], candidates: Mapping[str, Candidate]) -> list[dict[str, Any]]:
    """The clips that people flagged, the most flagged first."""
    flags_of: defaultdict[str, Counter[str]] = defaultdict(Counter)
    digest_of: dict[str, str] = {}
    for vote in votes:
        digests = dict(zip(vote.shown, vote.shown_digests, strict=True))
        for name, flag in zip(vote.flagged, vote.flags, strict=True):
            flags_of[name][flag] += 1
            digest_of[name] = digests[name]
    most_flagged = sorted(flags_of, key=lambda name: (-flags_of[name].total(), name))
    return [
        {
            "clip": name,
            "url": f"/clips/{digest_of[name]}.webp",
            "frames": candidates[name].num_frames,
            "fps": candidates[name].fps,
            "prompt": candidates[name].prompt,
            "unsafe": flags_of[name]["unsafe"],
            "broken": flags_of[name]["broken"],
        }
        for name in most_flagged
        if name in candidates
    ][:FLAGS_SHOWN]


def trail(connection: Connection, most: int = EVENTS_SHOWN) -> list[dict[str, Any]]:
    """The log of what leads and the program did, the latest first."""
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
