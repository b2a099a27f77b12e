"""MLflow on a real SQLite store: runs are found again, figures are not doubled, the student is found by its alias."""

import subprocess
import sys
from pathlib import Path

import pytest

from actors.tracking import CHAMPION, STUDENT, RunTracker, Tracking, flat, resolve, tracking_uri

KEY = {"run_digest": "0123456789ab", "role": "teacher"}
DETAILS = {
    "params": {"seed": 1, "stages": [{"lr": 0.1, "datasets": (("artist", 0.8), ("keyword", 0.2))}]},
    "tags": {"teacher": "a"},
    "data": {"artist": ("d1", "/somewhere/artist.safetensors")},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def tracking(runs: str) -> Tracking:
    return Tracking.open(runs)


def test_repeated_command_finds_its_runs_again(tracking: Tracking, runs: str) -> None:
    again = Tracking.open(runs)
    assert again.experiment_id == tracking.experiment_id
    parent = tracking.parent("tiny")
    child = tracking.child(parent, "a", KEY, **DETAILS)
    assert again.parent("tiny") == parent
    assert again.child(parent, "a", KEY, **DETAILS) == child
    assert len(tracking.client.search_runs([tracking.experiment_id])) == 2
    run = tracking.client.get_run(child)
    assert run.data.params == {
        "seed": "1",
        "stages.0.lr": "0.1",
        "stages.0.datasets": "artist 0.8, keyword 0.2",
    }
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert [
        (dataset_input.dataset.name, dataset_input.dataset.digest)
        for dataset_input in run.inputs.dataset_inputs
    ] == [("artist", "d1")]
    assert run.info.artifact_uri.startswith(f"{runs}/mlflow-artifacts/")


def test_resumed_training_doubles_no_figure(tracking: Tracking) -> None:
    child = tracking.child(tracking.parent("tiny"), "b", {**KEY, "run_digest": "b"}, **DETAILS)
    first = RunTracker(tracking.uri, child)
    for step in (10, 20):
        first.log({"train/loss": 1.0 / step}, step)
    second = RunTracker(tracking.uri, child)
    for step in (10, 20, 30):
        second.log({"train/loss": 1.0 / step}, step)
    history = tracking.client.get_metric_history(child, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == [(10, 0.1), (20, 0.05), (30, 1.0 / 30)]
    assert tracking.latest(child)["train/step"] == 30


def test_preview_is_an_artifact_of_the_run(tracking: Tracking) -> None:
    child = tracking.child(tracking.parent("tiny"), "c", {**KEY, "run_digest": "c"}, **DETAILS)
    RunTracker(tracking.uri, child).log_preview("preview.png", b"picture")
    assert [artifact.path for artifact in tracking.client.list_artifacts(child, "previews")] == [
        "previews/preview.png"
    ]


def test_failed_run_says_why(tracking: Tracking) -> None:
    child = tracking.child(tracking.parent("tiny"), "d", {**KEY, "run_digest": "d"}, **DETAILS)
    tracking.finish(child, failed="the loss is nan")
    run = tracking.client.get_run(child)
    assert (run.info.status, run.data.tags["failure"]) == ("FAILED", "the loss is nan")
    assert tracking.child(tracking.parent("tiny"), "d", {**KEY, "run_digest": "d"}, **DETAILS) == child
    assert tracking.client.get_run(child).info.status == "RUNNING"


def test_alias_leads_to_the_exported_folder(tracking: Tracking, runs: str, tmp_path: Path) -> None:
    child = tracking.child(tracking.parent("tiny"), "e", {**KEY, "run_digest": "e"}, **DETAILS)
    with pytest.raises(ValueError, match="is not registered"):
        resolve(f"models:/{STUDENT}@{CHAMPION}", runs)
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    assert tracking.register(str(old), child) == "1"
    assert tracking.register(str(old), child) == "1"
    assert tracking.register(str(new), child) == "2"
    assert resolve(f"models:/{STUDENT}@{CHAMPION}", runs) == str(new)
    assert resolve(f"models:/{STUDENT}/1", runs) == str(old)


def test_four_processes_write_at_once(tracking: Tracking) -> None:
    parent = tracking.parent("tiny")
    runs = [tracking.child(parent, f"f{i}", {**KEY, "run_digest": f"f{i}"}, **DETAILS) for i in range(4)]
    code = (
        "import sys; from actors.tracking import RunTracker; t = RunTracker(*sys.argv[1:])\n"
        "for step in range(1, 11): t.log({'train/loss': step}, step)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, tracking.uri, run]) for run in runs]
    assert [writer.wait(timeout=300) for writer in writers] == [0] * 4
    assert [tracking.latest(run)["train/loss"] for run in runs] == [10.0] * 4


def test_remote_runs_want_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ValueError, match="set MLFLOW_TRACKING_URI"):
        tracking_uri("s3://bucket/runs")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri("s3://bucket/runs") == "http://mlflow:5000"


def test_flat_names_every_value() -> None:
    assert dict(flat({"a": {"b": 1}, "c": [{"d": 2}, {"d": 3}], "e": (4, 5)})) == {
        "a.b": 1,
        "c.0.d": 2,
        "c.1.d": 3,
        "e": "4, 5",
    }
