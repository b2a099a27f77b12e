"""The database that holds people's choices: its tables, how it is opened, and how writes become durable.

The default is SQLite in WAL mode; a URL can name a PostgreSQL. Opening an older database migrates it with Alembic.
Acknowledged votes are append-only: triggers refuse to change or delete them, even from a database client.

One thread does all writing, in the order of the calls. Writes that arrive while the disk is busy are committed
together, and those of the same kind run as one step, so fifty people cost hardly more than one. When a write of such a
batch fails, each half of the batch is tried again in a transaction of its own, until the failing write is alone.
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

from stickers.annotation.store.compat import upgrade_steps
from stickers.errors import UserError

S = TypeVar("S")
T = TypeVar("T")
MIGRATIONS = Path(__file__).with_name("migrations")
#: more in one commit would keep the first of them waiting
LARGEST_BATCH = 64
#: of a write that the database refused because of another one, as after a deadlock
TRIES = 5
#: how long a connection waits for another program's write
BUSY_TIMEOUT_MS = 30_000
#: keys of this program among PostgreSQL's advisory locks: for migrating, and for building jobs
MIGRATION_LOCK, JOB_LOCK = 0x57_1C_4E_25, 0x57_1C_4E_26

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
#: a row for every person that a job needs; a seat without a holder, or whose lease has expired, is free
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
#: the orders in which a model put the queue, with what is needed to estimate what they miss
orders = Table(
    "orders",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("by", String(60), nullable=False),
    Column("value", JSON, nullable=False),
)


def open_engine(url: str) -> Engine:
    """The database at an SQLAlchemy URL, migrated to the newest tables.

    Raises:
        UserError: it cannot be opened, or a newer version of this program made it.
    """
    if url.startswith(("postgresql://", "postgres://")):
        url = "postgresql+psycopg://" + url.partition("://")[2]
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:  # the URL may hold a password, so it is not shown
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
    """Migrate to the newest tables; other programs that open the database wait meanwhile."""
    _lock(connection, MIGRATION_LOCK)
    config = Config()
    config.set_main_option("script_location", MIGRATIONS.as_posix().replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    if MigrationContext.configure(connection).get_current_revision() == script.get_current_head():
        return

    def steps(revision: str, _: MigrationContext) -> list[Any]:
        return upgrade_steps(script, revision)

    try:
        with EnvironmentContext(config, script, fn=steps) as environment:
            environment.configure(connection=connection, target_metadata=metadata)
            environment.run_migrations()
    except CommandError as error:
        raise UserError(
            f"the vote database {connection.engine.url} was made by another version of this program: {error}"
        ) from error


def _lock(connection: Connection, key: int) -> None:
    """Wait for a lock that holds until the transaction ends; SQLite needs none, it has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def lock_job_building(connection: Connection) -> None:
    """Wait until nobody else builds jobs, and keep others waiting until this transaction ends."""
    _lock(connection, JOB_LOCK)


def _use_wal(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # `_begin` begins transactions, not the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Take the write lock at once; two readers that both went on to write would fail instead of waiting."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@cache
def insert_new(dialect: str, table: Table) -> Insert:
    """An insertion that skips rows whose key exists; the result's `rowcount` counts the new rows.

    Args:
        dialect: name of the database's SQLAlchemy dialect.
    """
    module = postgresql if dialect == "postgresql" else sqlite
    statement: Insert = module.insert(table).on_conflict_do_nothing()
    return statement.execution_options(preserve_rowcount=True)


class Writer:
    """The thread that writes. `do` returns a future that is done once the write is durable."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.closed = False
        self.waiting: SimpleQueue[_Work | None] = SimpleQueue()
        self.thread = Thread(target=self._run, name="votes", daemon=True)
        self.thread.start()

    def do(self, work: Callable[[Connection], T]) -> "Future[T]":
        """Run `work` in a transaction. An exception rolls the transaction back and is raised by the future.

        `work` may run again after a rollback, so it must change nothing but the database.
        """
        return self.do_along(lambda connection, _: [work(connection)], None)

    def do_along(self, work: Callable[[Connection, list[S]], list[T]], item: S) -> "Future[T]":
        """Run `work` on this item together with other waiting items; the future has the result for this item."""
        if self.closed:
            raise RuntimeError("the database is closed and takes no more writes")
        done: Future[T] = Future()
        self.waiting.put((work, item, done))
        return done

    def close(self) -> None:
        """Finish the waiting writes and take no more."""
        self.closed = True
        self.waiting.put(None)
        self.thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch = [self.waiting.get()]
            while len(batch) < LARGEST_BATCH and not self.waiting.empty():
                batch.append(self.waiting.get())
            closing = None in batch
            # a caller may have cancelled its future
            accepted = [item for item in batch if item and item[2].set_running_or_notify_cancel()]
            if accepted:
                self._together(accepted, TRIES)

    def _together(self, batch: "list[_Work]", tries: int) -> None:
        results: list[Any] = []
        try:
            with self.engine.begin() as connection:
                for work, group in groupby(batch, key=lambda entry: entry[0]):
                    items = [item for _, item, _ in group]
                    results += (value for _, value in zip(items, work(connection, items), strict=True))
        except Exception as error:  # noqa: BLE001 (the future raises it)
            half = len(batch) // 2
            if half:
                self._together(batch[:half], tries)
                self._together(batch[half:], tries)
            elif tries > 1 and isinstance(error, DBAPIError):
                self._together(batch, tries - 1)
            else:
                batch[0][2].set_exception(error)
        else:
            for (_, _, done), value in zip(batch, results, strict=True):
                done.set_result(value)


_Work = tuple[Callable[[Connection, list[Any]], list[Any]], Any, "Future[Any]"]
