"""Ray clusters for jobs, some of which see neither the checkout nor a user's folder."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import pytest

from experiments.trials.ports import free_ports

ROOT = Path(__file__).parents[2]
PORTS = (
    "port",
    "dashboard-port",
    "dashboard-agent-listen-port",
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "ray-client-server-port",
)
FIXED = (
    "--num-cpus=4",
    "--object-store-memory=200000000",
    "--disable-usage-stats",
    "--min-worker-port=0",  # the kernel's: every cluster on a machine would take the same otherwise
    "--max-worker-port=0",
)
#: the packages are mounted where nothing hides them, then folders are covered by empty ones
HIDE = """
set -eu
mount --bind "$1" "$2"; shift 2
while [ "$1" != -- ]; do mount -t tmpfs none "$1"; shift; done
shift; exec "$@"
"""


def can_hide() -> bool:
    """Whether this machine lets us mount in a mount namespace of our own."""
    done = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    return done.returncode == 0


needs_namespaces = pytest.mark.skipif(
    not can_hide(), reason="mount namespaces are not allowed here; they need root"
)


@contextmanager
def cluster(python: Path, folder: Path, *, prefix: Sequence[str | Path] = ()) -> Iterator[str]:
    """A head node of its own, started in `folder` by an interpreter; yields its address for jobs."""
    temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets need a short path
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    arguments = [f"--{name}={port}" for name, port in ports.items()]
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    command = [*prefix, python, "-m", "ray.scripts.scripts", "start", "--head", "--block", *FIXED, *arguments]
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


@contextmanager
def blind_cluster(folder: Path, *, hidden: Sequence[Path]) -> Iterator[str]:
    """A cluster in a mount namespace of its own: it has the dependencies, and `hidden` folders are empty there."""
    packages = folder / "packages"
    packages.mkdir()
    python = dependencies_only(folder / "venv", packages)
    mounts = (Path(sysconfig.get_path("purelib")), packages, *hidden)
    with cluster(
        python, folder, prefix=("unshare", "--mount", "sh", "-c", HIDE, "sh", *mounts, "--")
    ) as address:
        yield address


def dependencies_only(folder: Path, packages: Path | None = None) -> Path:
    """The interpreter of a virtual environment with the dependencies and without our package."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    own = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    # path files are not followed from within a folder that a path file names, so our package stays out
    Path(own.strip(), "dependencies.pth").write_text(f"{packages or sysconfig.get_path('purelib')}\n")
    return python


def wait_for_port(port: int, head: subprocess.Popen[bytes], log: Path, seconds: float = 300) -> None:
    """Wait until something listens on the port. AssertionError with the log: the head node ended, or took too long."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert head.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def submit(address: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `ray job submit`, which waits for the job; returns its result."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", address, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
