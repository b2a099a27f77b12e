"""The first migration creates the table of votes and leaves one from before Alembic alone."""

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, create_engine, inspect, text

from stickers.annotation.store.migrations.versions import v0001_votes


def columns_after_upgrade(connection: Connection) -> set[str]:
    with Operations.context(MigrationContext.configure(connection)):
        v0001_votes.upgrade()
    return {column["name"] for column in inspect(connection).get_columns("votes")}


def test_an_empty_database_gets_the_table() -> None:
    with create_engine("sqlite://").begin() as connection:
        assert {"job_id", "annotator", "round", "picks"} <= columns_after_upgrade(connection)


def test_a_table_that_exists_stays() -> None:
    with create_engine("sqlite://").begin() as connection:
        connection.execute(text("CREATE TABLE votes (job_id TEXT)"))
        assert columns_after_upgrade(connection) == {"job_id"}
