"""The set-up names what is missing before anything long starts, and does nothing when all is up to date; the locks hold
every requirement with its digests; what is built from here carries its licence and its types."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PRODUCTION, TEST, CUDA = "requirements.lock", "requirements-test.lock", "requirements-cuda.lock"
#: in the order in which the set-up's stamp reads them
LOCKS = (".ci/pip.lock", PRODUCTION, TEST, CUDA)
ENTRY = re.compile(r"([A-Za-z0-9._-]+)==([0-9][0-9a-z.]*)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
TOOLS = ("bash", "cat", "sha256sum", "cut", "df", "awk")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what the set-up reads, and a `bin` that is its whole PATH."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    (tmp_path / ".ci").mkdir()
    for name in (*LOCKS, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def command(checkout: Path, name: str, body: str) -> None:
    path = checkout / "bin" / name
    path.write_text(f"#!{shutil.which('bash')}\n{body}\n")
    path.chmod(0o755)


def set_up(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / ".ci" / "setup.sh"), ".venv"],
        cwd=checkout,
        env={**os.environ, "PATH": str(checkout / "bin")},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_missing_prerequisite_is_named_at_once(checkout: Path) -> None:
    done = set_up(checkout)
    lines = done.stderr.strip().splitlines()
    assert done.returncode != 0 and len(lines) == 2
    assert "Python 3.11 is missing" in lines[0] and "apt-get install" in lines[0]
    assert "git is missing" in lines[1]
    assert not (checkout / ".venv").exists()


def test_another_python_is_not_taken_for_3_11(checkout: Path) -> None:
    command(checkout, "python3", "exit 1")  # what the version check of Python 3.12 answers
    command(checkout, "git", "exit 0")
    done = set_up(checkout)
    assert (
        done.returncode != 0
        and "Python 3.11 is missing" in done.stderr
        and "git" not in done.stderr.split("apt")[0]
    )


def test_a_python_without_venv_is_named(checkout: Path) -> None:
    command(checkout, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    command(checkout, "git", "exit 0")
    done = set_up(checkout)
    assert done.returncode != 0 and "venv module is missing" in done.stderr


def test_a_full_disk_is_named(checkout: Path) -> None:
    command(checkout, "python3", "exit 0")
    command(checkout, "git", "exit 0")
    (checkout / "bin" / "df").unlink()
    command(checkout, "df", "echo head; echo /dev/disk 100 90 20000 9% /")
    done = set_up(checkout)
    assert done.returncode != 0 and "5 GB of free disk are needed" in done.stderr


@pytest.mark.parametrize("changed", [*LOCKS, "pyproject.toml"])
def test_nothing_happens_until_a_lock_or_the_project_changes(checkout: Path, changed: str) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text("")
    python.chmod(0o755)
    content = b"".join((checkout / name).read_bytes() for name in (*LOCKS, "pyproject.toml"))
    (checkout / ".venv" / "installed.sha256").write_text(hashlib.sha256(content).hexdigest())
    done = set_up(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert "Python 3.11 is missing" in set_up(checkout).stderr  # it looks again


def pins(name: str) -> dict[str, str]:
    """Versions by package, of a lock that consists of nothing but comments, pins and digests."""
    text = "".join(
        line for line in (ROOT / name).read_text().splitlines(keepends=True) if not line.startswith("#")
    )
    entries = list(ENTRY.finditer(text))
    assert "".join(entry[0] for entry in entries) == text, "a line that is no pin with digests"
    versions = {canonicalize_name(entry[1]): entry[2] for entry in entries}
    assert len(versions) == len(entries), "a package twice"
    return versions


def requirements(*entries: str) -> list[Requirement]:
    return [Requirement(entry) for entry in entries]


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_of_a_lock_is_a_pin_with_digests(name: str) -> None:
    assert pins(name)


def test_every_requirement_is_locked_where_it_belongs() -> None:
    production, test = pins(PRODUCTION), pins(TEST)
    extras = PROJECT["optional-dependencies"]
    for requirement in requirements(*PROJECT["dependencies"], *extras["build"]):
        assert requirement.specifier.contains(production[canonicalize_name(requirement.name)]), requirement
    for requirement in requirements(*extras["dev"]):
        version = (production | test).get(canonicalize_name(requirement.name))
        assert version and requirement.specifier.contains(version), f"{requirement} belongs in {TEST}"


def test_no_package_is_in_two_locks_and_cuda_keeps_to_its_own() -> None:
    production, test, cuda = (pins(name).keys() for name in (PRODUCTION, TEST, CUDA))
    assert not production & test and not (production | test) & cuda
    assert all(re.match(r"nvidia-|cuda-|triton$", name) for name in cuda)
    assert not [name for name in production | test if re.match(r"nvidia-|cuda-|triton$", name)]


def test_what_is_built_carries_its_licence_and_its_types(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        names = {name.partition("/")[2]: name for name in files.namelist()}
        assert {"py.typed", "licenses/LICENSE"} <= names.keys()
        assert "License-Expression: Apache-2.0" in files.read(names["METADATA"]).decode().splitlines()
        assert files.read(names["licenses/LICENSE"]).decode().split()[:2] == ["Apache", "License"]
