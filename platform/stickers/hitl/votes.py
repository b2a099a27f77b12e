"""The vote store: the one mutable thing in the platform, append-only, behind SQLAlchemy.

A vote is one person's answer to one job in one round. Sending it again changes nothing; sending another answer under
the same name is refused, because what was acknowledged stays. Stages never read the store itself but a frozen Parquet
snapshot of it.
"""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from stickers import store
from stickers.artifacts import VOTES, Vote, content_id, table_of

_metadata = MetaData()
_votes = Table(
    "votes",
    _metadata,
    Column("job_id", String(26), primary_key=True),
    Column("annotator", String(100), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("plan_id", String(26), nullable=False, index=True),
    Column("shown", JSON, nullable=False),
    Column("shown_digests", JSON, nullable=False),
    Column("picks", JSON, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    Column("simulated", Boolean, nullable=False),
)
_ANSWER = ("plan_id", "shown", "shown_digests", "picks", "simulated")


class VoteStore:
    """Votes in a database, by default SQLite in WAL mode; close it, or use it in a `with`.

    Raises:
        ValueError: the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        try:
            self.engine = create_engine(url)
        except (SQLAlchemyError, ImportError) as error:  # the URL is not repeated: it may hold a password
            reason = str(error).splitlines()[0]
            raise ValueError(f"there is no way to a vote database of that URL: {reason}") from error
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _use_wal)
            event.listen(self.engine, "begin", _begin)
        try:
            _metadata.create_all(self.engine)
        except SQLAlchemyError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"the vote database {self.engine.url} cannot be opened: {reason}") from error

    def __enter__(self) -> "VoteStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.engine.dispose()

    def add(self, votes: Iterable[Vote]) -> int:
        """Append votes in one transaction; those that are there already, with the same answer, are left alone.

        Returns:
            How many were new.

        Raises:
            ValueError: a vote picks what its job did not show, or contradicts one already given; none is then stored.
        """
        new = 0
        with self.engine.begin() as connection:
            for vote in votes:
                _check(vote)
                new += _add_one(connection, vote)
        return new

    def all(self, *, plan_id: str, round: int | None = None) -> list[Vote]:
        """Votes on a plan's candidates, sorted by round, job and annotator."""
        query = select(_votes).where(_votes.c.plan_id == plan_id)
        if round is not None:
            query = query.where(_votes.c.round == round)
        query = query.order_by(_votes.c.round, _votes.c.job_id, _votes.c.annotator)
        with self.engine.connect() as connection:
            return [_vote(row._mapping) for row in connection.execute(query)]


def freeze(votes: list[Vote], runs: str) -> str:
    """Write a snapshot to `<runs>/votes/<digest>.parquet`, unless that very one is there; returns its URI."""
    uri = store.join(runs, "votes", f"{votes_digest(votes)}.parquet")
    if not store.exists(uri):
        store.write_table(uri, table_of(votes, Vote), VOTES)
    return uri


def votes_digest(votes: list[Vote]) -> str:
    """12 characters that change with any answer, not with the time at which it was given."""
    ordered = sorted(votes, key=lambda vote: (vote.round, vote.job_id, vote.annotator))
    return content_id(
        "votes", [[v.job_id, v.annotator, v.round, *(getattr(v, n) for n in _ANSWER)] for v in ordered]
    )[:12]


def _check(vote: Vote) -> None:
    foreign = [pick for pick in vote.picks if pick not in vote.shown]
    if foreign:
        raise ValueError(f"job {vote.job_id} did not show {foreign[0]}, which {vote.annotator} picked")
    if len(vote.shown) != len(vote.shown_digests):
        raise ValueError(
            f"job {vote.job_id} shows {len(vote.shown)} clips but names {len(vote.shown_digests)} digests"
        )


def _add_one(connection: Any, vote: Vote) -> int:
    try:
        with connection.begin_nested():
            connection.execute(insert(_votes).values(**asdict(vote)))
        return 1
    except IntegrityError:
        key = (
            (_votes.c.job_id == vote.job_id)
            & (_votes.c.annotator == vote.annotator)
            & (_votes.c.round == vote.round)
        )
        there = _vote(connection.execute(select(_votes).where(key)).one()._mapping)
        if any(getattr(there, name) != getattr(vote, name) for name in _ANSWER):
            raise ValueError(
                f"{vote.annotator} has already answered job {vote.job_id} of round {vote.round} otherwise; "
                "a vote is never changed"
            ) from None
        return 0


def _vote(row: Any) -> Vote:
    return Vote(**{**row, "started_at": _utc(row["started_at"]), "submitted_at": _utc(row["submitted_at"])})


def _utc(when: datetime) -> datetime:
    """SQLite forgets the zone; everything is stored in UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _use_wal(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # or the driver forgets to open a transaction before a savepoint
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.close()


def _begin(connection: Any) -> None:
    """Take the write lock at once: two readers that both want to write would otherwise fail instead of waiting."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
