"""Teachers train on what was prepared; a dry run shows every training and starts none."""

from pathlib import Path

import pytest

from experiments.cli.training import TrainOptions
from experiments.teachers import main, prepared_sets
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.errors import UserError


def test_prepared_sets_are_named_by_size(prepared_runs: Path) -> None:
    latents = storage.find_record(str(prepared_runs), "latents")
    sets = prepared_sets(latents)
    assert set(sets) == {"artist@32", "keyword@32", "neighbours@32"}
    assert all(Path(uri).is_file() for uri in sets.values())


def test_a_dry_run_shows_what_comes_after_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = [recipe.name for recipe in (*SMOKE.teachers, *SMOKE.students, *SMOKE.distillations)]
    assert main(TrainOptions(runs=str(tmp_path), project="smoke", dry_run=True)) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in every)
    main(TrainOptions(runs=str(tmp_path), project="smoke", dry_run=True, only=every[0]))
    assert "distilled" not in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_nothing_prepared_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds nothing of project 'smoke'; run experiments/prepare.py first"):
        main(TrainOptions(runs=str(tmp_path), project="smoke"))
