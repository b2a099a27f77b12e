"""The whole chain in one go, a few steps of everything: from video files to a registered student and a report."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from actors.tracking import Tracking, resolve
from experiments.quickstart import STAGES
from stickers import store
from stickers.data.toy.words import held_out, meaning
from stickers.pipeline import AnimationPipeline

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]


def quickstart(runs: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(ROOT / "experiments" / "quickstart.py"),
        "--runs",
        str(runs),
        "--profile",
        "smoke",
    ]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=runs.parent, env={**os.environ, "COLUMNS": "160"}
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain") / "runs"
    done = quickstart(folder)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


def records(runs: Path) -> dict[str, list[dict]]:
    kinds = ("latents", "teachers", "plans", "kept", "students", "distilled", "exported", "evaluation")
    return {kind: [found.record for found in store.find_records(str(runs), kind)] for kind in kinds}


@pytest.mark.timeout(900)
def test_every_stage_leaves_its_artifact(runs: Path) -> None:
    found = records(runs)
    assert {kind: len(each) for kind, each in found.items()} == {
        "latents": 1,
        "teachers": 4,
        "plans": 1,
        "kept": 1,
        "students": 1,
        "distilled": 1,
        "exported": 1,
        "evaluation": 1,
    }
    assert found["latents"][0]["refused"] == 5
    assert found["kept"][0]["simulated"] and found["exported"][0]["simulated"]
    planned = sum(row["planned"] for row in found["plans"][0]["counts"])
    assert planned == 3 * 2 * 4 == sum(row["made"] for row in found["plans"][0]["counts"])
    figures = {row["system"]: row for row in found["evaluation"][0]["figures"]}
    assert figures["still"]["error"] == pytest.approx(1) and figures["truth"]["error"] < 0.6
    assert {"student", "distilled", "foundation student", "wrong motion"} <= set(figures)
    spent = json.loads((runs / "times.json").read_text())
    assert set(spent) >= set(STAGES) - {"report"}


def test_nothing_held_out_is_in_plan_or_kept_set(runs: Path) -> None:
    for place in ("plans", "kept"):
        for path in (runs / place).rglob("*.parquet"):
            table = store.read_table(str(path))
            for prompt in table["prompt"].to_pylist() if "prompt" in table.column_names else []:
                said = meaning(prompt)
                assert not any(held_out(said.subject, motion) for motion in said.motions)


def test_the_registered_student_animates(runs: Path) -> None:
    pipeline = AnimationPipeline.load(resolve("models:/animated-stickers-student@champion", str(runs)))
    assert pipeline.settings.passes() == 8


def test_the_report_is_one_page_that_says_simulated(runs: Path) -> None:
    page = (runs / "report.html").read_text()
    assert "simulated" in page and "http://" not in page.replace("http://127.0.0.1", "").replace(
        "http://www.w3.org", ""
    )
    assert (runs / "report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.timeout(600)
def test_the_same_command_again_repeats_nothing(runs: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in runs.rglob("record.json")}
    tracking = Tracking.open(str(runs))
    count = len(tracking.client.search_runs([tracking.experiment_id]))
    done = quickstart(runs)
    assert done.returncode == 0, done.stdout[-4000:]
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("record.json")} == before
    assert len(tracking.client.search_runs([tracking.experiment_id])) == count
