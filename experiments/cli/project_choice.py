"""Which project a command means, and its pickling by value: a project's own functions and classes travel with a job."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import tyro
from ray import cloudpickle

import recipes
from actors.cluster import connect, is_private, missing_on_cluster
from actors.screen import console
from stickers.errors import UserError
from stickers.project import Foundation, Project, load_project, places_of

ENVIRONMENT = "STICKERS_PROJECT"
#: the project file that a command finds in the current folder
USUAL_FILE = "project.py"
DEFAULT = "tiny"
RECIPES = Path(recipes.__file__).parent
#: shipped projects, by name
SHIPPED = {
    "tiny": RECIPES / "toy" / "tiny.py",
    "full": RECIPES / "toy" / "full.py",
    "smoke": RECIPES / "toy" / "smoke.py",
    "paper": RECIPES / "paper.py",
}
ProjectName = Annotated[
    str | None,
    tyro.conf.arg(
        help="a project file, or the name of a shipped one: "
        f"{', '.join(SHIPPED)}; by default ${ENVIRONMENT}, then ./{USUAL_FILE}, then {DEFAULT}"
    ),
]


def choose_project(choice: str | None, foundations: str | None = None) -> Project:
    """The project that a command works on.

    Where the command line names none, the first line on the screen says which one it is.

    Args:
        foundations: a folder or URI that takes the place of the project's foundation.

    Raises:
        UserError: it is no project; the sentence says why.
    """
    if choice is None:
        name, reason = _unnamed()
        console.print(f"project {name}: {reason}", highlight=False, soft_wrap=True)
    path = project_path(choice)
    project, module = load_project(path)
    if project.name in SHIPPED and path != SHIPPED[project.name]:
        raise UserError(
            f"{path}: the name {project.name!r} belongs to a shipped project; give yours a name of its own"
        )
    cloudpickle.register_pickle_by_value(module)
    if foundations:
        # its licence is not the other's
        return replace(project, foundation=Foundation(place=absolute(foundations)))
    return project


def absolute(choice: str) -> str:
    """A place that a person has given, as a URI or an absolute path."""
    return choice if "://" in choice else str(Path(choice).expanduser().resolve())


def project_path(choice: str | None) -> Path:
    """The file of a project, absolute. UserError: it is neither a shipped name nor a Python file."""
    name = _unnamed()[0] if choice is None else choice
    path = SHIPPED.get(name) or Path(name).expanduser().resolve()
    if path.suffix != ".py":
        raise UserError(
            f"there is no project {name!r}; give a file that ends in .py, or a shipped one: {', '.join(SHIPPED)}"
        )
    return path


def _unnamed() -> tuple[str, str]:
    """The project where the command line names none, and why it is that one."""
    if os.environ.get(ENVIRONMENT):
        return os.environ[ENVIRONMENT], f"${ENVIRONMENT} names it"
    if Path(USUAL_FILE).is_file():
        return str(Path(USUAL_FILE).resolve()), "the file in this folder"
    return DEFAULT, "shipped with the platform, because nothing names another (--project FILE.py)"


def check_cluster(project: Project) -> None:
    """Refuse places that the machines of a shared cluster cannot see; a private one is this machine.

    Raises:
        UserError: a place is a path of this machine alone.
    """
    if is_private():
        return
    with connect():
        check_places(project, missing_on_cluster)


def check_places(project: Project, exists: Callable[[list[str]], list[str]]) -> None:
    """Refuse places that the machines of a cluster cannot see.

    Args:
        exists: returns which of some local paths a machine of the cluster lacks.

    Raises:
        UserError: a place is a path of this machine alone.
    """
    absent = exists([uri for uri in places_of(project) if "://" not in uri])
    if absent:
        raise UserError(
            f"project {project.name!r} names {absent[0]}, which the machines of the cluster cannot see; "
            "give a shared folder or a URI"
        )
