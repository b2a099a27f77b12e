"""A project file is read strictly: what is wrong with it is one sentence, and its own code travels by value."""

import subprocess
import sys
from pathlib import Path

import pytest
from ray import cloudpickle

from experiments.cli.project_choice import SHIPPED, choose_project, project_path
from stickers.errors import UserError
from stickers.project import load_project, places_of

SMALLEST = """
from dataclasses import replace

from recipes.toy.projects import SMOKE
from stickers.project import Collection, Evaluation, Foundation, People, Project
from stickers.prompts.sources import StickerTable

"""


def write(folder: Path, text: str, name: str = "mascots.py") -> Path:
    path = folder / name
    path.write_text(SMALLEST + text)
    return path


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "project = replace(SMOKE, name='my cats')",
            r"mascots.py, line 8: a project's name has letters, digits",
        ),
        ("value = 1", "defines no `project = Project"),
        ("project = 3", "defines no `project = Project"),
        (
            "project = replace(SMOKE, colour='red')",
            "line 8: TypeError: .*unexpected keyword argument 'colour'",
        ),
        ("raise RuntimeError('no network here')", "line 8: RuntimeError: no network here"),
        ("import no_such_package", "line 8: ModuleNotFoundError: No module named 'no_such_package'"),
        ("project = (", "line 8: SyntaxError"),
        (
            "project = replace(SMOKE, collections=SMOKE.collections[:1])",
            "asks for set 'keyword'; collections: artist",
        ),
        (
            "project = replace(SMOKE, distillations=(replace(SMOKE.distillations[0], student='nobody'),))",
            "distillation 'distilled' names student 'nobody'; students: student",
        ),
        ("project = replace(SMOKE, teachers=SMOKE.teachers[:1] * 2)", "two recipes named"),
        ("Collection(name='cats')", "collection 'cats' needs either a place or a source"),
    ],
)
def test_what_is_wrong_with_a_project_file_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_project(write(tmp_path, text))


def test_a_file_that_would_hide_a_module_is_refused(tmp_path: Path) -> None:
    for name in ("ray.py", "json.py", "stickers.py"):
        with pytest.raises(UserError, match=f"bears the name of the module '{name[:-3]}'"):
            load_project(write(tmp_path, "project = SMOKE", name))


def test_an_absent_file_and_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no project file"):
        choose_project(str(tmp_path / "absent.py"))
    with pytest.raises(
        UserError, match="there is no project '.*cats'; give a file that ends in .py, or a shipped one"
    ):
        choose_project("cats")


def test_a_shipped_name_is_not_given_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the name 'tiny' belongs to a shipped project"):
        choose_project(str(write(tmp_path, "project = replace(SMOKE, name='tiny')")))


def test_relative_places_lie_beside_the_file(tmp_path: Path) -> None:
    text = """
project = replace(
    SMOKE,
    name="cats",
    foundation=Foundation(place="networks"),
    collections=tuple(replace(row, draw=None, place=f"videos/{row.name}") for row in SMOKE.collections),
    stickers=StickerTable(table="stickers.csv"),
    evaluation=Evaluation(stickers=StickerTable(table="s3://bucket/held-out.csv")),
)
"""
    project, _ = load_project(write(tmp_path, text))
    assert project.foundation.place == str(tmp_path / "networks")
    assert places_of(project) == [
        str(tmp_path / "networks"),
        *(str(tmp_path / "videos" / name) for name in ("artist", "keyword", "neighbours")),
        str(tmp_path / "stickers.csv"),
        "s3://bucket/held-out.csv",
    ]


def test_its_own_functions_travel_to_a_process_that_has_not_the_file(tmp_path: Path) -> None:
    text = """
from stickers.evaluation.measures import Metric

def height(clip, sticker):
    return float(clip.shape[1])

METRIC = Metric(name="height", better="neither", explanation="pixels", measure=height)
project = replace(SMOKE, name="cats", evaluation=replace(SMOKE.evaluation, metrics=(METRIC,)))
"""
    path = write(tmp_path, text)
    project = choose_project(str(path))
    pickled = tmp_path / "metric.pickle"
    pickled.write_bytes(cloudpickle.dumps(project.evaluation.metrics[0].measure))
    path.unlink()
    code = (
        "import pickle, sys, numpy\n"
        "measure = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(measure(numpy.zeros((2, 7, 7, 4)), None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(pickled)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "7.0"


def test_where_nothing_names_a_project_the_first_line_says_which_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STICKERS_PROJECT", raising=False)
    assert choose_project(None).name == "tiny"
    assert capsys.readouterr().out.startswith("project tiny: shipped with the platform")
    write(tmp_path, "project = replace(SMOKE, name='here')", "project.py")
    assert choose_project(None).name == "here" and "the file in this folder" in capsys.readouterr().out
    monkeypatch.setenv("STICKERS_PROJECT", "smoke")
    assert choose_project(None).name == "smoke" and "$STICKERS_PROJECT names it" in capsys.readouterr().out
    assert choose_project("full").name == "full" and capsys.readouterr().out == ""


def test_every_shipped_project_loads() -> None:
    for name, path in SHIPPED.items():
        project, _ = load_project(path)
        assert project.name == name and project_path(name) == path
