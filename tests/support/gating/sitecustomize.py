"""Puts a test's gate into every Python process that has this folder on PYTHONPATH, workers of Ray's too.

Python imports a module of this name when it starts. `tests/support/gates.py` says what a gate is; this side of it knows
nothing but an environment variable, so that it costs processes which never meet the gate next to nothing.
"""

import functools
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

LOOK_SECONDS = 0.02


def guarded(function: Callable[..., Any], free_calls: int, folder: Path) -> Callable[..., Any]:
    """The same function, which waits at every call after `free_calls` for as long as the gate is closed."""
    calls = count()

    @functools.wraps(function)
    def wait_and_call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) >= free_calls:
            while (folder / "closed").exists():
                (folder / f"arrived-{os.getpid()}").touch()
                time.sleep(LOOK_SECONDS)
        return function(*args, **kwargs)

    return wait_and_call


class Gatekeeper(MetaPathFinder):
    """Replaces one function of one module as soon as that is imported, before anybody can bind its name."""

    def __init__(self, module: str, name: str, free_calls: int, folder: str) -> None:
        self.module, self.name, self.free_calls, self.folder = module, name, free_calls, Path(folder)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_guard(module: ModuleType) -> None:
                execute(module)
                self.guard(module)

            spec.loader.exec_module = execute_and_guard  # type: ignore[method-assign]
        return spec

    def guard(self, module: ModuleType) -> None:
        *owners, attribute = self.name.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, attribute, guarded(getattr(owner, attribute), self.free_calls, self.folder))


if gate := os.environ.get("STICKERS_TEST_GATE"):
    sys.meta_path.insert(0, Gatekeeper(**json.loads(gate)))
