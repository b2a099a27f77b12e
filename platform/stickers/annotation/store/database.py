"""The database in which people's choices live: its tables, how it is opened, and how what is written becomes durable.

SQLite in WAL mode by default, PostgreSQL by URL; Alembic migrates older ones when they are opened. Whatever was
acknowledged is append-only: triggers refuse to change or delete a vote, also for somebody with a database client.

Everything is written by one thread, in the order in which it was asked for. Writes that wait for each other's disk are
committed together, and those of the same kind done in one step, so that fifty people cost hardly more than one; when
one of them fails, each half is done again in a transaction of its own, until the one that fails is alone.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Index,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from stickers.errors import UserError

S = TypeVar("S")
T = TypeVar("T")
MIGRATIONS = Path(__file__).with_name("migrations")
#: writes that are committed together at most
TOGETHER = 64
#: tries of a write that the database refused for another's sake, as after a deadlock
TRIES = 5
#: a key of our own among PostgreSQL's advisory locks
MIGRATING = 0x57_1C_4E_25

metadata = MetaData()

people = Table(
    "people",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("password", String(200)),
    Column("link", String(64), unique=True, doc="hash of the sign-in link's token"),
    Column("active", Boolean, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
)
sessions = Table(
    "sessions",
    metadata,
    Column("token", String(64), primary_key=True, doc="hash of the cookie"),
    Column("name", String(60), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
)
settings = Table(
    "settings",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("by", String(60), nullable=False),
    Column("value", JSON, nullable=False),
)
plans = Table(
    "plans",
    metadata,
    Column("plan_id", String(26), primary_key=True),
    Column("uri", String(1000), nullable=False),
    Column("supersedes", String(26), nullable=False),
    Column("open", Boolean, nullable=False),
    Column("opened_at", Float, nullable=False),
)
jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(26), primary_key=True),
    Column("plan_id", String(26), nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("position", Float, nullable=False, doc="place in the queue, the least first"),
    Column("clips", JSON, nullable=False, doc="[[candidate id, digest, prompt, frames, fps], ...]"),
    Column("right", JSON, doc="of a gold job: the candidates worth sharing"),
    Column("withdrawn", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
)
#: one row a person whom a job needs; a seat that is nobody's, or whose lease has run out, can be taken
seats = Table(
    "seats",
    metadata,
    Column("job_id", String(26), primary_key=True),
    Column("seat", Integer, primary_key=True),
    Column("round", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("position", Float, nullable=False),
    Column("holder", String(60)),
    Column("leased_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("answered", Boolean, nullable=False),
    UniqueConstraint("job_id", "holder", name="one_seat_a_person"),
)
Index(
    "open_seats",
    seats.c.kind,
    seats.c.round,
    seats.c.position,
    seats.c.seat,
    sqlite_where=~seats.c.answered,
    postgresql_where=~seats.c.answered,
)
Index(
    "held_seats",
    seats.c.holder,
    sqlite_where=~seats.c.answered,
    postgresql_where=~seats.c.answered,
)
votes = Table(
    "votes",
    metadata,
    Column("job_id", String(26), primary_key=True),
    Column("annotator", String(100), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("plan_id", String(26), nullable=False, index=True),
    Column("shown", JSON, nullable=False),
    Column("shown_digests", JSON, nullable=False),
    Column("picks", JSON, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("flagged", JSON, nullable=False),
    Column("flags", JSON, nullable=False),
)
Index("votes_of", votes.c.annotator, votes.c.submitted_at)
skips = Table(
    "skips",
    metadata,
    Column("job_id", String(26), primary_key=True),
    Column("name", String(60), primary_key=True),
    Column("reason", String(500), nullable=False),
    Column("at", Float, nullable=False),
)
retirements = Table(
    "retirements",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("name", String(60), nullable=False),
    Column("retired", Boolean, nullable=False, doc="or restored"),
    Column("by", String(60), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("at", Float, nullable=False),
)
events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("who", String(60), nullable=False),
    Column("what", String(40), nullable=False),
    Column("detail", JSON, nullable=False),
)
#: orders in which a model put the queue, with what is needed to say what they miss
orders = Table(
    "orders",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("by", String(60), nullable=False),
    Column("value", JSON, nullable=False),
)


def open_engine(url: str) -> Engine:
    """The database behind an SQLAlchemy URL, brought up to date.

    Raises:
        UserError: it cannot be opened, or a newer version of this program has made it.
    """
    if url.startswith(("postgresql://", "postgres://")):
        url = "postgresql+psycopg://" + url.partition("://")[2]
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:  # the URL is not repeated: it may hold a password
        reason = str(error).splitlines()[0]
        raise UserError(f"there is no way to a vote database of that URL: {reason}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _use_wal)
        event.listen(engine, "begin", _begin)
    try:
        with engine.begin() as connection:
            _migrate(connection)
    except SQLAlchemyError as error:
        engine.dispose()
        reason = str(error).splitlines()[0]
        raise UserError(f"the vote database {engine.url} cannot be opened: {reason}") from error
    return engine


def _migrate(connection: Connection) -> None:
    """To the newest tables; whoever opens the same database meanwhile waits."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATING})
    config = Config()
    config.set_main_option("script_location", MIGRATIONS.as_posix().replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    if MigrationContext.configure(connection).get_current_revision() == script.get_current_head():
        return

    def steps(revision: str, _: MigrationContext) -> list[Any]:
        return script._upgrade_revs("head", revision)  # what Alembic's own upgrade command calls

    try:
        with EnvironmentContext(config, script, fn=steps) as environment:
            environment.configure(connection=connection, target_metadata=metadata)
            environment.run_migrations()
    except CommandError as error:
        raise UserError(
            f"the vote database {connection.engine.url} was made by another version of this program: {error}"
        ) from error


def _use_wal(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by us
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Take the write lock at once: two readers that both want to write would otherwise fail instead of waiting."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@cache
def insert_new(dialect: str, table: Table) -> Insert:
    """An insertion that leaves rows that are there alone; the result's `rowcount` is of those that were not.

    Args:
        dialect: the name of the database's.
    """
    kind = postgresql if dialect == "postgresql" else sqlite
    return kind.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


class Writer:
    """The thread that writes. `do` gives a future that is done once what it did is durable."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.closed = False
        self.waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self.thread = Thread(target=self._run, name="votes", daemon=True)
        self.thread.start()

    def do(self, work: Callable[[Connection], T]) -> "Future[T]":
        """Run `work` inside a transaction; what it raises undoes what it did and is the future's.

        It may be run again after its transaction was undone, and so changes nothing but the database.
        """
        return self.do_along(lambda connection, _: [work(connection)], None)

    def do_along(self, work: Callable[[Connection, list[S]], list[T]], item: S) -> "Future[T]":
        """Run `work` on this item and others that wait for it; the future has what it gives for this one."""
        if self.closed:
            raise RuntimeError("the database is closed; nothing more is written")
        done: Future[T] = Future()
        self.waiting.put((work, item, done))
        return done

    def close(self) -> None:
        """Finish what waits, and take nothing more."""
        self.closed = True
        self.waiting.put(None)
        self.thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = [self.waiting.get()]
            while len(batch) < TOGETHER and not self.waiting.empty():
                batch.append(self.waiting.get())
            closing = None in batch
            # who asked for it may have gone since
            wanted = [each for each in batch if each and each[2].set_running_or_notify_cancel()]
            if wanted:
                self._together(wanted, TRIES)

    def _together(self, batch: "list[_Work]", tries: int) -> None:
        found: list[Any] = []
        try:
            with self.engine.begin() as connection:
                for work, some in groupby(batch, key=lambda each: each[0]):
                    items = [item for _, item, _ in some]
                    found += (value for _, value in zip(items, work(connection, items), strict=True))
        except Exception as error:  # noqa: BLE001 (it is raised where the future is waited for)
            half = len(batch) // 2
            if half:
                self._together(batch[:half], tries)
                self._together(batch[half:], tries)
            elif tries > 1 and isinstance(error, DBAPIError):
                self._together(batch, tries - 1)
            else:
                batch[0][2].set_exception(error)
        else:
            for (_, _, done), value in zip(batch, found, strict=True):
                done.set_result(value)


_Work = tuple[Callable[[Connection, list[Any]], list[Any]], Any, "Future[Any]"]
