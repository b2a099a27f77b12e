"""What is done with plans that are there: where they stand, what a filter takes of them, what a budget adds."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cli.plans import (
    budgeted,
    ids_of,
    planned_ids,
    regenerated,
    root_of,
    select,
    show_status,
    source_of,
    status_of,
    watching,
)
from stickers import storage
from stickers.candidates.archive import Candidates
from stickers.candidates.plan import PlannedTeacher, load_plan, save_plan
from stickers.candidates.prices import spending
from stickers.errors import UserError
from tests.support.plans import finish_plan

ENSEMBLE = [PlannedTeacher(name, name, {}) for name in ("good", "lazy")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A runs folder with one finished plan: three prompts, two pictures, two teachers."""
    folder = tmp_path_factory.mktemp("runs")
    finish_plan(folder, 3)
    return str(folder)


def named(names: tuple[str, ...]) -> list[PlannedTeacher]:
    return [PlannedTeacher(name, f"{name} now", {}) for name in names]


def test_a_filter_takes_rows_of_a_finished_plan(runs: str) -> None:
    uri = storage.find_record(runs, "plans").uri
    good = {row.candidate_id for row in Candidates(uri) if row.teacher == "good"}
    assert select(uri, "teacher == 'good'") == sorted(good) and len(good) == 6
    with pytest.raises(UserError):
        select(uri, "nothing == 1")


def test_a_regeneration_is_of_those_rows_and_their_teachers_as_they_are(runs: str, tmp_path: Path) -> None:
    old = storage.find_record(runs, "plans")
    plan = regenerated(old, "teacher == 'good'", named, None)
    assert plan.supersedes == old.folder and len(plan.rows) == 6
    assert {row.checkpoint for row in plan.rows} == {"good now"}
    uri = save_plan(runs, plan)
    assert root_of(uri) == root_of(old.uri) == old.uri
    record = {"plan_id": plan.plan_id, "supersedes": old.folder}
    newest = storage.Artifact(uri, record)
    assert source_of(runs, newest).plan_id == old.folder
    storage.remove(uri)


def test_a_plan_tells_where_it_stands(runs: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    uri = storage.find_record(runs, "plans").uri
    rows = status_of(uri)
    assert sum(int(row["planned"]) for row in rows) == sum(int(row["made"]) for row in rows) == 12
    assert {row["teacher"] for row in rows} == {"good", "lazy"} and not any(row["pending"] for row in rows)
    assert sorted(ids_of(uri)) == sorted(row.candidate_id for row in Candidates(uri))
    assert sum(map(len, planned_ids(uri).values())) == 12
    show_status(runs, None)
    assert "is finished" in capsys.readouterr().out
    begun = replace(load_plan(uri), plan_id="b" * 12)
    unfinished = save_plan(str(tmp_path), begun)
    assert {int(row["made"]) for row in status_of(unfinished)} == {0}
    show_status(str(tmp_path), None)
    text = capsys.readouterr().out
    assert "is not finished" in text and "12" in text
    with pytest.raises(UserError, match="holds no plan nothing"):
        show_status(str(tmp_path), "nothing")


def test_a_plan_is_watched_to_its_end(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan = load_plan(storage.find_record(runs, "plans").uri)
    uri = storage.join(runs, "plans", plan.plan_id)
    with watching(uri, plan):
        pass
    assert "0 of 12" in capsys.readouterr().out, "its blocks lie under no teacher's name, so none is counted"


def test_a_budget_buys_more_where_more_is_kept(runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    uri = storage.find_record(runs, "plans").uri
    source = load_plan(uri)
    cells = spending(list(Candidates(uri)), ())
    with pytest.raises(UserError, match="nobody has judged a candidate"):
        budgeted(runs, source, cells, ENSEMBLE, 10.0, 0.1, seed=0)
    judged = [replace(cell, judged=100, kept=90 if cell.teacher == "good" else 1) for cell in cells]
    extra = budgeted(runs, source, judged, ENSEMBLE, 20.0, 0.3, seed=0)
    counts = [sum(row.teacher == name for row in extra.rows) for name in ("good", "lazy")]
    assert counts[0] > counts[1] > 0, "a floor for each cell"
    assert not {row.candidate_id for row in extra.rows} & set(ids_of(uri))
    assert "spread by what was kept" in capsys.readouterr().out
