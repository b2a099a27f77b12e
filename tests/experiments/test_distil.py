"""A distillation starts from the project's finished student."""

from dataclasses import asdict
from pathlib import Path

import pytest

from experiments.cli.training import TrainOptions
from experiments.distil import distillation_job, find_student, main
from recipes.toy.projects import TINY
from stickers import storage
from stickers.errors import UserError
from stickers.training.job import training_name

RECIPE = TINY.distillations[0]


def finish_student(runs: str) -> storage.Artifact:
    """A student's record, as its training leaves it; no weights are needed to describe a job."""
    student = TINY.student(RECIPE.student)
    uri = storage.join(runs, "students", "student-1")
    settings = asdict(student.sampler) | {"num_frames": student.num_frames}
    record = {"name": student.name, "prediction": "sample_residual", "settings": settings, "picture_size": 32}
    storage.write_record(uri, record)
    storage.set_current(runs, "students", training_name(TINY.name, student.name), "student-1")
    return storage.Artifact(uri, storage.read_record(uri))


def test_the_job_takes_the_students_network_and_the_kept_set(
    prepared_runs: Path, tiny_foundations: Path
) -> None:
    runs, base = str(prepared_runs), str(tiny_foundations)
    kept = storage.find_record(runs, "kept")
    with pytest.raises(
        UserError, match="no finished student 'student' in .* run experiments/students.py first"
    ):
        find_student(runs, TINY, RECIPE)
    student = finish_student(runs)
    assert find_student(runs, TINY, RECIPE).uri == student.uri
    job = distillation_job(runs, TINY, RECIPE, kept, base)
    assert (job.role, job.unet, job.encoders) == ("distilled", storage.join(student.uri, "checkpoint"), base)
    assert set(dict(job.sets)) == {"kept@32"} and job.settings.num_steps == RECIPE.student_steps


def test_a_dry_run_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TrainOptions(runs=str(tmp_path), project="tiny", dry_run=True)) == 0
    assert f"{RECIPE.name} {RECIPE.digest()}" in capsys.readouterr().out and not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="run experiments/annotate.py keep first"):
        main(TrainOptions(runs=str(tmp_path), project="tiny"))
