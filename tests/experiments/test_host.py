"""`experiments/host.py` as a person runs it: a process, a port, and sentences when something is missing."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from actors.tracking import Tracking
from experiments.host import main
from serve.apps import find_model
from stickers.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def host(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "experiments" / "host.py"), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ.copy()
    )


def wait_for(process: subprocess.Popen[str], address: str) -> dict[str, object]:
    """What the service says of itself, once the process has printed its address."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:  # ends when the process does
        printed += line
        if address in line:
            return dict(httpx.get(f"{address}/healthz", timeout=60).json())
    raise AssertionError(f"the address was never printed; instead: {printed}")


@pytest.mark.long
@pytest.mark.ray
def test_registered_student_is_hosted_until_stopped(student_folder: Path, tmp_path: Path) -> None:
    tracking = Tracking.open(str(tmp_path / "runs"))
    tracking.register(str(student_folder), tracking.run("student", {"role": "student"}))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = host("--runs", str(tmp_path / "runs"), "--port", str(port))
    try:
        health = wait_for(process, address)
        assert health["status"] == "ok" and health["picture_size"] == 32
        buffer = io.BytesIO()
        Image.fromarray(np.full((40, 40, 4), 200, np.uint8)).save(buffer, "PNG")
        answer = httpx.post(
            f"{address}/v1/animate",
            files={"picture": buffer.getvalue()},
            data={"prompt": "a box"},
            timeout=300,
        )
        assert answer.status_code == 200 and answer.headers["x-model-digest"] == health["model"]
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert "Traceback" not in output
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{address}/healthz", timeout=5)


def test_taken_port_is_one_sentence(student_folder: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            main(runs=str(tmp_path), model=str(student_folder), port=int(port))


def test_missing_models_are_one_sentence(student_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not registered"):
        main(runs=str(tmp_path))
    with pytest.raises(ValueError, match=r"pipeline\.json is missing"):
        find_model(str(tmp_path), str(tmp_path))
    assert find_model(str(student_folder), str(tmp_path)) == str(student_folder.resolve())


def test_a_half_model_is_refused(student_folder: Path, tmp_path: Path) -> None:
    from serve.student.engine import Student

    half = tmp_path / "half"
    shutil.copytree(student_folder, half, ignore=shutil.ignore_patterns("autoencoder"))
    with pytest.raises(ValueError, match=r"autoencoder/config.json is missing"):
        Student.build(str(half))
