"""Artifacts are followed to what they were made from, and to what was made from them."""

from pathlib import Path

import pytest

from stickers import storage
from stickers.data.latents import LatentSet
from stickers.housekeeping.lineage import Lineage, Reference, training_of
from stickers.training.job import artifacts_behind
from tests.support.latents import numbered
from tests.support.old_runs import (
    DISTILLED,
    EXPORTED,
    KEPT,
    LATENTS,
    PLAN,
    PROMPTS,
    STICKERS,
    STUDENT,
    TEACHER,
    copy_artifact,
    copy_runs,
)


def reference(name: str) -> Reference:
    return Reference(*name.split("/"))


def names(references: set[Reference]) -> set[str]:
    return {str(row) for row in references}


def test_older_records_are_followed_by_the_content_of_their_data(tmp_path: Path) -> None:
    lineage = Lineage.of(str(copy_runs(tmp_path)))
    assert names(lineage.needed_by([reference(EXPORTED)])) == {EXPORTED, DISTILLED, STUDENT, KEPT, PLAN}
    assert names(lineage.made_from([reference(LATENTS)])) == {LATENTS, TEACHER, "choices/7wmy7e13m69v"}
    assert names(lineage.made_from([reference(KEPT)])) == {KEPT, STUDENT, DISTILLED, EXPORTED}
    assert names(lineage.needed_by([reference(STICKERS)])) == {STICKERS, PROMPTS}
    assert reference(EXPORTED) not in lineage.current and reference(STUDENT) in lineage.current


def test_records_of_today_name_their_inputs(tmp_path: Path) -> None:
    runs = copy_runs(tmp_path)
    copy_artifact(runs, TEACHER, "teachers/b", data={"artist@32": "gone"}, inputs=[LATENTS, "latents/gone"])
    copy_artifact(
        runs,
        PLAN,
        "plans/later",
        teachers={"b": {"record": "b", "checkpoint": "c"}},
        supersedes=PLAN.split("/")[1],
    )
    copy_artifact(
        runs, KEPT, "evaluation/e", systems={"student": STUDENT.split("/")[1], "foundation student": "x"}
    )
    lineage = Lineage.of(str(runs))
    assert names(lineage.inputs[Reference("teachers", "b")]) == {LATENTS}
    assert names(lineage.needed_by([Reference("plans", "later")])) == {
        "plans/later",
        "teachers/b",
        LATENTS,
        PLAN,
    }
    assert names(lineage.inputs[Reference("evaluation", "e")]) == {STUDENT}


@pytest.mark.parametrize("name", ["kept", "all"])
def test_latents_name_the_artifacts_behind_them(tmp_path: Path, name: str) -> None:
    runs = copy_runs(tmp_path)
    folder = runs / "kept-latents" / "abc"
    folder.mkdir(parents=True)
    numbered().save(folder / "latents.safetensors")
    storage.write_record(str(folder), {"kept": KEPT.split("/")[1], "set": name})
    behind = artifacts_behind(str(folder / "latents.safetensors"))
    assert behind == ["kept-latents/abc", KEPT, *([PLAN] if name == "all" else [])]
    assert artifacts_behind(str(runs / LATENTS / "artist-32.safetensors")) == [LATENTS]
    assert artifacts_behind("/elsewhere/set.safetensors") == []
    assert len(LatentSet.load(folder / "latents.safetensors")) == 3


def test_a_checkpoint_tells_its_training() -> None:
    assert training_of("s3://bucket/runs/students/s-1/checkpoint") == Reference("students", "s-1")
    assert training_of("/runs/foundations/tiny/video_unets/student") is None
    assert training_of("/plans/p-1/checkpoint") is None and training_of("student") is None
