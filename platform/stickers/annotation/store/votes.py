"""The vote store: append-only votes in a database, and the frozen snapshots that stages read.

A vote is one person's answer to one job in one round. Sending it again changes nothing. A person who goes back to a job
answers it again under the next revision; the earlier revision stays. Stages read a frozen Parquet snapshot, never the
store itself.
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
#: greater than any revision
LAST = 2**31 - 1
#: characters of a content hash that name a snapshot
DIGEST_LENGTH = 12


class ConflictError(UserError):
    """An answer that comes too late or contradicts a stored one."""


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
        """Finish the waiting writes and close the database."""
        self.writer.close()
        self.engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> "Future[T]":
        """Run `work` in a transaction; the future is done once it is durable."""
        return self.writer.do(work)

    def write_along(self, work: Callable[[Connection, list[S]], list[T]], item: S) -> "Future[T]":
        """The same for `work` on many items at once: this item and others that wait for the same work."""
        return self.writer.do_along(work, item)

    def read(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, which sees the database as of one moment."""
        with self.readers.connect() as connection:
            return work(connection)

    def add(self, new_votes: Iterable[Vote]) -> int:
        """Append votes in one transaction; a vote that is stored already with the same answer is skipped.

        Returns:
            How many were new.

        Raises:
            UserError: a vote picks a clip that its job did not show, contradicts a stored vote, or skips a revision.
                Then none is stored.
        """
        batch = list(new_votes)
        return self.write(lambda connection: add_votes(connection, batch)).result()

    def all(
        self, *, plan_id: str | None = None, round_number: int | None = None, retired: bool = False
    ) -> list[Vote]:
        """The last revision of every vote, sorted by round, job and annotator.

        Args:
            plan_id: only votes on this plan's jobs.
            round_number: only votes of this round.
            retired: also the votes of people whose votes a lead has retired.
        """
        return self.read(lambda connection: votes_in(connection, plan_id, round_number, retired=retired))


def votes_in(
    connection: Connection,
    plan_id: str | None = None,
    round_number: int | None = None,
    *,
    retired: bool = False,
) -> list[Vote]:
    """What `VoteStore.all` returns, in the caller's transaction."""
    query = select(votes).order_by(votes.c.round, votes.c.job_id, votes.c.annotator, votes.c.revision.desc())
    if plan_id is not None:
        query = query.where(votes.c.plan_id == plan_id)
    if round_number is not None:
        query = query.where(votes.c.round == round_number)
    retired_names = set() if retired else retired_people(connection)
    last: dict[tuple[int, str, str], Vote] = {}
    for row in connection.execute(query).mappings():
        key = row["round"], row["job_id"], row["annotator"]
        if key not in last and row["annotator"] not in retired_names:
            last[key] = _vote(row)
    return list(last.values())


def retired_people(connection: Connection) -> set[str]:
    """Names of the people whose votes no longer count."""
    newest = select(func.max(retirements.c.number)).group_by(retirements.c.name)
    query = select(retirements.c.name).where(retirements.c.number.in_(newest), retirements.c.retired)
    return set(connection.execute(query).scalars())


def last_vote(
    connection: Connection, job_id: str, annotator: str, round_number: int, revision: int = LAST
) -> Vote | None:
    """A person's last answer to a job, up to a revision; None where they gave none."""
    values = {"job": job_id, "who": annotator, "round": round_number, "most": revision}
    row = connection.execute(_LAST, values).mappings().first()
    return _vote(row) if row else None


_LAST = (
    select(votes)
    .where(
        votes.c.job_id == bindparam("job"),
        votes.c.annotator == bindparam("who"),
        votes.c.round == bindparam("round"),
        votes.c.revision <= bindparam("most"),
    )
    .order_by(votes.c.revision.desc())
    .limit(1)
)


def add_votes(connection: Connection, new_votes: Sequence[Vote]) -> int:
    """Append votes; a vote that is stored already with the same answer is skipped. Returns how many were new.

    Raises:
        UserError: a vote picks or flags a clip that its job did not show.
        ConflictError: a vote contradicts a stored one, or its revision is not the next one.
    """
    for vote in new_votes:
        _check(vote)
    fresh = [vars(vote) for vote in new_votes if not vote.revision]
    add = insert_new(connection.dialect.name, votes)
    count = connection.execute(add, fresh).rowcount if fresh else 0
    if count < len(new_votes):  # the database does not say which of them were new
        count += sum(_follows(connection, vote) for vote in new_votes)
    return count


def _follows(connection: Connection, vote: Vote) -> bool:
    """Append a revision; False where the same answer is stored already."""
    last = last_vote(connection, vote.job_id, vote.annotator, vote.round)
    expected = last.revision + 1 if last else 0
    if vote.revision < expected:
        earlier = last_vote(connection, vote.job_id, vote.annotator, vote.round, vote.revision)
        if earlier and all(getattr(earlier, name) == getattr(vote, name) for name in _ANSWER):
            return False
        raise ConflictError(
            f"{vote.annotator} has already answered job {vote.job_id} of round {vote.round} otherwise; "
            f"a vote is never changed, a new answer is its revision {expected}"
        )
    if vote.revision != expected:
        raise ConflictError(
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
        raise UserError(
            f"clip {min(both)} of job {vote.job_id} is flagged and picked; only one of them is accepted"
        )


def freeze(snapshot: list[Vote], runs: str) -> str:
    """Write votes to `<runs>/votes/<digest>.parquet`, unless that file exists; returns its URI."""
    uri = storage.join(runs, "votes", f"{votes_digest(snapshot)}.parquet")
    if not storage.exists(uri):
        storage.write_table(uri, table_of(snapshot, Vote), VOTES)
    return uri


def thaw(uri: str) -> list[Vote]:
    """The votes of a snapshot, of any version of this program."""
    return records_of(storage.read_table(uri, VOTES), Vote)


def votes_digest(snapshot: list[Vote]) -> str:
    """A short hash of the answers; it does not depend on when they were given."""
    ordered = sorted(snapshot, key=lambda vote: (vote.round, vote.job_id, vote.annotator))
    return content_id(
        "votes", [[v.job_id, v.annotator, v.round, *(getattr(v, n) for n in _ANSWER)] for v in ordered]
    )[:DIGEST_LENGTH]


def _vote(row: Any) -> Vote:
    return Vote(**{**row, "started_at": _utc(row["started_at"]), "submitted_at": _utc(row["submitted_at"])})


def _utc(when: datetime) -> datetime:
    """Everything is stored in UTC, but SQLite forgets the zone."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
