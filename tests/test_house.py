"""The house stands only while a few things hold that no type checker sees: names, walls and import paths."""

import ast
import importlib
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import measures
from measures import PACKAGES
from mirrors import module_name, read_mirrors

ROOT = Path(__file__).resolve().parent.parent
#: The tree keeps to these figures (`.ci/house.py` prints them beside the bars). They only fall.
RATCHET = {
    "folders": 25,
    "circles": 0,
    "vague": 2,
    "vague-tests": 2,
    "docstrings": 1,
    "magic": 12,
    "longest": 60,
    "readme": 700,
}
#: The least share of modules with a mirror test that imports them, in percent. It only rises.
MIRRORED = 95

COMMAND = "the command of a step, and the module of the library that does the step"
SHELL = "a thin shell of Ray, and the module of the library inside it"
SERVED = "each served product is an engine under HTTP routes under a deployment"
#: Modules that share a name, with the reason why nobody mixes them up.
NAMESAKES = {
    "conditions": SHELL,
    "deployment": SERVED,
    "distil": COMMAND,
    "engine": SERVED,
    "export": COMMAND,
    "http": SERVED,
    "latency": "the benchmark of latency, and the library's timing of a call",
    "prices": COMMAND,
    "reading": "the benchmark of reading, and the library's reading of videos",
    "report": COMMAND,
    "sizes": "the benchmark of the sizes of networks, and those sizes",
    "teachers": "the command that trains the toy world's teachers, and their recipes",
}


def run_elsewhere(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` from another folder, with nothing but the installed package to find imports by."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_platform_folder_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_import_platform_is_the_standard_library(tmp_path: Path) -> None:
    code = (
        "import platform, uuid, sysconfig; print(platform.__file__); print(sysconfig.get_paths()['stdlib'])"
    )
    for folder in (tmp_path, ROOT):
        done = run_elsewhere(code, folder)
        assert done.returncode == 0, done.stderr
        module_path, stdlib = done.stdout.split()
        assert Path(module_path).resolve().parent == Path(stdlib).resolve()


def test_packages_are_found_from_another_folder(tmp_path: Path) -> None:
    code = f"from importlib.util import find_spec\nassert all(map(find_spec, {[*PACKAGES]!r}))\n"
    done = run_elsewhere(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_modules_that_no_mirror_test_imports_can_be_imported() -> None:
    for mirror in read_mirrors(ROOT):
        if mirror.objection:
            importlib.import_module(module_name(mirror.module))


def test_every_folder_of_modules_is_a_package() -> None:
    for package, base in PACKAGES.items():
        for path in (ROOT / base / package).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


def test_model_code_runs_without_the_rest_of_the_stack(tmp_path: Path) -> None:
    """On a bare GPU machine there are torch, diffusers, transformers and safetensors alone."""
    code = """
import importlib, pkgutil, sys
for name in ("pyarrow", "av", "decord", "ray", "mlflow", "deepspeed", "fastapi", "scipy", "pandas", "sqlalchemy"):
    sys.modules[name] = None  # any import of it now fails
import stickers.models, stickers.diffusion, stickers.pipeline
for package in (stickers.models, stickers.diffusion):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""
    done = run_elsewhere(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_no_module_beside_a_command_hides_an_import() -> None:
    """A script's own folder comes first on `sys.path`: a namesake there is imported in place of the real thing."""
    paths = [*(ROOT / ".ci").glob("*.py"), *(ROOT / "experiments").rglob("*")]
    importable = {path.stem: path for path in paths if path.suffix == ".py" or path.is_dir()}
    others = {*PACKAGES, "tests", *sys.stdlib_module_names, *packages_distributions()}
    hidden = {str(importable[name].relative_to(ROOT)) for name in importable.keys() & others}
    assert not hidden, f"rename {sorted(hidden)}"


def test_the_house_keeps_its_figures() -> None:
    over = {
        measure.key: (measure.value, f"at most {RATCHET[measure.key]}", measure.places[:10])
        for measure in measures.measure_tree(ROOT)
        if measure.value > RATCHET[measure.key]
    }
    assert not over, f"{over}; `.ci/house.py --list KEY` names all places"


def test_modules_have_a_mirror_test_that_imports_them() -> None:
    mirrors = read_mirrors(ROOT)
    objections = [f"{mirror.module}: {mirror.objection}" for mirror in mirrors if mirror.objection]
    assert 100 * (1 - len(objections) / len(mirrors)) >= MIRRORED, objections


def test_one_name_has_one_meaning() -> None:
    paths: dict[str, set[str]] = {}
    for source in measures.read_code(ROOT):
        classes = [node.name for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
        for name in {Path(source.path).stem, *classes}:
            paths.setdefault(name, set()).add(source.path)
    shared = {name: sorted(where) for name, where in paths.items() if len(where) > 1 and name != "__init__"}
    new, old = shared.keys() - NAMESAKES.keys(), NAMESAKES.keys() - shared.keys()
    assert not new, {name: shared[name] for name in new}
    assert not old, f"no longer shared, so no longer listed: {sorted(old)}"
