"""A disk that fills up in the middle of a stage: one sentence, nothing lost, and the same command goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
SCRIPT = """
set -u
mount -t tmpfs -o size=300k tmpfs "$1"
"$2" "$3" --runs "$1/runs" --project smoke
echo "exit $?"
ls "$1"/runs/latents/*/record.json 2>/dev/null
mount -o remount,size=64m "$1"
"$2" "$3" --runs "$1/runs" --project smoke
echo "exit $?"
ls "$1"/runs/latents/*/record.json
"""


def test_a_full_disk_is_one_sentence_and_the_stage_resumes(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk of their own")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = ROOT / "experiments" / "prepare.py"
    done = subprocess.run(
        [*alone, "bash", "-c", SCRIPT, "bash", disk, sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    first, rest = done.stdout.split("exit 1\n", 1)
    sentence = first.strip().splitlines()[-1]
    assert sentence.startswith("error:") and "No space left on device" in sentence, first
    assert "Traceback" not in first and "record.json" not in rest.split("exit 0")[0]
    assert "record.json" in rest.split("exit 0")[1], rest
