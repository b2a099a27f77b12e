"""The house stands only while a few things hold that no type checker sees: names, walls and import paths."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"stickers": "platform", "actors": ".", "recipes": ".", "serve": ".", "experiments": "."}


def all_modules() -> list[str]:
    names = []
    for package, base in PACKAGES.items():
        for path in sorted((ROOT / base / package).rglob("*.py")):
            parts = path.relative_to(ROOT / base).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


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
        found, stdlib = done.stdout.split()
        assert Path(found).resolve().parent == Path(stdlib).resolve()


def test_every_module_imports_from_another_folder(tmp_path: Path) -> None:
    modules = all_modules()
    assert "stickers" in modules and "experiments" in modules
    code = f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
    done = run_elsewhere(code, tmp_path)
    assert done.returncode == 0, done.stderr


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
