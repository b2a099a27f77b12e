"""A distilled student is exported once, and registered under the name that serving follows."""

from dataclasses import asdict
from pathlib import Path
from shutil import copytree

import pytest

from actors.tracking import CHAMPION, STUDENT, Tracking, resolve
from experiments.export import main
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.errors import UserError
from stickers.pipeline import AnimationPipeline
from stickers.training.job import training_name


def finish_distillation(runs: Path, student_folder: Path) -> None:
    """A finished distillation with the student's network."""
    student, name = AnimationPipeline.load(student_folder), SMOKE.distillations[0].name
    folder = runs / "distilled" / "one"
    copytree(student_folder / "unet", folder / "checkpoint")
    tracking = Tracking.open(str(runs))
    record = {
        "name": name,
        "recipe_digest": "digest",
        "simulated": True,
        "mlflow_run": tracking.run("distilled", {"role": "distilled"}),
        "prediction": student.prediction,
        "settings": asdict(student.settings),
        "picture_size": student.picture_size,
    }
    storage.write_record(str(folder), record)
    storage.set_current(str(runs), "distilled", training_name(SMOKE.name, name), "one")


def test_a_student_is_exported_once_and_found_by_its_alias(
    student_folder: Path, tiny_foundations: Path, tmp_path: Path
) -> None:
    runs = str(tmp_path)
    with pytest.raises(UserError, match="no distilled student 'distilled' of project 'smoke'"):
        main(runs, "smoke")
    finish_distillation(tmp_path, student_folder)
    for _ in range(2):
        main(runs, "smoke", foundations=str(tiny_foundations))
    (exported,) = storage.find_records(runs, "exported")
    assert resolve(f"models:/{STUDENT}@{CHAMPION}", runs) == exported.uri
    assert exported.record["simulated"] and exported.record["trained"] == "one"
    assert exported.record["licences"] == {"foundation": ""}, "the licence of another foundation is not known"
    assert AnimationPipeline.load(exported.uri).picture_size == 32
    with pytest.raises(UserError, match="there is no recipe 'x'"):
        main(runs, "smoke", only="x")
