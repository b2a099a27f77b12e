"""Databases open, migrate and refuse; writes that fail undo only themselves, and votes are append-only."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, insert, update
from sqlalchemy.exc import DBAPIError

from stickers.annotation.store.database import metadata, votes
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import Vote
from tests.support.choosing import NOON


def vote(job: str = "j1", annotator: str = "ana", round: int = 1, picks: tuple[str, ...] = ("a",)) -> Vote:
    return Vote(
        job_id=job,
        annotator=annotator,
        round=round,
        plan_id="plan",
        shown=["a", "b"],
        shown_digests=["da", "db"],
        picks=list(picks),
        started_at=NOON,
        submitted_at=NOON,
        simulated=False,
    )


def test_nobody_changes_or_deletes_a_vote(url: str) -> None:
    with VoteStore(url) as store:
        store.add([vote()])
        for change in (update(votes).values(annotator="eve"), delete(votes)):
            with pytest.raises(DBAPIError, match="append-only"):
                store.write(lambda connection, change=change: connection.execute(change)).result()
        assert store.all() == [vote()]


def test_what_fails_undoes_itself_alone(url: str) -> None:
    """Writes that are committed together do not see each other's failures."""
    with VoteStore(url) as store:
        futures = [
            store.write(lambda connection, number=number: _write_or_fail(connection, number))
            for number in range(30)
        ]
        for number, future in enumerate(futures):
            if number % 3 == 0:
                with pytest.raises(ZeroDivisionError):
                    future.result()
            else:
                assert future.result() == number
        assert sorted(int(vote_given.job_id) for vote_given in store.all()) == [n for n in range(30) if n % 3]


def test_a_closed_store_refuses_to_write(url: str) -> None:
    store = VoteStore(url)
    last = store.write(lambda connection: 1)
    store.close()
    assert last.result() == 1
    with pytest.raises(RuntimeError, match="closed"):
        store.add([vote()])


def _write_or_fail(connection: object, number: int) -> int:
    connection.execute(insert(votes), vars(vote(job=str(number))))  # type: ignore[attr-defined]
    return number if number % 3 else 1 // 0


def test_the_tables_are_as_the_program_has_them(url: str) -> None:
    with VoteStore(url) as store, store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent/votes\.db cannot be opened"):
        VoteStore(f"sqlite:///{tmp_path}/absent/votes.db")


@pytest.mark.parametrize("address", ["votes.db", "nonsense://ann:secret@host/votes"])
def test_a_url_of_no_database_is_one_sentence(address: str) -> None:
    with pytest.raises(ValueError, match="no way to a vote database") as caught:
        VoteStore(address)
    assert "secret" not in str(caught.value)
