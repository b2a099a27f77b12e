"""Nothing acknowledged may be lost, counted twice or changed, whoever writes at the same time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from stickers import storage
from stickers.annotation.store.votes import ConflictError, VoteStore, freeze, thaw, votes_digest
from stickers.artifacts.records import VOTES, Vote
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


def test_votes_survive_and_repeat_harmlessly(url: str) -> None:
    votes_given = [vote(), vote(annotator="ben", picks=()), vote(round=2)]
    with VoteStore(url) as store:
        assert store.add(votes_given) == 3
        later = [replace(vote_given, submitted_at=NOON.replace(hour=13)) for vote_given in votes_given]
        assert store.add(later) == 0, "a repeated answer was counted again"
    with VoteStore(url) as store:
        assert store.all(plan_id="plan") == votes_given
        assert (
            store.all(plan_id="plan", round_number=2) == [vote(round=2)] and store.all(plan_id="other") == []
        )
        if url.startswith("sqlite"):
            assert store.engine.connect().execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_a_contradicting_or_foreign_vote_is_refused_whole(url: str) -> None:
    with VoteStore(url) as store:
        store.add([vote()])
        with pytest.raises(ConflictError, match="never changed"):
            store.add([vote(job="j2"), vote(picks=("b",))])
        with pytest.raises(ValueError, match="did not show z"):
            store.add([vote(job="j2"), vote(job="j3", picks=("z",))])
        with pytest.raises(ValueError, match="one for each flagged"):
            store.add([replace(vote(job="j2"), flagged=["b"], flags=["ugly"])])
        with pytest.raises(ValueError, match="flagged and picked"):
            store.add([replace(vote(job="j2"), flagged=["a"], flags=["unsafe"])])
        assert store.all(plan_id="plan") == [vote()]


def test_who_goes_back_answers_anew_and_the_first_answer_stays(url: str) -> None:
    again = replace(vote(picks=("b",)), revision=1)
    with VoteStore(url) as store:
        store.add([vote()])
        with pytest.raises(ConflictError, match="revision 2 where 1 comes next"):
            store.add([replace(again, revision=2)])
        assert store.add([again]) == 1 and store.add([again]) == 0
        assert store.add([vote()]) == 0, "sent again late, it is there already"
        with pytest.raises(ConflictError, match="otherwise"):
            store.add([vote(picks=())])
        assert store.all() == [again]
        count = store.read(lambda connection: connection.execute(text("SELECT count(*) FROM votes")).scalar())
        assert count == 2


def test_many_writers_at_once(url: str) -> None:
    votes_given = [vote(job=f"j{i}", annotator=f"p{i % 5}") for i in range(60)]

    def write(part: int) -> int:
        with VoteStore(url) as store:
            return sum(store.add([vote_given]) for vote_given in votes_given[part::2] + votes_given[part::4])

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(write, range(4))) == 60
    with VoteStore(url) as store:
        assert len(store.all(plan_id="plan")) == 60


def test_a_snapshot_is_named_by_its_answers(tmp_path: Path) -> None:
    votes_given = [vote(), vote(annotator="ben", picks=())]
    uri = freeze(votes_given, str(tmp_path))
    assert [Vote(**row) for row in storage.read_table(uri, VOTES).to_pylist()] == votes_given
    assert freeze(votes_given[::-1], str(tmp_path)) == uri and thaw(uri) == votes_given
    before = storage.read_table(uri).drop_columns(["kind", "revision", "flagged", "flags"])
    storage.write_table(str(tmp_path / "old.parquet"), before, before.schema)
    assert thaw(str(tmp_path / "old.parquet")) == votes_given, "as the first versions wrote it"
    assert votes_digest(votes_given) != votes_digest([vote(), vote(annotator="ben")])
