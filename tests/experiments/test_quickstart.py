"""The whole chain, a few steps of everything: from video files to a registered student and a report.

Its drivers are killed in the middle of stages, so that every figure below also says that nothing was lost or doubled.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from actors.tracking import Tracking, resolve
from experiments import candidates, prices
from experiments.quickstart import stages_of
from experiments.studies import budgets
from experiments.trials.ports import free_ports
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.pipeline import AnimationPipeline
from stickers.toy.video_files import write_clip
from stickers.toy.words import held_out, meaning
from stickers.training.engine import DeepSpeedEngine
from tests.support.gates import Gate
from tests.support.processes import kill_driver, lives, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.long]
ROOT = Path(__file__).parents[2]
ROLES = ("teacher", "student", "distilled")


#: Where a stage is in the middle of its work: the function whose nth call, from 0, waits until the driver is killed,
#: and what is there by then. Another file of a collection, a step of a training, the version of what is exported, the
#: second sticker's readings.
MIDDLE: dict[str, tuple[Callable[..., Any], int, str]] = {
    "prepare": (write_clip, 3, "collections/**/*.mov"),
    "students": (DeepSpeedEngine.step, 2, "students/*/*"),
    "export": (Tracking.register, 0, "exported/*/*"),
    "evaluate": (storage.write_table, 1, "evaluation/*/items/*.parquet"),
}


#: how lines of Ray, of its workers, of MLflow's database, DeepSpeed, transformers, tqdm and Python's warnings look
CHATTER = re.compile(
    r"\b(INFO|WARNING) \w+\.py:\d+|\.cc:\d+|\(\w+.* pid=\d+|alembic|\[\d{4}-\d\d-\d\d |\d+%\||shards|Warning:"
)


def start(script: str, runs: Path, log: Path, gate: Gate | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, ROOT / "experiments" / script, "--runs", runs, "--project", "smoke"]
    environment = {**(gate.environment() if gate else os.environ), "COLUMNS": "160"}
    with log.open("ab") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, cwd=runs.parent, env=environment
        )


def finish(script: str, runs: Path, log: Path) -> None:
    assert start(script, runs, log).wait() == 0, log.read_text()[-6000:]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quickstart killed in its first stage, then stage by stage, most of them killed and given again."""
    folder = tmp_path_factory.mktemp("chain") / "runs"
    log = folder.with_name("log")
    for stage in stages_of(SMOKE):
        if stage in MIDDLE:
            function, free_calls, pattern = MIDDLE[stage]
            gate = Gate(folder.with_name(f"gate-{stage}"), function, free_calls)
            victim = start("quickstart.py" if stage == "prepare" else f"{stage}.py", folder, log, gate)
            try:
                gate.wait(victim, log)
                assert any(folder.glob(pattern))
            finally:
                kill_driver(victim)
            kind = {"prepare": "latents", "evaluate": "evaluation"}.get(stage, stage)
            # export's last word is not its record but the registered version
            assert stage == "export" or not any(folder.glob(f"{kind}/*/record.json"))
        finish(f"{stage}.py", folder, log)
    return folder


def records(runs: Path) -> dict[str, list[dict]]:
    kinds = ("latents", "teachers", "plans", "kept", "students", "distilled", "exported", "evaluation")
    return {kind: [artifact.record for artifact in storage.find_records(str(runs), kind)] for kind in kinds}


@pytest.mark.timeout(2400)
def test_every_stage_leaves_its_artifact(runs: Path) -> None:
    by_kind = records(runs)
    assert {kind: len(entries) for kind, entries in by_kind.items()} == {
        "latents": 1,
        "teachers": 2,
        "plans": 1,
        "kept": 1,
        "students": 1,
        "distilled": 1,
        "exported": 1,
        "evaluation": 1,
    }
    assert by_kind["latents"][0]["refused"] == 5
    assert by_kind["kept"][0]["simulated"] and by_kind["exported"][0]["simulated"]
    planned = sum(row["planned"] for row in by_kind["plans"][0]["counts"])
    assert planned == 3 * 2 * 2 == sum(row["made"] for row in by_kind["plans"][0]["counts"])
    figures = {(row["system"], row["metric"]): row["value"] for row in by_kind["evaluation"][0]["figures"]}
    # the still passes through the student's autoencoder, so that it is nearly the still that the error is measured in
    assert figures["still", "error"] == pytest.approx(1, abs=0.02) and figures["truth", "error"] < 0.6
    systems = {system for system, _ in figures}
    assert {"student", "distilled", "foundation student", "wrong motion"} <= systems
    assert len(by_kind["evaluation"][0]["verdicts"]) == 2


def test_nothing_held_out_is_in_plan_or_kept_set(runs: Path) -> None:
    for kind in ("plans", "kept"):
        for path in (runs / kind).rglob("*.parquet"):
            table = storage.read_table(str(path))
            for prompt in table["prompt"].to_pylist() if "prompt" in table.column_names else []:
                words = meaning(prompt)
                assert not any(held_out(words.subject, motion) for motion in words.motions)


def test_the_registered_student_animates(runs: Path) -> None:
    pipeline = AnimationPipeline.load(resolve("models:/animated-stickers-student@champion", str(runs)))
    assert pipeline.settings.num_passes() == 8
    assert len(Tracking.open(str(runs)).client.search_model_versions("")) == 1


def test_the_report_is_one_page_that_says_simulated(runs: Path) -> None:
    page = (runs / "report.html").read_text()
    assert "simulated" in page and "http://" not in page.replace("http://127.0.0.1", "").replace(
        "http://www.w3.org", ""
    )
    assert (runs / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_kept_clip_has_a_price_and_a_budget_follows_it(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices.main(str(runs), "smoke")
    printed, page = capsys.readouterr().out, (runs / "spending.html").read_text()
    assert "CPU-seconds" in printed and "simulated" in printed and "simulated people did" in page
    cells = prices.collect(str(runs), "smoke").cells
    assert sum(cell.made for cell in cells) == 12 and sum(cell.kept for cell in cells) > 0
    seconds = 40 * max(cell.seconds_each for cell in cells)
    candidates.main(str(runs), "smoke", budget=seconds, dry_run=True)
    match = re.search(r"plan by budget .* (\d+) candidates", capsys.readouterr().out)
    assert match and 40 <= int(match.group(1)) <= seconds / min(cell.seconds_each for cell in cells)
    candidates.main(str(runs), "smoke", status=True)
    assert re.search(r"is finished[\s\S]*all\W+12\W+12\W+0\W+0", capsys.readouterr().out)
    budgets.main(str(runs), "smoke", candidates=50, rounds=2, plays=3)
    assert re.search(r"oracle \W+[\d.]+\W+0.0%", capsys.readouterr().out)


def test_the_screen_has_stages_and_results_and_the_log_the_chatter(runs: Path) -> None:
    screen, num_steps = runs.with_name("log").read_text(), SMOKE.students[0].num_steps
    assert [line for line in screen.splitlines() if CHATTER.search(line)] == []
    for line in (
        "stage 1 of 9: prepare: list the videos, encode their frames",
        "stage 1 of 3: draw the videos",
        "stage 2 of 3: decode and encode the files (",
        "decode and encode: 41 of 41 files",
        "stage 1 of 2: teachers animate the stickers",
        "stage 3 of 3: make the kept set (",
        f"student: {num_steps} of {num_steps} steps, trained, loss 0.",
    ):
        assert line in screen, screen[-6000:]
    logs = {path: path.read_text() for path in (runs / "logs").iterdir()}
    named = re.findall(r"^log: (.+)$", screen, re.M)
    assert (
        len(named) == len(set(named)) >= len(stages_of(SMOKE)) - 2
    )  # export and report may have nothing to log
    assert set(named) <= set(map(str, logs))
    prepare = next(text for path, text in logs.items() if path.name.startswith("prepare-"))
    assert "INFO streaming_executor.py" in prepare and "INFO actors.cluster: cluster: 1 machines" in prepare
    assert any(
        "INFO actors.trainer: student: worker 0 on cpu goes on from step" in text for text in logs.values()
    )


@pytest.mark.timeout(600)
def test_the_same_command_again_repeats_nothing(runs: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in runs.rglob("record.json")}
    names = sorted(run.info.run_name for run in mlflow_runs(runs))
    assert len(names) == len(set(names)) == 5, "two teachers, student and distilled student under one parent"
    finish("quickstart.py", runs, runs.with_name("log"))
    assert {p: p.stat().st_mtime_ns for p in runs.rglob("record.json")} == before
    assert sorted(run.info.run_name for run in mlflow_runs(runs)) == names
    assert set(json.loads((runs / "times.json").read_text())["smoke"]) == set(stages_of(SMOKE))


def mlflow_runs(runs: Path) -> list[Any]:
    tracking = Tracking.open(str(runs))
    return list(tracking.client.search_runs([tracking.experiment_id]))


@pytest.fixture(scope="module")
def mlflow_page(runs: Path) -> Iterator[str]:
    """The address of `make mlflow`'s page over the chain's runs."""
    port = free_ports(1)[0]
    database = f"sqlite:///{runs / 'mlflow.db'}"
    command = [
        Path(sys.executable).with_name("mlflow"), "ui", "--backend-store-uri", database,
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    with runs.with_name("mlflow.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), seconds=180)
        yield f"http://127.0.0.1:{port}"
    finally:
        children = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        server.wait(timeout=300)
        for child in filter(lives, children):
            child.kill()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_the_mlflow_page_compares_every_training(
    runs: Path, mlflow_page: str, browser: Any, tmp_path: Path
) -> None:
    trained = [run for run in mlflow_runs(runs) if run.data.tags.get("role") in ROLES]
    assert len(trained) == 4
    assert len({frozenset(run.data.metrics) for run in trained}) == 1, "metric names differ"
    page = browser.new_page(viewport={"width": 1900, "height": 1400})
    page.set_default_timeout(120_000)
    ids = json.dumps([run.info.run_id for run in trained])
    experiment = json.dumps([trained[0].info.experiment_id])
    page.goto(f"{mlflow_page}/#/compare-runs?runs={quote(ids)}&experiments={quote(experiment)}")
    for run in trained:
        page.get_by_text(run.info.run_name, exact=True).first.wait_for()
    for metric in trained[0].data.metrics:
        page.get_by_text(metric, exact=True).first.wait_for()
    differing = page.locator(".diff-row")
    differing.first.wait_for()
    assert "lr" in " ".join(differing.all_inner_texts()) or "recipe" in " ".join(differing.all_inner_texts())
    page.screenshot(path=tmp_path / "compare.png")
    for run in trained:
        page.goto(
            f"{mlflow_page}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
            "/artifacts/previews/preview.mp4"
        )
        video = page.locator("video")
        video.wait_for()
        assert video.evaluate(
            """async video => {
                video.muted = true;
                video.loop = true;
                await video.play();
                const start = video.currentTime;
                while (video.currentTime === start)
                    await new Promise(done => setTimeout(done, 50));
                return video.videoWidth > 0;
            }"""
        ), run.info.run_name
    page.screenshot(path=tmp_path / "preview.png")
    page.close()
