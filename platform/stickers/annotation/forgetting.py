"""A person withdraws: their votes and whatever names them leave the database.

Acknowledged votes are append-only, and triggers see to it. This is the one exception: the triggers are taken off and
put back in the same transaction. What others did stays; where it names the person, a pseudonym stands instead.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select, text, update

from stickers.annotation.rounds import balance, read_settings
from stickers.annotation.store.database import (
    events,
    lock_job_building,
    orders,
    people,
    retirements,
    seats,
    sessions,
    settings,
    skips,
    votes,
)
from stickers.annotation.store.people import note

#: tables whose rows triggers guard
GUARDED = (votes, settings, retirements, events, orders)
#: who the log of events names for a withdrawal
WITHDRAWAL = "withdrawal"


def count_traces(connection: Connection, name: str) -> dict[str, int]:
    """How many rows of a database are a person's own: votes of all revisions, skips and the person."""
    columns = {"votes": votes.c.annotator, "skips": skips.c.name, "person": people.c.name}
    counts = {}
    for trace, column in columns.items():
        query = select(func.count()).select_from(column.table).where(column == name)
        counts[trace] = int(connection.execute(query).scalar_one())
    return counts


def forget(connection: Connection, name: str, pseudonym: str) -> None:
    """Remove a person with their votes; their jobs are judged by somebody else.

    Args:
        pseudonym: what stands for the person where somebody else's doing names them.
    """
    lock_job_building(connection)
    answered = select(seats.c.job_id).where(seats.c.holder == name)
    job_ids = set(connection.execute(answered).scalars())
    with _unguarded(connection):
        connection.execute(delete(votes).where(votes.c.annotator == name))
        connection.execute(delete(retirements).where(retirements.c.name == name))
        for table, column in ((settings, "by"), (retirements, "by"), (orders, "by"), (events, "who")):
            connection.execute(update(table).where(table.c[column] == name).values({column: pseudonym}))
        _rename_in_events(connection, name, pseudonym)
    for table, column in ((skips, "name"), (sessions, "name"), (people, "name")):
        connection.execute(delete(table).where(table.c[column] == name))
    connection.execute(delete(seats).where(seats.c.holder == name))
    if job_ids:
        balance(connection, read_settings(connection), job_ids)
    note(connection, WITHDRAWAL, "votes withdrawn", {"name": pseudonym})


def _rename_in_events(connection: Connection, name: str, pseudonym: str) -> None:
    for number, detail in connection.execute(select(events.c.number, events.c.detail)).all():
        renamed = _renamed(detail, name, pseudonym)
        if renamed != detail:
            connection.execute(update(events).where(events.c.number == number).values(detail=renamed))


def _renamed(value: Any, name: str, pseudonym: str) -> Any:
    """A JSON value in which a text that is the name becomes the pseudonym."""
    if isinstance(value, dict):
        return {key: _renamed(inner, name, pseudonym) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, name, pseudonym) for inner in value]
    return pseudonym if value == name else value


@contextmanager
def _unguarded(connection: Connection) -> Iterator[None]:
    """The guarded tables take changes until the block ends; other transactions see none of it before it is whole."""
    if connection.dialect.name == "postgresql":
        _toggle(connection, "DISABLE")
        yield
        _toggle(connection, "ENABLE")
        return
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    triggers = [(row.name, row.sql) for row in connection.execute(query)]
    for trigger, _ in triggers:
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
    yield
    for _, statement in triggers:
        connection.exec_driver_sql(statement)


def _toggle(connection: Connection, word: str) -> None:
    table: Table
    for table in GUARDED:
        connection.exec_driver_sql(f"ALTER TABLE {table.name} {word} TRIGGER {table.name}_stay")
