"""Nothing acknowledged may be lost, counted twice or changed, whoever writes at the same time."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import delete, insert, text, update
from sqlalchemy.exc import DBAPIError

from stickers import storage
from stickers.annotation.store.database import metadata, votes
from stickers.annotation.store.votes import Conflict, VoteStore, freeze, thaw, votes_digest
from stickers.artifacts.records import VOTES, Vote

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


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


def test_votes_survive_and_repeat_harmlessly(url: str) -> None:
    every = [vote(), vote(annotator="ben", picks=()), vote(round=2)]
    with VoteStore(url) as there:
        assert there.add(every) == 3
        later = [replace(each, submitted_at=NOON.replace(hour=13)) for each in every]
        assert there.add(later) == 0, "a repeated answer was counted again"
    with VoteStore(url) as there:
        assert there.all(plan_id="plan") == every
        assert there.all(plan_id="plan", round=2) == [vote(round=2)] and there.all(plan_id="other") == []
        if url.startswith("sqlite"):
            assert there.engine.connect().execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_a_contradicting_or_foreign_vote_is_refused_whole(url: str) -> None:
    with VoteStore(url) as there:
        there.add([vote()])
        with pytest.raises(Conflict, match="never changed"):
            there.add([vote(job="j2"), vote(picks=("b",))])
        with pytest.raises(ValueError, match="did not show z"):
            there.add([vote(job="j2"), vote(job="j3", picks=("z",))])
        with pytest.raises(ValueError, match="one for each flagged"):
            there.add([replace(vote(job="j2"), flagged=["b"], flags=["ugly"])])
        with pytest.raises(ValueError, match="flagged and picked"):
            there.add([replace(vote(job="j2"), flagged=["a"], flags=["unsafe"])])
        assert there.all(plan_id="plan") == [vote()]


def test_who_goes_back_answers_anew_and_the_first_answer_stays(url: str) -> None:
    again = replace(vote(picks=("b",)), revision=1)
    with VoteStore(url) as there:
        there.add([vote()])
        with pytest.raises(Conflict, match="revision 2 where 1 comes next"):
            there.add([replace(again, revision=2)])
        assert there.add([again]) == 1 and there.add([again]) == 0
        assert there.add([vote()]) == 0, "sent again late, it is there already"
        with pytest.raises(Conflict, match="otherwise"):
            there.add([vote(picks=())])
        assert there.all() == [again]
        count = there.read(lambda connection: connection.execute(text("SELECT count(*) FROM votes")).scalar())
        assert count == 2


def test_nobody_changes_or_deletes_a_vote(url: str) -> None:
    with VoteStore(url) as there:
        there.add([vote()])
        for change in (update(votes).values(annotator="eve"), delete(votes)):
            with pytest.raises(DBAPIError, match="append-only"):
                there.write(lambda connection, change=change: connection.execute(change)).result()
        assert there.all() == [vote()]


def test_what_fails_undoes_itself_alone(url: str) -> None:
    """Writes that are committed together do not see each other's failures."""
    with VoteStore(url) as there:
        futures = [
            there.write(lambda connection, number=number: _write_or_fail(connection, number))
            for number in range(30)
        ]
        for number, future in enumerate(futures):
            if number % 3 == 0:
                with pytest.raises(ZeroDivisionError):
                    future.result()
            else:
                assert future.result() == number
        assert sorted(int(each.job_id) for each in there.all()) == [n for n in range(30) if n % 3]


def test_a_closed_store_refuses_to_write(url: str) -> None:
    there = VoteStore(url)
    last = there.write(lambda connection: 1)
    there.close()
    assert last.result() == 1
    with pytest.raises(RuntimeError, match="closed"):
        there.add([vote()])


def _write_or_fail(connection: object, number: int) -> int:
    connection.execute(insert(votes), vars(vote(job=str(number))))  # type: ignore[attr-defined]
    return number if number % 3 else 1 // 0


def test_many_writers_at_once(url: str) -> None:
    every = [vote(job=f"j{i}", annotator=f"p{i % 5}") for i in range(60)]

    def write(part: int) -> int:
        with VoteStore(url) as there:
            return sum(there.add([each]) for each in every[part::2] + every[part::4])

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 60
    with VoteStore(url) as there:
        assert len(there.all(plan_id="plan")) == 60


def test_the_tables_are_as_the_program_has_them(url: str) -> None:
    with VoteStore(url) as there, there.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_database_of_the_first_versions_keeps_its_votes(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "votes.db") as old:
        old.executescript("""
            CREATE TABLE votes (job_id VARCHAR(26) NOT NULL, annotator VARCHAR(100) NOT NULL, round INTEGER NOT NULL,
                plan_id VARCHAR(26) NOT NULL, shown JSON NOT NULL, shown_digests JSON NOT NULL, picks JSON NOT NULL,
                started_at DATETIME NOT NULL, submitted_at DATETIME NOT NULL, simulated BOOLEAN NOT NULL,
                PRIMARY KEY (job_id, annotator, round));
            CREATE INDEX ix_votes_plan_id ON votes (plan_id);
            INSERT INTO votes VALUES ('j1', 'ana', 1, 'plan', '["a", "b"]', '["da", "db"]', '["a"]',
                '2026-01-01 12:00:00.000000', '2026-01-01 12:00:00.000000', 0);
        """)
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as there:
        assert there.all() == [vote()] and there.add([vote()]) == 0


def test_a_snapshot_is_named_by_its_answers(tmp_path: Path) -> None:
    every = [vote(), vote(annotator="ben", picks=())]
    uri = freeze(every, str(tmp_path))
    assert [Vote(**row) for row in storage.read_table(uri, VOTES).to_pylist()] == every
    assert freeze(every[::-1], str(tmp_path)) == uri and thaw(uri) == every
    before = storage.read_table(uri).drop_columns(["kind", "revision", "flagged", "flags"])
    storage.write_table(str(tmp_path / "old.parquet"), before, before.schema)
    assert thaw(str(tmp_path / "old.parquet")) == every, "as the first versions wrote it"
    assert votes_digest(every) != votes_digest([vote(), vote(annotator="ben")])


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent/votes\.db cannot be opened"):
        VoteStore(f"sqlite:///{tmp_path}/absent/votes.db")


@pytest.mark.parametrize("address", ["votes.db", "nonsense://ann:secret@host/votes"])
def test_a_url_of_no_database_is_one_sentence(address: str) -> None:
    with pytest.raises(ValueError, match="no way to a vote database") as caught:
        VoteStore(address)
    assert "secret" not in str(caught.value)
