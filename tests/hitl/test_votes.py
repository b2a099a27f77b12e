"""Nothing acknowledged may be lost or counted twice, whoever writes at the same time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from stickers import store
from stickers.artifacts import VOTES, Vote
from stickers.hitl.votes import VoteStore, freeze, votes_digest

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


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/votes.db"


def test_votes_survive_and_repeat_harmlessly(url: str) -> None:
    every = [vote(), vote(annotator="ben", picks=()), vote(round=2)]
    with VoteStore(url) as votes:
        assert votes.add(every) == 3
        later = [replace(each, submitted_at=NOON.replace(hour=13)) for each in every]
        assert votes.add(later) == 0, "a repeated answer was counted again"
    with VoteStore(url) as votes:
        assert votes.all(plan_id="plan") == every
        assert votes.all(plan_id="plan", round=2) == [vote(round=2)] and votes.all(plan_id="other") == []
        assert votes.engine.connect().execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_a_contradicting_or_foreign_vote_is_refused_whole(url: str) -> None:
    with VoteStore(url) as votes:
        votes.add([vote()])
        with pytest.raises(ValueError, match="never changed"):
            votes.add([vote(job="j2"), vote(picks=("b",))])
        with pytest.raises(ValueError, match="did not show z"):
            votes.add([vote(job="j2"), vote(job="j3", picks=("z",))])
        assert votes.all(plan_id="plan") == [vote()]


def test_many_writers_at_once(url: str) -> None:
    every = [vote(job=f"j{i}", annotator=f"p{i % 5}") for i in range(60)]
    VoteStore(url).close()

    def write(part: int) -> int:
        with VoteStore(url) as votes:
            return sum(votes.add([each]) for each in every[part::2] + every[part::4])

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 60
    with VoteStore(url) as votes:
        assert len(votes.all(plan_id="plan")) == 60


def test_a_snapshot_is_named_by_its_answers(tmp_path: Path) -> None:
    every = [vote(), vote(annotator="ben", picks=())]
    uri = freeze(every, str(tmp_path))
    assert [Vote(**row) for row in store.read_table(uri, VOTES).to_pylist()] == every
    assert freeze(every[::-1], str(tmp_path)) == uri
    assert votes_digest(every) != votes_digest([vote(), vote(annotator="ben")])


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent/votes\.db cannot be opened"):
        VoteStore(f"sqlite:///{tmp_path}/absent/votes.db")


@pytest.mark.parametrize("url", ["votes.db", "nonsense://ann:secret@host/votes"])
def test_a_url_of_no_database_is_one_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="no way to a vote database") as caught:
        VoteStore(url)
    assert "secret" not in str(caught.value)
