"""Mirror tests: which modules have one that imports them, passes alone and runs enough of their lines.

The mirror test of `platform/stickers/a/b.py` is `tests/a/test_b.py`, that of `serve/c.py` is `tests/serve/test_c.py`.
Files that hold nothing but a docstring, imports and `__all__` need none. Each mirror test runs by itself, under
coverage of its own module alone; its long tests run too where the others leave too many lines out. Lines count that ran
in its process or in one that it started. A result is kept until the module or the test changes: after a change
elsewhere, delete the file to measure anew.
"""

import ast
import hashlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import coverage
from measures import CodeFile, Measure, read_code

#: The least share of its module's lines that a mirror test runs.
COVERED = 0.6
#: pytest's exit code when no test was chosen
NOTHING_RAN = 5
#: Processes that the test starts are measured too, and save what they counted when a signal ends them.
CONFIGURATION = """
[run]
parallel = true
data_file = {folder}/data
include = {module}
patch =
    subprocess
    _exit
sigterm = true
"""


def is_module(source: CodeFile) -> bool:
    """False for a file that holds nothing but a docstring, imports and `__all__`."""
    for node in source.tree.body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                continue
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                continue
            case _:
                return True
    return False


def module_name(path: str) -> str:
    """The name that imports the module at `path`."""
    parts = path.removeprefix("platform/").removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def mirror_path(path: str) -> str:
    """Where the mirror test of the module at `path` lies; a package's own test lies beside its folder."""
    folder, _, name = path.removesuffix("/__init__.py").removesuffix(".py").rpartition("/")
    folder = folder.removeprefix("platform/").removeprefix("stickers").removeprefix("/")
    return "/".join(filter(None, ["tests", folder, f"test_{name}.py"]))


def imports_of(tree: ast.Module) -> set[str]:
    """Every dotted name that `tree` imports, anywhere in it: `a.b` and `a.b.c` for `from a.b import c`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                names.update(alias.name for alias in aliases)
            case ast.ImportFrom(module=str(module), names=aliases):
                names.update([module, *(f"{module}.{alias.name}" for alias in aliases)])
    return names


@dataclass(frozen=True)
class Mirror:
    """A module, the test that should mirror it, and what speaks against the pair before anything runs."""

    module: str
    test: str
    objection: str
    digest: str


@cache
def read_mirrors(root: Path) -> tuple[Mirror, ...]:
    """Every module of the code with its mirror test."""
    mirrors = []
    for source in filter(is_module, read_code(root)):
        test = mirror_path(source.path)
        text, objection = "", ""
        if not (root / test).is_file():
            objection = f"{test} is missing"
        else:
            text = (root / test).read_text(encoding="utf-8")
            if module_name(source.path) not in imports_of(ast.parse(text)):
                objection = f"{test} does not import it"
        digest = hashlib.sha256((source.text + text).encode()).hexdigest()
        mirrors.append(Mirror(source.path, test, objection, digest))
    return tuple(mirrors)


def run_mirror(root: Path, mirror: Mirror) -> dict[str, Any]:
    """Run one mirror test: without its long tests first, and with them where that leaves too many lines out."""
    result = cover_mirror(root, mirror, ("-m", "not long"))
    short = result["exit"] == NOTHING_RAN or result["covered"] < COVERED * result["statements"]
    is_long = "mark.long" in (root / mirror.test).read_text(encoding="utf-8")
    return cover_mirror(root, mirror, ()) if short and is_long else result


def cover_mirror(root: Path, mirror: Mirror, chosen: Sequence[str]) -> dict[str, Any]:
    """Run one mirror test under coverage, in a process of its own, and count the lines of its module that ran.

    Args:
        root: the checkout.
        mirror: the module and its test.
        chosen: further options of pytest.
    """
    python = root / ".venv" / "bin" / "python"
    with tempfile.TemporaryDirectory(prefix="house-") as folder:
        configuration = Path(folder) / "coveragerc"
        configuration.write_text(CONFIGURATION.format(folder=folder, module=root / mirror.module))
        command = [
            python if python.exists() else sys.executable,
            "-m",
            "coverage",
            "run",
            "--rcfile",
            configuration,
        ]
        command += ["-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, mirror.test]
        done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        measured = coverage.Coverage(config_file=str(configuration), messages=False)
        with suppress(coverage.exceptions.NoDataError):
            measured.combine([folder])
        _, statements, _, missing, _ = measured.analysis2(str(root / mirror.module))
    return {
        "digest": mirror.digest,
        "exit": done.returncode,
        "statements": len(statements),
        "covered": len(statements) - len(missing),
        "summary": done.stdout.strip().rpartition("\n")[2],
    }


def run_mirrors(root: Path, store: Path, jobs: int) -> None:
    """Run every mirror test that is absent from `store` or changed since, those that start clusters last.

    Each result is stored at once.
    """
    results = json.loads(store.read_text()) if store.exists() else {}
    due = [
        mirror
        for mirror in read_mirrors(root)
        if not mirror.objection and results.get(mirror.module, {}).get("digest") != mirror.digest
    ]
    due.sort(key=lambda mirror: "pytest.mark.ray" in (root / mirror.test).read_text(encoding="utf-8"))
    with ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(run_mirror, root, mirror): mirror for mirror in due}
        for number, run in enumerate(as_completed(runs), 1):
            result = results[runs[run].module] = run.result()
            unfinished = store.with_suffix(".writing")
            unfinished.write_text(json.dumps(results, indent=1, sort_keys=True))
            unfinished.replace(store)
            print(f"{number}/{len(due)} {runs[run].test}: {result['summary']}", file=sys.stderr)


def measure_mirrors(root: Path, store: Path | None) -> Measure:
    """The share of modules whose mirror test imports them, passes and runs enough of their lines, in percent.

    Results of a pair that changed since they were stored count no more.
    """
    results = json.loads(store.read_text()) if store else {}
    mirrors, places = read_mirrors(root), []
    for mirror in mirrors:
        result = results.get(mirror.module, {})
        objection = mirror.objection
        if objection:
            pass
        elif result.get("digest") != mirror.digest:
            objection = f"{mirror.test} has not run since one of the two changed"
        elif result["exit"] != 0:
            objection = f"{mirror.test} does not pass: {result['summary']}"
        elif result["covered"] < COVERED * result["statements"]:
            objection = f"{mirror.test} runs {result['covered']} of {result['statements']} lines"
        if objection:
            places.append(f"{mirror.module}: {objection}")
    share = 100 * (1 - len(places) / len(mirrors)) if store else math.nan
    title = "modules whose mirror test imports them and runs 60 % of their lines"
    return Measure("mirror", title, share, 90, tuple(places), " %", at_least=True)
