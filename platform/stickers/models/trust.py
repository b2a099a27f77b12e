"""Refuses model folders that name code to run: only weights and JSON are read from them.

With `trust_remote_code=True` transformers runs the Python files named by `auto_map`, and it asks on the terminal where
the option is not set. diffusers loads pipelines and components by module name. So all loads pass
`trust_remote_code=False` (a test checks this), and folders that would then fail, or load something else silently, are
refused first, with a message that names the code.
"""

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stickers.errors import UserError

#: transformers' settings of models, tokenizers, processors and generation, and diffusers' of models and schedulers
_SETTINGS = "*config.json"
#: the parts of a pipeline
_INDEX = "*model_index.json"
_LIBRARIES = ("diffusers", "transformers")


def refuse_own_code(folder: str | Path) -> None:
    """Refuse a model's folder that names code to run, at any depth.

    Raises:
        UserError: the message names the file, the entry and the code.
    """
    root = Path(folder).expanduser()
    for path in sorted(root.rglob(_SETTINGS)):
        for code in _mapped(_read(path)):
            raise UserError(
                f"{path} names code to run, auto_map = {code}; accepted are models of classes that transformers or "
                "diffusers have"
            )
    for path in sorted(root.rglob(_INDEX)):
        for code in _foreign_parts(_read(path)):
            raise UserError(
                f"{path} names code to run, {code}; accepted are pipelines and parts of diffusers' or transformers'"
            )


def _read(path: Path) -> Any:
    """None for what is no JSON: its reader says so."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def _mapped(settings: Any) -> Iterator[str]:
    """What `auto_map` names, of a model or of one within it."""
    if isinstance(settings, dict):
        if settings.get("auto_map"):
            yield json.dumps(settings["auto_map"])
        for value in settings.values():
            yield from _mapped(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _mapped(value)


def _foreign_parts(index: Any) -> Iterator[str]:
    """Entries of a pipeline's index that stand for modules: `[module, class]`, where the module is none of theirs."""
    for name, entry in index.items() if isinstance(index, dict) else ():
        module = entry[0] if isinstance(entry, list) and entry else None
        if isinstance(module, str) and (
            name == "_class_name" or (module not in _LIBRARIES and not _is_pipeline(module))
        ):
            yield f"{name} = {json.dumps(entry)}"


def _is_pipeline(module: str) -> bool:
    """Whether diffusers has a folder of pipelines of that name, whose parts an index may name by it."""
    spec = find_spec("diffusers")
    assert spec and spec.origin
    return module.isidentifier() and (Path(spec.origin).parent / "pipelines" / module).is_dir()
