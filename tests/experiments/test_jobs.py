"""`ray job submit` both ways: on a cluster started in the repository, and on one that has only the dependencies."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

from recipes.toy.projects import TINY
from stickers import storage
from tests.support.processes import free_ports

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
TEACHER = TINY.teachers[0].name
PORTS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "ray-client-server-port",
)


@contextmanager
def cluster(python: Path, folder: Path) -> Iterator[str]:
    """A head node of its own, started in `folder` by an interpreter; yields the address for jobs."""
    temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets need a short path
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    arguments = [f"--{name}={port}" for name, port in ports.items()]
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    fixed = [
        "--num-cpus=4",
        "--object-store-memory=200000000",
        "--disable-usage-stats",
        "--min-worker-port=0",  # the kernel's: every cluster on a machine would take the same otherwise
        "--max-worker-port=0",
    ]
    command = [python, "-m", "ray.scripts.scripts", "start", "--head", "--block", *fixed, *arguments]
    with Path(temporary, "log").open("wb") as log:
        head = subprocess.Popen(
            [*command, f"--temp-dir={temporary}"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for_port(ports["dashboard-port"], head, Path(temporary, "log"))
        yield f"http://127.0.0.1:{ports['dashboard-port']}"
    except BaseException:
        sys.stderr.write(Path(temporary, "log").read_text())  # who of them died, should one have
        raise
    finally:
        if head.poll() is None:
            os.killpg(head.pid, signal.SIGTERM)
            try:
                head.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, signal.SIGKILL)
        rmtree(temporary, ignore_errors=True)


def wait_for_port(port: int, head: subprocess.Popen[bytes], log: Path, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert head.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def submit(address: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`ray job submit`, which waits for the job and answers with its exit code."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", address, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)


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
    assert storage.find_record(str(prepared_runs), "teachers", TEACHER).record["weights"]


def test_cluster_that_has_only_the_dependencies(
    tiny_foundations: Path, prepared_runs: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    packages = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    # path files are not followed from within a folder that a path file names, so our package stays out
    Path(packages.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
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
