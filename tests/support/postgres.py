"""A PostgreSQL for one test: in a temporary folder, on a port of its own, as a user that may run one."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg

from experiments.trials.ports import free_ports

USER = "postgres"


def find_programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the path; none when PostgreSQL is not installed."""
    paths = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return paths[-1].parent if paths else Path(on_path).parent if on_path else None


@contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """The URL of a running server, which is removed when the block ends."""
    # PostgreSQL refuses to run as root
    as_user = ["runuser", "-u", USER, "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp") as folder:
        if as_user:
            shutil.chown(folder, USER)
        port, data = free_ports(1)[0], Path(folder, "data")
        run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
        initdb = [
            programs / "initdb",
            "--pgdata",
            data,
            "--username",
            USER,
            "--auth",
            "trust",
            "--encoding",
            "UTF8",
        ]
        subprocess.run([*as_user, *initdb], **run)  # type: ignore[call-overload]
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c shared_buffers=64MB -c max_connections=40"
        control = [*as_user, programs / "pg_ctl", "--pgdata", data, "--wait", "--timeout", "60"]
        subprocess.run([*control, "--options", options, "--log", Path(folder, "log"), "start"], **run)  # type: ignore[call-overload]
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}/{USER}"
        finally:
            subprocess.run([*control, "--mode", "immediate", "stop"], **run)  # type: ignore[call-overload]


def new_database(server: str, *, of: str = "") -> str:
    """The URL of a new database on a server: an empty one, or a copy of the one at the URL `of`, which nobody uses."""
    name = f"votes_{uuid4().hex}"
    template = f" TEMPLATE {of.rsplit('/', 1)[1]}" if of else ""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}{template}")  # type: ignore[call-overload]
    return f"{server.rsplit('/', 1)[0]}/{name}"
