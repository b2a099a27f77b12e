"""Which teachers take part in a plan: the project's own, those named, or those that a person has chosen."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cli.ensembles import encoders_of, find_teachers, obey_choice, origins, planned
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.errors import UserError
from stickers.evaluation.choice import Choice, record_choice
from stickers.training.job import training_name
from tests.support.teachers import SETTINGS, save_teacher

OURS = SMOKE.teachers[0].name


@pytest.fixture
def teachers(tmp_path: Path, tiny_foundations: Path) -> dict[str, storage.Artifact]:
    """The project's teacher, an older one of its name, and another project's."""
    like = tiny_foundations / "video_unets" / "student"
    save_teacher(tmp_path, OURS, 1, like)
    trainings = {name: save_teacher(tmp_path, name, 2, like) for name in (OURS, "stranger")}
    name = training_name(SMOKE.name, OURS)
    storage.set_current(str(tmp_path), "teachers", name, trainings[OURS].folder)
    return trainings


def test_teachers_are_the_projects_or_those_named(
    teachers: dict[str, storage.Artifact], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = str(tmp_path)
    assert {name: row.uri for name, row in find_teachers(runs, SMOKE, ()).items()} == {
        OURS: teachers[OURS].uri
    }
    both = find_teachers(runs, SMOKE, (OURS, "stranger"))
    assert {name: row.uri for name, row in both.items()} == {name: row.uri for name, row in teachers.items()}
    with pytest.raises(UserError, match=f"no finished teacher nobody .* finished are: {OURS}, stranger"):
        find_teachers(runs, SMOKE, ("nobody",))
    more = replace(SMOKE, teachers=(*SMOKE.teachers, replace(SMOKE.teachers[0], name="late")))
    capsys.readouterr()
    assert set(find_teachers(runs, more, ())) == {OURS}
    assert "teacher late is not finished and takes no part" in capsys.readouterr().out


def test_a_checkpoint_is_named_by_every_weight(
    teachers: dict[str, storage.Artifact], tiny_foundations: Path
) -> None:
    teacher = planned(OURS, teachers[OURS], str(tiny_foundations))
    assert teacher == planned(OURS, teachers[OURS], str(tiny_foundations)) and teacher.name == OURS
    assert teacher.settings["num_frames"] == SETTINGS.num_frames
    changed = replace(teachers[OURS], record={**teachers[OURS].record, "weights": "others"})
    assert planned(OURS, changed, str(tiny_foundations)).checkpoint != teacher.checkpoint


def test_a_teacher_may_have_encoders_of_its_own(teachers: dict[str, storage.Artifact]) -> None:
    own = replace(teachers[OURS], record={**teachers[OURS].record, "own_encoders": "s3://b/own"})
    rows = teachers | {OURS: own}
    assert encoders_of(rows, "/base", {}) == {OURS: "s3://b/own", "stranger": "/base"}
    assert encoders_of(rows, "/base", {"stranger": "/mine"})["stranger"] == "/mine"
    with pytest.raises(UserError, match="--encoders names nobody, which takes no part"):
        encoders_of(rows, "/base", {"nobody": "/mine"})


def test_a_persons_choice_is_obeyed_until_teachers_are_named(
    teachers: dict[str, storage.Artifact],
    tiny_foundations: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = str(tmp_path)
    ensemble = [planned(name, row, str(tiny_foundations)) for name, row in teachers.items()]
    assert obey_choice(runs, SMOKE, ensemble, teachers, ()) == ensemble, "nobody has chosen"
    chosen = origins({OURS: ensemble[0].checkpoint}, teachers)
    assert chosen[OURS].record == teachers[OURS].folder
    record_choice(
        runs,
        Choice(
            project=SMOKE.name,
            teachers=chosen,
            by="Ana",
            because="it moves",
            evidence="e",
            simulated=True,
        ),
    )
    assert obey_choice(runs, SMOKE, ensemble, teachers, ()) == ensemble[:1]
    assert "1 of 2 teachers on simulated evidence: Ana chose" in capsys.readouterr().out
    assert obey_choice(runs, SMOKE, ensemble, teachers, (OURS, "stranger")) == ensemble
    assert "set aside" in capsys.readouterr().out
    with pytest.raises(UserError, match="as it was in"):
        obey_choice(runs, SMOKE, [replace(ensemble[0], checkpoint="new")], teachers, ())
