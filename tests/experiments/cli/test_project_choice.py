"""Which project a command means, where a person names one and where nobody does."""

from pathlib import Path

import pytest

from experiments.cli.project_choice import (
    ENVIRONMENT,
    SHIPPED,
    USUAL_FILE,
    check_cluster,
    check_places,
    choose_project,
    project_path,
)
from recipes.toy.projects import SMOKE
from stickers.errors import UserError
from stickers.project import places_of

MINE = """
from dataclasses import replace

from recipes.toy.projects import SMOKE

project = replace(SMOKE, name="{name}")
"""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here names a project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def test_the_first_that_names_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert choose_project(None).name == "tiny"
    assert "shipped with the platform, because nothing names another" in capsys.readouterr().out
    Path(USUAL_FILE).write_text(MINE.format(name="here"))
    assert choose_project(None).name == "here"
    assert "the file in this folder" in capsys.readouterr().out
    monkeypatch.setenv(ENVIRONMENT, "smoke")
    assert choose_project(None).name == "smoke"
    assert f"${ENVIRONMENT} names it" in capsys.readouterr().out
    assert choose_project(USUAL_FILE).name == "here" and choose_project("full").name == "full"
    assert capsys.readouterr().out == "", "what a person has named needs no line"


def test_what_is_no_project_is_one_sentence(tmp_path: Path) -> None:
    assert project_path("tiny") == SHIPPED["tiny"] and project_path("a.py") == tmp_path / "a.py"
    with pytest.raises(UserError, match="there is no project 'huge'; give a file that ends in .py"):
        choose_project("huge")
    Path("mine.py").write_text(MINE.format(name="tiny"))
    with pytest.raises(UserError, match="the name 'tiny' belongs to a shipped project"):
        choose_project("mine.py")


def test_places_are_asked_of_the_cluster_that_is_not_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_cluster(SMOKE)
    paths_asked: list[str] = []

    def lacks(paths: list[str]) -> list[str]:
        paths_asked.extend(paths)
        return paths[:1]

    with pytest.raises(UserError, match="which the machines of the cluster cannot see"):
        check_places(SMOKE, lacks)
    assert paths_asked == [uri for uri in places_of(SMOKE) if "://" not in uri]
    check_places(SMOKE, lambda _: [])
