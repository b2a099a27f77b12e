"""The set-up names what is missing before anything long starts, and does nothing when all is up to date."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("bash", "cat", "sha256sum", "cut", "df", "awk")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what the set-up reads, and a `bin` that is its whole PATH."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    for name in ("requirements.lock", "pyproject.toml"):
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
        timeout=60,
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


def test_nothing_happens_until_lock_or_project_change(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text("")
    python.chmod(0o755)
    content = (checkout / "requirements.lock").read_bytes() + (checkout / "pyproject.toml").read_bytes()
    (checkout / ".venv" / "installed.sha256").write_text(hashlib.sha256(content).hexdigest())
    done = set_up(checkout)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with (checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    assert "Python 3.11 is missing" in set_up(checkout).stderr  # it looks again


def test_lock_holds_exact_versions_of_every_requirement() -> None:
    import tomllib

    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")
    ]
    assert all(line.count("==") == 1 and "+" not in line and "/" not in line for line in lines)
    locked = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {entry.split(">=")[0].split("[")[0].lower().replace("_", "-") for entry in wanted}
    assert names <= locked, names - locked
