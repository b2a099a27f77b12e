"""What each teacher of a plan needs, and when it has done its part."""

import io
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from rich.console import Console

from actors.ensemble import MAX_ATTEMPTS, Encoders, Ensemble, run_teacher
from stickers import storage
from stickers.artifacts.records import CANDIDATES, FAILED, Candidate
from stickers.artifacts.schema import table_of
from stickers.candidates.plan import Plan, PlannedTeacher, make_plan, save_plan
from stickers.toy.grammar import toy_prompts, toy_stickers
from tests.support.plans import candidate, drawn
from tests.support.teachers import SETTINGS, SIZE, save_teacher


@pytest.fixture
def plan() -> Plan:
    """Three prompts for one teacher."""
    prompts = toy_prompts(3, seed=0)
    return make_plan(
        prompts, toy_stickers(prompts, SIZE), [PlannedTeacher("calm", "digest", asdict(SETTINGS))]
    )


@pytest.fixture
def ensemble(tmp_path: Path, tiny_foundations: Path) -> Ensemble:
    teacher = save_teacher(tmp_path, "calm", 1, tiny_foundations / "video_unets" / "student")
    encoders = Encoders(str(tiny_foundations), ["a", "t"])
    return Ensemble(teachers={"calm": teacher}, encoders={"calm": encoders}, batch_size=4, gpus=0.5)


def write_pass(uri: str, attempt: int, rows: list[Candidate]) -> None:
    """What a finished pass of the teacher leaves."""
    block_uri = storage.join(uri, "candidates", "calm", str(attempt), "rows", "block.parquet")
    storage.write_table(block_uri, table_of(rows, Candidate), CANDIDATES)


def test_a_pass_is_told_whose_weights_and_encoders_it_takes(plan: Plan, ensemble: Ensemble) -> None:
    work = ensemble.work("/runs/plans/p", plan, "calm", attempt=2)
    teacher = ensemble.teachers["calm"]
    assert (work.record, work.weights, work.plan_id) == (teacher.uri, teacher.record["weights"], plan.plan_id)
    assert (work.attempt, work.batch_size, work.gpus) == (2, 4, 0.5) and ensemble.size("calm") == SIZE
    same = replace(ensemble, encoders={"calm": Encoders("elsewhere", ["a", "t"])})
    other = replace(ensemble, encoders={"calm": Encoders("elsewhere", ["b", "t"])})
    assert same.conditions("/p", "calm") == ensemble.conditions("/p", "calm"), "the weights decide"
    assert other.conditions("/p", "calm") != ensemble.conditions("/p", "calm")


def test_a_finished_pass_is_not_made_again(plan: Plan, ensemble: Ensemble, tmp_path: Path) -> None:
    uri = save_plan(str(tmp_path), plan)
    write_pass(uri, 0, [candidate(row, plan.plan_id, drawn(plan, row)) for row in plan.rows])
    outs = run_teacher(uri, plan, "calm", ensemble, Console(quiet=True))
    assert outs == [storage.join(uri, "candidates", "calm", "0")]


def test_rows_that_fail_have_so_many_passes_and_no_more(
    plan: Plan, ensemble: Ensemble, tmp_path: Path
) -> None:
    uri, console = save_plan(str(tmp_path), plan), Console(file=io.StringIO(), width=200)
    rows = [candidate(row, plan.plan_id, drawn(plan, row)) for row in plan.rows]
    broken = replace(rows[2], status=FAILED, clip=None, clip_digest=None, error="it broke")
    write_pass(uri, 0, [*rows[:2], broken, *rows[3:]])
    for attempt in range(1, MAX_ATTEMPTS):
        write_pass(uri, attempt, [replace(broken, attempt=attempt)])
    outs = run_teacher(uri, plan, "calm", ensemble, console)
    assert [uri.rsplit("/", 1)[1] for uri in outs] == [str(attempt) for attempt in range(MAX_ATTEMPTS)]
