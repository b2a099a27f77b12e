"""A real S3-compatible server (SeaweedFS, one process, a folder of the test's) for tests of buckets."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow.fs import S3FileSystem

from experiments.trials.ports import free_ports

KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests-only"}
BUCKET = "tests"
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


def find_server() -> str | None:
    """The server's program: beside this interpreter, where pip puts it, or on the path."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


@contextmanager
def object_store(program: str) -> Iterator[dict[str, str]]:
    """Run the server; yields the environment by which every S3 client finds it."""
    with TemporaryDirectory() as folder:
        environment = KEYS | {
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        ports = free_ports(2 * len(PORTS))
        environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{ports[len(PORTS) - 1]}"
        log = Path(folder, "log")
        with log.open("wb") as stream:
            server = subprocess.Popen(
                [program, "-logtostderr", "server", *arguments(Path(folder), ports)],
                cwd=folder,
                stdout=stream,
                stderr=stream,
            )
        try:
            wait_until_it_serves(server, ports, log)
            make_bucket(environment)
            yield environment
        finally:
            server.kill()  # nothing is to be kept, and an orderly end takes 25 seconds
            server.wait()
            for port in ports:
                for socket_path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    socket_path.unlink()


def make_bucket(environment: dict[str, str]) -> None:
    """Make a bucket for all tests: each bucket costs the server seven volumes."""
    S3FileSystem(
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        region=environment["AWS_REGION"],
        endpoint_override=environment["AWS_ENDPOINT_URL"],
        allow_bucket_creation=True,
    ).create_dir(BUCKET)


def arguments(folder: Path, ports: list[int]) -> list[str]:
    """The server's arguments: one identity with all rights, the loopback interface alone, no reports."""
    access, secret = KEYS.values()
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    http, grpc = ports[: len(PORTS)], ports[len(PORTS) :]
    return [
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder}/data",
        "-filer",
        "-s3",
        f"-s3.config={folder}/s3.json",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",  # fixed ports else, which a second server finds taken
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=128",
        "-volume.max=16",
        *(f"-{name}={port}" for name, port in zip(PORTS, http, strict=True)),
        *(f"-{name}.grpc={port}" for name, port in zip(PORTS, grpc, strict=True)),
    ]


def wait_until_it_serves(server: subprocess.Popen[bytes], ports: list[int], log: Path) -> None:
    """Wait for the S3 port, which opens last."""
    end = time.monotonic() + 300
    while True:
        assert server.poll() is None and time.monotonic() < end, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", ports[len(PORTS) - 1]), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
