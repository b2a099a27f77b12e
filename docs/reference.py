"""The reference comes from the code while the site is built: commands, HTTP, tables and recipes cannot go stale.

A Sphinx extension. Each page under `reference/` that is named in `PAGES` gets its generated part behind its tracked
introduction; nothing that is generated is written into the repository.
"""

import dataclasses
import importlib
import inspect
import os
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from experiments.cli.arguments import ROOT, help_of, subcommands_of
from serve.annotation.engine import Limits
from serve.annotation.http import build_annotation
from serve.student.http import build_app
from stickers.artifacts import records
from stickers.artifacts.schema import VERSION, schema_of
from stickers.diffusion.sampling import SamplerSettings
from stickers.project import Project
from stickers.training.recipe import Distillation, Recipe

#: the width of help texts, in characters: as wide as a page shows without scrolling
HELP_WIDTH = 84
#: the modules before a class's name
MODULE = re.compile(r"\b(?:[a-z_]+\.)+")
RECIPES: tuple[type, ...] = (Project, Recipe, Distillation, SamplerSettings)
#: characters; a longer default is a sentence, not a value to copy
LONGEST_DEFAULT = 60


def commands(*folders: str) -> str:
    """The help of every script in folders of the repository, subcommands included."""
    os.environ["COLUMNS"] = str(HELP_WIDTH)
    scripts = [path for folder in folders for path in sorted((ROOT / folder).glob("*.py"))]
    return "\n".join(
        line
        for path in scripts
        if "__main__" in path.read_text()
        for line in _command(str(path.relative_to(ROOT)))
    )


def _command(script: str) -> Iterator[str]:
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    help_text = help_of(script)
    yield f"## {script.removeprefix('experiments/')}\n\n{_prose(module)}\n\n{_block(help_text)}"
    for name in subcommands_of(help_text):
        yield f"### {script.removeprefix('experiments/')} {name}\n\n{_block(help_of(script, name))}"


def _block(text: str) -> str:
    lines = [line.rstrip() for line in text.replace(str(ROOT), ".").strip().splitlines()]
    return "\n".join(["```text", *lines, "```", ""])


def _prose(thing: Any) -> str:
    """A docstring as Markdown; without the signature that stands for one where a dataclass has none."""
    text = inspect.getdoc(thing) or ""
    return "" if text.startswith(f"{getattr(thing, '__name__', '')}(") else text.replace("<", "&lt;")


def http() -> str:
    """The routes of both services, from their OpenAPI descriptions."""
    # their handlers use the service; the description of the routes does not
    student = build_app(cast(Any, None), cast(Any, None)).openapi()
    choosing = build_annotation(cast(Any, None), limits=Limits()).openapi()
    return "\n".join(
        [*_service("The student's endpoint", student), *_service("The annotation service", choosing)]
    )


def _service(title: str, openapi: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}\n\n{openapi['info'].get('description', '')}\n"
    for path, methods in openapi["paths"].items():
        for method, route in methods.items():
            summary = route.get("summary", "")
            stop = "" if summary.endswith("?") else "."
            yield f"### {method.upper()} {path}\n\n{summary}{stop}\n"
            if route.get("description"):
                yield f"{route['description']}\n"
            yield from _inputs(route, openapi)
            rows = [
                (f"`{code}`", answer.get("description", "")) for code, answer in route["responses"].items()
            ]
            yield _table(("status", "meaning"), rows)


def _inputs(route: Mapping[str, Any], openapi: Mapping[str, Any]) -> Iterator[str]:
    rows = [
        (
            f"`{parameter['name']}`",
            parameter["in"],
            _json_type(parameter["schema"]),
            parameter.get("description", ""),
        )
        for parameter in route.get("parameters", [])
    ]
    for media_type, body in route.get("requestBody", {}).get("content", {}).items():
        schema = _resolve(body["schema"], openapi)
        for name, value in schema.get("properties", {}).items():
            rows.append((f"`{name}`", media_type, _json_type(value), value.get("description", "")))
    if rows:
        yield _table(("field", "in", "type", "meaning"), rows)


def _resolve(schema: Mapping[str, Any], openapi: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    return openapi["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def _json_type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_json_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_json_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def tables() -> str:
    """The columns of every table, with types and units."""
    return "\n".join(
        f"## {record.__name__}\n\n{_prose(record)}\n\nSchema version {_version(record)}.\n\n{_columns(record)}"
        for record in _records()
    )


def _version(record: type) -> str:
    return str((schema_of(record).metadata or {})[VERSION].decode())


def _records() -> list[type]:
    classes = [kind for _, kind in inspect.getmembers(records, inspect.isclass)]
    described = [kind for kind in classes if kind.__module__ == records.__name__]
    return sorted(described, key=lambda record: inspect.getsourcelines(record)[1])


def _columns(record: type) -> str:
    defaults = {column.name: _default(column) for column in dataclasses.fields(record)}
    rows = []
    for column in schema_of(record):
        unit = (column.metadata or {}).get(b"unit", b"").decode()
        may_be_empty = "may be empty" if column.nullable else ""
        notes = "; ".join(note for note in (unit, may_be_empty) if note)
        rows.append((f"`{column.name}`", f"`{column.type}`", notes, defaults.get(column.name, "")))
    return _table(("column", "type", "unit or meaning", "in older tables"), rows)


def recipes() -> str:
    """The fields of recipes and of everything that they contain, with types and defaults."""
    return "\n".join(
        f"## {kind.__name__}\n\n{_prose(kind)}\n\n{_fields(kind)}" for kind in _reachable(RECIPES)
    )


def _reachable(roots: tuple[type, ...]) -> list[type]:
    """The roots and the dataclasses that their fields name, each once."""
    kinds: dict[type, None] = {}
    waiting = list(roots)
    while waiting:
        kind = waiting.pop(0)
        if dataclasses.is_dataclass(kind) and kind not in kinds:
            kinds[kind] = None
            for hint in typing.get_type_hints(kind).values():
                waiting += _parts(hint)
    return list(kinds)


def _parts(hint: Any) -> list[Any]:
    arguments = typing.get_args(hint)
    return [part for argument in arguments for part in _parts(argument)] if arguments else [hint]


def _fields(kind: type) -> str:
    hints = typing.get_type_hints(kind)
    rows = [
        (f"`{field.name}`", _type_name(hints[field.name]), _default(field) or "required")
        for field in dataclasses.fields(kind)
        if field.init
    ]
    return _table(("field", "type", "default"), rows)


def _type_name(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(argument) for argument in arguments)
    if hint is type(None):
        return "none"
    name = hint.__name__ if isinstance(hint, type) and not arguments else str(hint)
    return f"`{MODULE.sub('', name)}`"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        text = repr(field.default)
        return f"`{text}`" if len(text) <= LONGEST_DEFAULT else "the shipped ones"
    if field.default_factory is not dataclasses.MISSING:
        name = getattr(field.default_factory, "__name__", "")
        return f"`{name}()`"
    return ""


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(columns), line(("---",) * len(columns)), *map(line, rows), ""])


PAGES: dict[str, Callable[[], str]] = {
    "reference/commands": lambda: commands("experiments"),
    "reference/trials": lambda: commands(
        "experiments/trials", "experiments/benchmarks", "experiments/studies"
    ),
    "reference/http": http,
    "reference/tables": tables,
    "reference/recipes": recipes,
}


def setup(app: Any) -> dict[str, Any]:
    """What Sphinx calls: generated pages are read anew at each build."""
    app.connect("env-get-outdated", lambda *_: list(PAGES))
    app.connect("source-read", _append)
    return {"parallel_read_safe": True}


def _append(app: Any, page: str, source: list[str]) -> None:
    if page in PAGES:
        assert Path(app.srcdir, f"{page}.md").exists()
        source[0] += f"\n{PAGES[page]()}"
