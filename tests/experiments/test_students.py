"""Students train on what people kept, each at its own size and by its own encoders."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cli.training import TrainOptions
from experiments.students import kept_sets, main, student_jobs
from recipes.toy.projects import TINY
from stickers import storage
from stickers.errors import UserError

STUDENT = TINY.students[0]


def test_a_student_asks_for_the_sets_that_it_reads(prepared_runs: Path, tiny_foundations: Path) -> None:
    kept, base = storage.find_record(str(prepared_runs), "kept"), str(tiny_foundations)
    sets = kept_sets(kept, STUDENT, base)
    assert set(sets) == {"kept@32"} and Path(sets["kept@32"]).is_file()
    assert set(kept_sets(kept, TINY.distillations[0], base)) == {"kept@32"}
    both = tuple(
        replace(stage, datasets=(("kept", 0.5), ("all", 0.5))) for stage in (*STUDENT.stages, *STUDENT.stages)
    )
    assert set(kept_sets(kept, replace(STUDENT, stages=both), base)) == {"kept@32", "all@32"}
    (job,) = student_jobs(kept, [STUDENT], base)
    assert (job.role, job.encoders, dict(job.sets)) == ("student", base, sets)


def test_a_dry_run_shows_the_students_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TrainOptions(runs=str(tmp_path), project="tiny", dry_run=True)) == 0
    text = capsys.readouterr().out
    assert f"{STUDENT.name} {STUDENT.digest()}" in text and "distilled" not in text
    assert not list(tmp_path.iterdir())


def test_nothing_kept_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run experiments/annotate.py keep first"):
        main(TrainOptions(runs=str(tmp_path), project="tiny"))
