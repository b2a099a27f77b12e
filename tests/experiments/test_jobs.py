"""`ray job submit` both ways: on a cluster started in the repository, and on one that has only the dependencies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.toy.projects import TINY
from stickers import storage
from tests.support.clusters import cluster, dependencies_only, submit

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
TEACHER = TINY.teachers[0].name


def teachers(runs: str | Path, foundations: Path) -> list[str | Path]:
    script: list[str | Path] = [
        "python",
        "experiments/teachers.py",
        "--runs",
        runs,
        "--foundations",
        foundations,
    ]
    return [*script, "--only", TEACHER, "--steps", "2", "--batch-size", "2"]


def test_cluster_started_in_the_repository(tiny_foundations: Path, prepared_runs: Path) -> None:
    with cluster(Path(sys.executable), ROOT) as address:
        done = submit(address, "--", *teachers(prepared_runs, tiny_foundations))
        assert done.returncode == 0, done.stdout + done.stderr
    record = storage.find_record(str(prepared_runs), "teachers", TEACHER)
    assert record.record["weights"]
    # the log of the job has what our loggers say, in the driver and in workers, each once, and there is no other log
    assert done.stdout.count(f"INFO actors.trainer: {record.folder}: training starts, try 1") == 1
    assert done.stdout.count(f"INFO actors.trainer: {TEACHER}: worker 0 on cpu goes on from step 0") == 1
    assert done.stdout.count("trained networks") == 1 and not (prepared_runs / "logs").exists()


def test_cluster_that_has_only_the_dependencies(
    tiny_foundations: Path, prepared_runs: Path, tmp_path: Path
) -> None:
    python = dependencies_only(tmp_path / "venv")
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    imported = subprocess.run(
        [python, "-c", "import ray, torch; import stickers"],
        cwd=tmp_path,
        env=bare,
        capture_output=True,
        text=True,
    )
    assert "No module named 'stickers'" in imported.stderr
    with_code = ("--runtime-env", "runtime-env.yaml", "--")
    with cluster(python, tmp_path) as address:
        refused = submit(address, *with_code, *teachers("runs", tiny_foundations))
        done = submit(address, *with_code, *teachers(prepared_runs, tiny_foundations))
        assert refused.returncode != 0
        assert "lies in Ray's temporary folders" in refused.stdout + refused.stderr
        assert done.returncode == 0, done.stdout + done.stderr
    assert (
        storage.find_record(str(prepared_runs), "teachers", TEACHER)
        .record["revision"]
        .startswith("animated-stickers ")
    )
