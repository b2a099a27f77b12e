"""From votes to a kept set: where votes are, what is kept, and latents that are not encoded again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.cli.keeping import join_queue, keep, kept_latents, show, votes_on, votes_url
from recipes.toy.projects import TINY
from stickers import storage
from stickers.annotation.rounds import advance
from stickers.annotation.settings import Settings
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import KEPT, Vote
from stickers.candidates.archive import Candidates
from stickers.errors import UserError
from tests.support.choosing import PEOPLE, do, work
from tests.support.plans import finish_plan

Choose = Callable[[set[str]], list[Vote]]


@pytest.fixture
def runs(tmp_path: Path) -> str:
    """A runs folder with one finished plan of two teachers, one of which is good."""
    finish_plan(tmp_path, 3)
    return str(tmp_path)


@pytest.fixture
def choose(runs: str) -> Choose:
    """Lets everybody pick the same clips in both rounds; gives their votes."""

    def choose(good: set[str]) -> list[Vote]:
        plan = storage.find_record(runs, "plans")
        with VoteStore(votes_url(runs, None)) as store:
            for name, role in PEOPLE.items():
                do(store, lambda connection, name=name, role=role: add_person(connection, name, role))
            num_jobs = join_queue(store, plan, "lea")
            assert [work(store, name, good) for name in ("ann", "bob", "cid")] == [num_jobs] * 3
            assert join_queue(store, plan, "lea") == 0
            candidates = {row.candidate_id: row for row in Candidates(plan.uri)}
            do(store, lambda connection: advance(connection, candidates))
            work(store, "eve", good)
            votes, settings = votes_on(store, plan.record["plan_id"])
            assert settings == Settings()
        return votes

    return choose


def good_clips(runs: str) -> set[str]:
    candidates = Candidates(storage.find_record(runs, "plans").uri)
    return {row.candidate_id for row in candidates if row.teacher == "good"}


def test_simulated_people_vote_in_a_file_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STICKERS_VOTES", raising=False)
    assert votes_url("/runs", None) == "sqlite:////runs/votes.db"
    assert votes_url("/runs", None, simulated=True) == "sqlite:////runs/votes-simulated.db"
    assert votes_url("/runs", "postgresql://x") == "postgresql://x"
    with pytest.raises(UserError, match="cannot hold SQLite"):
        votes_url("s3://bucket/runs", None)
    monkeypatch.setenv("STICKERS_VOTES", "postgresql://y")
    assert votes_url("/runs", None) == votes_url("s3://bucket/runs", None, simulated=True) == "postgresql://y"
    assert votes_url("/runs", None, simulated=True) == "sqlite:////runs/votes-simulated.db"


def test_what_everybody_picked_is_kept_once(
    runs: str, choose: Choose, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, good = storage.find_record(runs, "plans"), good_clips(runs)
    votes = choose(good)
    kept, fresh = keep(
        runs, plan, votes, Settings(), TINY, lambda rows, clips: {"more": len(rows) + len(clips)}
    )
    assert fresh and not kept.record["simulated"] and kept.record["more"] == 12 + len(good)
    rows = storage.read_table(storage.join(kept.uri, "kept.parquet"), KEPT).to_pylist()
    assert {row["candidate_id"] for row in rows} == good and all(row["clip"] for row in rows)
    assert kept.record["counts"] | {"jobs": 0, "votes": 0} == {
        "candidates": 12, "jobs": 0, "votes": 0, "survived_round_one": 6, "kept": 6, "prompts": 3, "prompts_kept": 3
    }  # fmt: skip
    current = storage.current(runs, "kept", "tiny")
    assert current is not None and current.uri == kept.uri
    again, fresh = keep(runs, plan, votes, Settings(), TINY)
    assert again == kept and not fresh
    show(kept.record)
    text = capsys.readouterr().out
    assert "(people)" in text and "3 of 3 prompts keep a clip" in text


def test_what_nobody_picked_is_one_sentence(runs: str, choose: Choose) -> None:
    with pytest.raises(UserError, match="nothing is kept: of 12 clips 0 went through the first round"):
        keep(runs, storage.find_record(runs, "plans"), choose(set()), Settings(), TINY)
    assert storage.find_records(runs, "kept") == []


def test_a_pilots_kept_set_stands_for_nothing(runs: str, choose: Choose) -> None:
    votes, plan = choose(good_clips(runs)), storage.find_record(runs, "plans")
    pilot = storage.Artifact(plan.uri, plan.record | {"kind": "pilot"})
    assert keep(runs, pilot, votes, Settings(), TINY)[1] and storage.current(runs, "kept", "tiny") is None


def test_latents_that_an_older_version_left_are_taken(prepared_runs: Path, tiny_foundations: Path) -> None:
    (folder,) = {path.parent for path in prepared_runs.glob("kept/*/record.json")}
    kept = storage.Artifact(str(folder), json.loads((folder / "record.json").read_text()))
    assert kept_latents(kept, "kept", str(tiny_foundations), 32) == str(folder / "latents.safetensors")
    assert kept_latents(kept, "all", str(tiny_foundations), 32) == str(folder / "all.safetensors")
