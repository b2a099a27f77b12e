"""A database of the first versions keeps its votes."""

import sqlite3
from pathlib import Path

from sqlalchemy import text

from stickers.annotation.store.migrations.versions.v0002_queue import APPEND_ONLY
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
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as store:
        assert store.all() == [vote()] and store.add([vote()]) == 0
        names = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        triggers = set(store.engine.connect().execute(text(names)).scalars())
    assert triggers == {f"{table}_stay_{change}" for table in APPEND_ONLY for change in ("update", "delete")}
