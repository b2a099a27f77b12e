"""The project: the one thing that a user writes. A Python file names everything that the chain needs.

`load_project` runs such a file under a private module name. Relative paths in it mean places beside the file.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from stickers.annotation.settings import Settings
from stickers.annotation.simulated import SimulatedPeople
from stickers.errors import UserError
from stickers.evaluation.measures import METRICS, Metric
from stickers.evaluation.truth import Truth
from stickers.prompts.sources import StickerSource
from stickers.storage.places import as_path
from stickers.training.recipe import Distillation, Recipe

#: what a project file must define
VARIABLE = "project"
MODULE_PREFIX = "_stickers_project_"


class VideoSource(Protocol):
    """Videos that a project draws itself instead of naming files."""

    @property
    def num_videos(self) -> int:
        """How many there are."""
        ...

    def write(self, folder: str, indices: Sequence[int]) -> list[dict[str, str]]:
        """Draw some of the videos into a folder. Returns their rows of `captions.csv`: file and caption."""
        ...

    def finish(self, folder: str, rows: list[dict[str, str]]) -> None:
        """Write `captions.csv` once all videos are drawn."""
        ...


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Videos with captions, under the name by which recipes ask for them.

    `place` is a folder, a table (CSV, JSONL, Parquet) or a WebDataset tar; `captions` a table that lies elsewhere.
    `draw` draws the videos instead. A project lists its collections from the best to the worst.
    """

    name: str
    place: str = as_path("")
    captions: str = as_path("")
    licence: str = ""
    draw: VideoSource | None = None

    def __post_init__(self) -> None:
        if bool(self.place) == bool(self.draw):
            raise UserError(f"collection {self.name!r} needs either a place or a source that draws it")


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """A folder of networks to start from, with the autoencoder, text encoder and tokenizer that they understand."""

    place: str = as_path()
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class People:
    """Real people choose on the annotation page: rounds, quorums and jobs as `settings` has them."""

    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What every system is judged on.

    `stickers` are held out: their prompts enter no plan. `reserved` holds back further prompts. `truth` is what a
    project knows to be right, where it does; without it the metrics describe the clips, and people judge them.
    """

    stickers: StickerSource
    num_seeds: int = 1
    metrics: tuple[Metric, ...] = METRICS
    truth: Truth | None = None
    reserved: Callable[[str], bool] | None = None


@dataclass(frozen=True, kw_only=True)
class Project:
    """Everything that the chain needs, from videos to a served student. `seed` decides the noise of its plans."""

    name: str
    foundation: Foundation
    collections: tuple[Collection, ...]
    stickers: StickerSource
    teachers: tuple[Recipe, ...]
    students: tuple[Recipe, ...]
    distillations: tuple[Distillation, ...]
    evaluation: Evaluation
    people: People | SimulatedPeople = field(default_factory=People)
    online: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name or not all(letter.isalnum() or letter in "-_" for letter in self.name):
            raise UserError(f"a project's name has letters, digits, - and _ only, got {self.name!r}")
        collections = [collection.name for collection in self.collections]
        trained: tuple[Recipe | Distillation, ...] = (*self.teachers, *self.students, *self.distillations)
        recipes = [recipe.name for recipe in trained]
        for kind, names in {"collections": collections, "recipes": recipes}.items():
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise UserError(f"project {self.name!r} has two {kind} named {doubled[0]!r}")
        self._check_sets(collections)
        students = [recipe.name for recipe in self.students]
        for row in self.distillations:
            if row.student not in students:
                raise UserError(
                    f"project {self.name!r}: distillation {row.name!r} names student {row.student!r}; students: "
                    f"{', '.join(students) or 'none'}"
                )

    def _check_sets(self, collections: list[str]) -> None:
        for recipe in self.teachers:
            for stage in recipe.stages:
                for name, _ in stage.datasets:
                    if name not in collections:
                        raise UserError(
                            f"project {self.name!r}: teacher {recipe.name!r} asks for set {name!r}; collections: "
                            f"{', '.join(collections) or 'none'}"
                        )

    @property
    def simulated(self) -> bool:
        """Whether simulated people choose."""
        return not isinstance(self.people, People)

    @property
    def sticker_licence(self) -> str:
        """The licence of the stickers that are animated; empty where their source states none."""
        return str(getattr(self.stickers, "licence", ""))

    @property
    def teacher_sizes(self) -> tuple[int, ...]:
        """The resolutions at which teachers read videos, in pixels a side."""
        return tuple(sorted({stage.resolution for recipe in self.teachers for stage in recipe.stages}))

    def student(self, name: str) -> Recipe:
        """The student of that name. UserError lists the students."""
        for recipe in self.students:
            if recipe.name == name:
                return recipe
        raise UserError(
            f"project {self.name!r} has no student {name!r}; students: {', '.join(r.name for r in self.students)}"
        )


def load_project(path: Path) -> tuple[Project, ModuleType]:
    """Run a project file.

    Returns:
        The project with absolute places, and the file's module, which is to be pickled by value.

    Raises:
        UserError: the file is absent, fails, defines no project, or bears the name of a package.
    """
    path = path.expanduser().resolve()
    if not path.is_file():
        raise UserError(f"there is no project file {path}")
    _check_file_name(path)
    name = MODULE_PREFIX + blake2b(str(path).encode(), digest_size=6).hexdigest()
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is no Python file; a project file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses look their own module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{path}, {_where(error, path)}{_sentence(error)}") from error
    project = getattr(module, VARIABLE, None)
    if not isinstance(project, Project):
        raise UserError(f"{path} defines no `{VARIABLE} = Project(...)`")
    return resolved(project, path.parent), module


def _check_file_name(path: Path) -> None:
    """A file beside which scripts run must not hide a module. UserError says which."""
    hidden = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
    if hidden is not None and hidden.origin != str(path):
        raise UserError(
            f"{path} bears the name of the module {path.stem!r} and would hide it; rename the file"
        )


def _where(error: BaseException, path: Path) -> str:
    """The line of the project file at which it failed, innermost."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line else ""


def _sentence(error: BaseException) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"


def resolved(value: Any, folder: Path) -> Any:
    """`value` with every relative place in it made absolute, seen from `folder`: fields declared with `as_path`."""
    if isinstance(value, tuple):
        return tuple(resolved(item, folder) for item in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes = {}
    for column in fields(value):
        if not column.init:
            continue
        before = getattr(value, column.name)
        after = _absolute(before, folder) if column.metadata.get("path") else resolved(before, folder)
        if after is not before:
            changes[column.name] = after
    return replace(value, **changes) if changes else value


def _absolute(path: str | tuple[str, ...] | None, folder: Path) -> Any:
    if isinstance(path, tuple):
        return tuple(_absolute(item, folder) for item in path)
    if not path or "://" in path or Path(path).is_absolute():
        return path
    return str((folder / Path(path).expanduser()).resolve())


def places_of(value: Any) -> list[str]:
    """All paths and URIs that a project names, in order; every machine of a cluster must reach them."""
    if isinstance(value, tuple):
        return [uri for item in value for uri in places_of(item)]
    if not is_dataclass(value) or isinstance(value, type):
        return []
    places: list[str] = []
    for column in fields(value):
        content = getattr(value, column.name)
        if column.metadata.get("path"):
            places += [uri for uri in (content if isinstance(content, tuple) else (content,)) if uri]
        else:
            places += places_of(content)
    return places
