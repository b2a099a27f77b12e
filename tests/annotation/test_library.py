"""Clips of every plan in the queue are found by their digest, and a later plan replaces a candidate of an earlier."""

from pathlib import Path

from stickers.annotation.library import Library, chain_of
from stickers.annotation.rounds import open_plan
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.ids import clip_digest
from stickers.candidates.archive import Candidates
from tests.support.choosing import do
from tests.support.plans import finish_plan


def test_every_clip_is_found_by_its_digest(tmp_path: Path) -> None:
    plan = finish_plan(tmp_path / "runs", 1, ("good",))
    uri = str(tmp_path / "runs" / "plans" / plan.plan_id)
    rows = list(Candidates(uri))
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as store:
        do(store, lambda connection: open_plan(connection, plan.plan_id, uri, rows, by="lea"))
        library = Library.of(store)
    assert set(library.candidates) == {row.candidate_id for row in rows}
    for row in rows:
        strip = library.clip(str(row.clip_digest))
        assert strip is not None and clip_digest(strip) == row.clip_digest
    assert library.clip("unknown") is None


def test_a_plan_counts_votes_on_the_plans_that_it_replaces(tmp_path: Path) -> None:
    plans = (("first", ""), ("second", "first"), ("third", "second"), ("other", ""))
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as store:
        for name, supersedes in plans:
            do(
                store,
                lambda connection, name=name, supersedes=supersedes: open_plan(
                    connection, name, f"/{name}", [], supersedes=supersedes, by="lea"
                ),
            )
        assert store.read(lambda connection: chain_of(connection, "third")) == ["third", "second", "first"]
        assert store.read(lambda connection: chain_of(connection, "other")) == ["other"]
