"""Checks commands without running them: manifests, pages and tests name many, and each script must take them."""

import importlib
import inspect
import io
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import wraps
from pathlib import Path
from typing import Any

import tyro

ROOT = Path(__file__).resolve().parents[2]
FLAG = re.compile(r"--[a-z][\w-]*")


def argument_problem(script: str, arguments: Sequence[str]) -> str:
    """Why a script of the repository would refuse these arguments, or an empty string. Its own parser reads them.

    Args:
        script: its path in the repository, such as `experiments/teachers.py`.
    """
    if not re.fullmatch(r"experiments/(\w+/)?\w+\.py", script) or not (ROOT / script).exists():
        return f"there is no such script as {script}"
    main = _main_of(script)
    if inspect.signature(main).parameters:
        return _tyro_problem(main, script, arguments)
    accepted = FLAG.findall(help_of(script))
    unknown = [flag for flag in arguments if flag.startswith("--") and flag not in accepted]
    return f"unrecognized options: {' '.join(unknown)}" if unknown else ""


def help_of(script: str, *subcommand: str) -> str:
    """What `python SCRIPT SUBCOMMAND --help` prints."""
    main, printed = _main_of(script), io.StringIO()
    arguments = [*subcommand, "--help"]
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            if inspect.signature(main).parameters:
                tyro.cli(main, args=arguments, prog=script)
            else:
                before, sys.argv = sys.argv, [script, *arguments]
                try:
                    main()
                finally:
                    sys.argv = before
    except SystemExit:
        return printed.getvalue()
    raise AssertionError(f"{script} {' '.join(arguments)} ran instead of printing its help")


def subcommands_of(help_text: str) -> list[str]:
    """The subcommands in the usage line of a help text."""
    usage = re.search(r"^usage: .*?\{([\w,-]+)\}\s*$", help_text, re.M)
    return usage[1].split(",") if usage and "subcommands" in help_text else []


def _main_of(script: str) -> Callable[..., Any]:
    main: Callable[..., Any] = importlib.import_module(script.removesuffix(".py").replace("/", ".")).main
    return main


def _tyro_problem(main: Callable[..., Any], script: str, arguments: Sequence[str]) -> str:
    @wraps(main)
    def only_read(*_: Any, **__: Any) -> None:
        """What the script would be called with, and no call."""

    printed = io.StringIO()
    try:
        with redirect_stderr(printed), redirect_stdout(printed):
            tyro.cli(only_read, args=list(arguments), prog=script)
    except SystemExit as end:
        return "" if not end.code else " ".join(re.findall(r"[\w.,:/'-]+", printed.getvalue()))
    return ""
