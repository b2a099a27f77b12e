"""A person's votes and name leave stores, snapshots and kept sets; what was made of them is marked."""

import json
from pathlib import Path

import pytest

from stickers import storage
from stickers.annotation.store.votes import VoteStore, thaw
from stickers.artifacts.records import KEPT
from stickers.errors import UserError
from stickers.housekeeping.vote_withdrawal import withdraw_votes
from stickers.housekeeping.withdrawal import LEARNED, REMAINS, carry_out
from stickers.housekeeping.withdrawn import Withdrawn, lift, person_digest, warning_of, without_people
from tests.support.old_runs import DISTILLED, EXPORTED, STUDENT, copy_runs
from tests.support.old_runs import KEPT as KEPT_SET


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return copy_runs(tmp_path)


def urls(runs: Path) -> list[str]:
    return [f"sqlite:///{runs}/votes-simulated.db"]


def judge(runs: Path) -> str:
    """Somebody whose pick was kept."""
    (row,) = storage.read_table(str(runs / KEPT_SET / "kept.parquet"), KEPT).to_pylist()
    return str(row["accepted_by"][0])


def test_no_file_names_the_person_any_more(runs: Path) -> None:
    name = judge(runs)
    withdrawal = withdraw_votes(str(runs), name, vote_stores=urls(runs), reason="asked for it")
    assert withdrawal.learned == [STUDENT, DISTILLED, EXPORTED]
    with VoteStore(urls(runs)[0]) as store:
        before = store.all(retired=True)
    carry_out(str(runs), withdrawal, withdrawal.steps)
    with VoteStore(urls(runs)[0]) as store:
        after = store.all(retired=True)
    assert after == [vote for vote in before if vote.annotator != name] and len(after) < len(before)
    for uri in storage.listing(str(runs / "votes")):
        assert thaw(uri) and name not in {vote.annotator for vote in thaw(uri)}
    (row,) = storage.read_table(str(runs / KEPT_SET / "kept.parquet"), KEPT).to_pylist()
    assert row["accepted_by"][0] == f"withdrawn-{person_digest(name)}" and len(row["accepted_by"]) == 2
    for path in (*(runs / "withdrawn").rglob("*.json"), *(runs / "kept").rglob("*.json")):
        assert name not in path.read_text() or (path.name == storage.RECORD and "panel" in path.read_text())
    with pytest.raises(
        UserError, match=r"votes that were withdrawn on 20.*experiments/annotate.py keep makes it again"
    ):
        warning_of(str(runs / KEPT_SET))


def test_votes_from_a_file_do_not_bring_the_person_back(runs: Path) -> None:
    name = judge(runs)
    with VoteStore(urls(runs)[0]) as store:
        votes = store.all(retired=True)
    withdrawal = withdraw_votes(str(runs), name, vote_stores=urls(runs))
    carry_out(str(runs), withdrawal, withdrawal.steps)
    rest, gone = without_people(votes, Withdrawn.of(str(runs)).people)
    assert gone == sum(vote.annotator == name for vote in votes) > 0
    assert name not in {vote.annotator for vote in rest} and without_people(votes, set()) == (votes, 0)


def test_a_choice_that_names_the_person_is_listed_and_stays(runs: Path) -> None:
    withdrawal = withdraw_votes(str(runs), "Ana", vote_stores=urls(runs))
    (step,) = withdrawal.steps
    assert (step.kind, step.effect) == ("choices", REMAINS) and "by hand" in step.detail
    carry_out(str(runs), withdrawal, withdrawal.steps)
    assert json.loads((runs / "choices" / step.artifact / storage.RECORD).read_text())["by"] == "Ana"


def test_asking_again_finds_nothing_new_and_a_mark_can_be_lifted(runs: Path) -> None:
    name = judge(runs)
    withdrawal = withdraw_votes(str(runs), name, vote_stores=urls(runs))
    folder = carry_out(str(runs), withdrawal, withdrawal.steps)
    again = withdraw_votes(str(runs), name, vote_stores=urls(runs))
    assert {step.effect for step in again.steps} == {LEARNED}
    assert carry_out(str(runs), again, again.steps) == folder
    assert lift(str(runs / STUDENT)) and not lift(str(runs / STUDENT)) and not warning_of(str(runs / STUDENT))


def test_somebody_unknown_is_named(runs: Path) -> None:
    with pytest.raises(UserError, match="nothing in .* and its vote stores names 'nobody'"):
        withdraw_votes(str(runs), "nobody", vote_stores=urls(runs))
