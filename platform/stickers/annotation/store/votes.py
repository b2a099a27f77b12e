"""The vote store: the one mutable thing in the platform, append-only, behind SQLAlchemy.

A vote is one person's answer to one job in one round. Sending it again changes nothing; who goes back answers again
under the next revision, and the one before stays. Stages never read the store itself but a frozen Parquet snapshot of
it.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, func, insert, select

from stickers import storage
from stickers.annotation.jobs import CHOOSE
from stickers.annotation.store.database import Writer, insert_new, open_engine, retirements, votes
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import VOTES, Vote
from stickers.artifacts.schema import records_of, table_of
from stickers.errors import UserError

S = TypeVar("S")
T = TypeVar("T")
_ANSWER = ("plan_id", "shown", "shown_digests", "picks", "simulated", "flagged", "flags")
FLAGS = ("unsafe", "broken")
#: no answer has a later revision
LAST = 2**31 - 1


class Conflict(UserError):
    """An answer that cannot be taken any more, or contradicts one that is there."""


class VoteStore:
    """Votes in a database, by default SQLite in WAL mode; close it, or use it in a `with`.

    Raises:
        UserError: the database cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)
        self.readers = self.engine.execution_options(reads=True)
        self.writer = Writer(self.engine)

    def __enter__(self) -> "VoteStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.writer.close()
        self.engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> "Future[T]":
        """A future that is done once what `work` wrote is durable."""
        return self.writer.do(work)

    def write_along(self, work: Callable[[Connection, list[S]], list[T]], item: S) -> "Future[T]":
        """The same, of work on many items at once, this one among those that wait."""
        return self.writer.do_along(work, item)

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads, all of it as of one moment."""
        with self.readers.connect() as connection:
            return work(connection)

    def add(self, some: Iterable[Vote]) -> int:
        """Append votes in one transaction; those that are there already, with the same answer, are left alone.

        Returns:
            How many were new.

        Raises:
            UserError: a vote picks what its job did not show, contradicts one already given, or leaves out a revision;
                none is then stored.
        """
        every = list(some)
        return self.write(lambda connection: add_votes(connection, every)).result()

    def all(
        self, *, plan_id: str | None = None, round: int | None = None, retired: bool = False
    ) -> list[Vote]:
        """The last revision of every vote, sorted by round, job and annotator.

        Args:
            plan_id: of that plan's jobs alone.
            retired: with the votes of people whose votes a lead has retired.
        """
        return self.read(lambda connection: votes_in(connection, plan_id, round, retired=retired))


def votes_in(
    connection: Connection, plan_id: str | None = None, round: int | None = None, *, retired: bool = False
) -> list[Vote]:
    """See `VoteStore.all`."""
    query = select(votes).order_by(votes.c.round, votes.c.job_id, votes.c.annotator, votes.c.revision.desc())
    if plan_id is not None:
        query = query.where(votes.c.plan_id == plan_id)
    if round is not None:
        query = query.where(votes.c.round == round)
    gone = set() if retired else retired_people(connection)
    last: dict[tuple[int, str, str], Vote] = {}
    for row in connection.execute(query).mappings():
        key = row["round"], row["job_id"], row["annotator"]
        if key not in last and row["annotator"] not in gone:
            last[key] = _vote(row)
    return list(last.values())


def retired_people(connection: Connection) -> set[str]:
    """Names of the people whose votes count no more."""
    newest = select(func.max(retirements.c.number)).group_by(retirements.c.name)
    query = select(retirements.c.name).where(retirements.c.number.in_(newest), retirements.c.retired)
    return set(connection.execute(query).scalars())


def last_vote(
    connection: Connection, job_id: str, annotator: str, round: int, revision: int = LAST
) -> Vote | None:
    """The answer that counts of one person to one job, or was their last up to a revision; or none."""
    values = {"job": job_id, "who": annotator, "which": round, "most": revision}
    row = connection.execute(_LAST, values).mappings().first()
    return _vote(row) if row else None


_LAST = (
    select(votes)
    .where(
        votes.c.job_id == bindparam("job"),
        votes.c.annotator == bindparam("who"),
        votes.c.round == bindparam("which"),
        votes.c.revision <= bindparam("most"),
    )
    .order_by(votes.c.revision.desc())
    .limit(1)
)


def add_votes(connection: Connection, some: Sequence[Vote]) -> int:
    """Append votes, of which those that are there already, with the same answer, are left alone; how many were new.

    Raises:
        UserError: one picks or flags what its job did not show.
        Conflict: one contradicts a vote that is there, or its revision is not the next one.
    """
    for vote in some:
        _check(vote)
    fresh = [vars(vote) for vote in some if not vote.revision]
    add = insert_new(connection.dialect.name, votes)
    count = connection.execute(add, fresh).rowcount if fresh else 0
    if count < len(some):  # which of them were new is not said
        count += sum(_follows(connection, vote) for vote in some)
    return count


def _follows(connection: Connection, vote: Vote) -> bool:
    """Append a revision; false when the very same answer is there."""
    last = last_vote(connection, vote.job_id, vote.annotator, vote.round)
    expected = last.revision + 1 if last else 0
    if vote.revision < expected:
        there = last_vote(connection, vote.job_id, vote.annotator, vote.round, vote.revision)
        if there and all(getattr(there, name) == getattr(vote, name) for name in _ANSWER):
            return False
        raise Conflict(
            f"{vote.annotator} has already answered job {vote.job_id} of round {vote.round} otherwise; "
            f"a vote is never changed, another answer is its revision {expected}"
        )
    if vote.revision != expected:
        raise Conflict(
            f"the answer to job {vote.job_id} is revision {vote.revision} where {expected} comes next; "
            "an answer before it has not arrived"
        )
    connection.execute(insert(votes), vars(vote))
    return True


def _check(vote: Vote) -> None:
    if len(vote.shown) != len(vote.shown_digests):
        raise UserError(
            f"job {vote.job_id} shows {len(vote.shown)} clips but names {len(vote.shown_digests)} digests"
        )
    for did, names in (("picked", vote.picks), ("flagged", vote.flagged)):
        foreign = [name for name in names if name not in vote.shown]
        if foreign:
            raise UserError(f"job {vote.job_id} did not show {foreign[0]}, which {vote.annotator} {did}")
    if len(vote.flags) != len(vote.flagged) or not set(vote.flags) <= set(FLAGS):
        raise UserError(
            f"a flag is one of {', '.join(FLAGS)}, one for each flagged clip of job {vote.job_id}"
        )
    both = set(vote.picks) & set(vote.flagged)
    if both and vote.kind == CHOOSE:
        raise UserError(f"clip {min(both)} of job {vote.job_id} is flagged and picked; it can be one of them")


def freeze(some: list[Vote], runs: str) -> str:
    """Write a snapshot to `<runs>/votes/<digest>.parquet`, unless that very one is there; returns its URI."""
    uri = storage.join(runs, "votes", f"{votes_digest(some)}.parquet")
    if not storage.exists(uri):
        storage.write_table(uri, table_of(some, Vote), VOTES)
    return uri


def thaw(uri: str) -> list[Vote]:
    """The votes of a snapshot, of any version of this program."""
    return records_of(storage.read_table(uri, VOTES), Vote)


def votes_digest(some: list[Vote]) -> str:
    """12 characters that change with any answer, not with the time at which it was given."""
    ordered = sorted(some, key=lambda vote: (vote.round, vote.job_id, vote.annotator))
    return content_id(
        "votes", [[v.job_id, v.annotator, v.round, *(getattr(v, n) for n in _ANSWER)] for v in ordered]
    )[:12]


def _vote(row: Any) -> Vote:
    return Vote(**{**row, "started_at": _utc(row["started_at"]), "submitted_at": _utc(row["submitted_at"])})


def _utc(when: datetime) -> datetime:
    """SQLite forgets the zone; everything is stored in UTC."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
