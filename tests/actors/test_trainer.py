"""Trainings side by side on a real Ray cluster: each fails alone, a rerun repeats nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from actors.cluster import check_room, connect
from actors.tracking import Tracking
from actors.trainer import CHECKPOINT, JobOutcome, train_all
from experiments.cli.training import Changes, apply
from recipes.toy.projects import TINY
from stickers import storage
from stickers.models.unet import VideoUNet
from stickers.training.job import TrainingJob
from stickers.training.recipe import Recipe

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1200)]
CHANGES = Changes(steps=12, batch_size=2, checkpoint_every=4)
TEACHER = apply(CHANGES, TINY.teachers[0])


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connect(num_cpus=4):
        yield


def job_of(recipe: Recipe, foundations: Path, runs: Path) -> TrainingJob:
    sets = {path.stem.replace("-", "@"): str(path) for path in (runs / "latents").rglob("*.safetensors")}
    return TrainingJob.of_recipe(recipe, foundations=str(foundations), sets=sets)


def train(runs: Path, *jobs: TrainingJob) -> dict[str, JobOutcome]:
    return {outcome.job.recipe.name: outcome for outcome in train_all(jobs, str(runs), project=TINY)}


def child_runs(runs: Path) -> list[tuple[str, str, list[float]]]:
    """Name, status and logged steps of every training's MLflow run."""
    tracking = Tracking.open(str(runs))
    runs_found = tracking.client.search_runs([tracking.experiment_id], "tags.role = 'teacher'")
    return [
        (
            run.info.run_name,
            run.info.status,
            [m.step for m in tracking.client.get_metric_history(run.info.run_id, "train/loss")],
        )
        for run in runs_found
    ]


def test_one_fails_alone_and_a_rerun_repeats_nothing(
    cluster: None, tiny_foundations: Path, prepared_runs: Path
) -> None:
    wild = replace(
        TEACHER,
        name="wild",
        stages=tuple(replace(stage, lr=1e30) for stage in TEACHER.stages),
        warmup_steps=1,
    )
    jobs = [job_of(recipe, tiny_foundations, prepared_runs) for recipe in (TEACHER, wild)]
    outcomes = train(prepared_runs, *jobs)
    assert outcomes[TEACHER.name].status == "trained", outcomes[TEACHER.name].reason
    assert outcomes["wild"].status == "failed"
    assert "the loss is" in outcomes["wild"].reason
    teacher = storage.find_record(str(prepared_runs), "teachers", TEACHER.name)
    assert teacher.record["recipe_digest"] == TEACHER.digest()
    assert teacher.record["prediction"] == "sample_residual"
    assert {path.name for path in Path(teacher.uri).iterdir()} == {CHECKPOINT, storage.RECORD}
    VideoUNet.from_pretrained(
        storage.join(teacher.uri, CHECKPOINT), local_files_only=True, use_safetensors=True
    )
    runs = {name: (status, steps) for name, status, steps in child_runs(prepared_runs)}
    assert runs[TEACHER.name] == ("FINISHED", [10, 20, 24])
    assert runs["wild"][0] == "FAILED"
    tracking = Tracking.open(str(prepared_runs))
    shown = [
        artifact.path for artifact in tracking.client.list_artifacts(teacher.record["mlflow_run"], "previews")
    ]
    assert shown == ["previews/contact-sheet.png", "previews/preview.mp4"]
    before = {path: path.stat().st_mtime_ns for path in Path(teacher.uri).rglob("*")}
    assert train(prepared_runs, jobs[0])[TEACHER.name].status == "finished before"
    assert {path: path.stat().st_mtime_ns for path in Path(teacher.uri).rglob("*")} == before
    assert len(child_runs(prepared_runs)) == 2


def test_student_is_distilled(cluster: None, tiny_foundations: Path, prepared_runs: Path) -> None:
    """The distillation starts from the student's result. Killed workers: `test_kills.py`."""
    kept = {"kept@32": str(prepared_runs / "kept" / "0123456789ab" / "latents.safetensors")}
    recipe = apply(Changes(steps=4, batch_size=2), TINY.students[0])
    student = TrainingJob.of_recipe(recipe, foundations=str(tiny_foundations), sets=kept)
    outcomes = train(prepared_runs, student)
    assert outcomes["student"].status == "trained", outcomes["student"].reason
    distillation = apply(Changes(steps=2, batch_size=2), TINY.distillations[0])
    student_record = storage.find_record(str(prepared_runs), "students", "student")
    job = TrainingJob.of_distillation(
        distillation, student_record, foundations=str(tiny_foundations), sets=kept
    )
    outcome = train(prepared_runs, job)["distilled"]
    assert outcome.status == "trained", outcome.reason
    assert storage.find_record(str(prepared_runs), "distilled").record["settings"]["num_steps"] == 8


def test_no_room_is_said_before_anything_starts(
    cluster: None, tiny_foundations: Path, prepared_runs: Path
) -> None:
    large = replace(TEACHER, num_workers=64, batch_size=64)
    with pytest.raises(ValueError, match="one a worker; the cluster has"):
        train(prepared_runs, job_of(large, tiny_foundations, prepared_runs))
    assert not (prepared_runs / "teachers").exists()
    assert check_room([TEACHER]) >= 1
    huge = replace(TEACHER, batch_size=2_000_000)
    with pytest.raises(
        ValueError, match=r"cannot fit: a worker needs [\d.]+ GiB and has .* lower batch_size"
    ):
        train(prepared_runs, job_of(huge, tiny_foundations, prepared_runs))
    assert not (prepared_runs / "teachers").exists()
