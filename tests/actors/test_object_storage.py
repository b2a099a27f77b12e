"""Candidates and trainings whose runs folder lies in a bucket: killed, they go on from what lies there."""

import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import fs
from safetensors.torch import load_file

from actors.cluster import connect
from actors.teacher import Teacher
from actors.trainer import CHECKPOINT, hand_over, train_all
from experiments.candidates import main
from experiments.cli.training import Changes, apply
from recipes.toy.projects import TINY
from stickers import storage
from stickers.data.latents import weights_digest
from stickers.diffusion.sampling import SamplerSettings
from stickers.training.job import TrainingJob
from tests.support.gates import Gate
from tests.support.processes import kill_driver, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = SamplerSettings(num_steps=2, guided_steps=0, solver="ddim", num_frames=6, fps=6)
NUM_PROMPTS = 24
RECIPE = apply(Changes(steps=8, batch_size=2, checkpoint_every=2), TINY.teachers[0])


def make_teacher(runs: str, foundations: Path) -> None:
    """A finished training: the network that the foundations hold."""
    uri, unet = storage.join(runs, "teachers", "calm-1"), foundations / "video_unets" / "student"
    storage.upload_folder(unet, storage.join(uri, "checkpoint"))
    record = {"prediction": "v_prediction", "settings": asdict(SETTINGS), "picture_size": 32}
    storage.write_record(uri, {"name": "calm", "weights": weights_digest(unet), **record})


def objects(uri: str) -> dict[str, int]:
    """Every Parquet file below, with the time at which it was written."""
    system, path = fs.FileSystem.from_uri(uri)
    files = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    return {file.path: file.mtime_ns for file in files if file.path.endswith(".parquet")}


def test_killed_candidates_go_on_in_the_bucket(
    bucket: str, tiny_foundations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = f"{bucket}/runs"
    make_teacher(runs, tiny_foundations)
    script, base = str(ROOT / "experiments" / "candidates.py"), str(tiny_foundations)
    named = ["--teachers", "calm", "--num-prompts", str(NUM_PROMPTS)]
    gate = Gate(tmp_path / "gate", Teacher.__call__, free_calls=3)  # of six blocks
    victim = subprocess.Popen(
        [sys.executable, script, "--runs", runs, "--foundations", base, *named],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=gate.environment(),
    )

    def written() -> dict[str, int]:
        return {name: when for name, when in objects(f"{runs}/plans").items() if "/rows/" in name}

    try:
        # the newest file may still be uncommitted: with two of three, one is durable
        wait_for(lambda: len(written()) >= 2 or victim.poll() is not None)
    finally:
        kill_driver(victim)
    survivors = written()
    assert survivors and not storage.find_records(runs, "plans")

    options: dict[str, Any] = {"runs": runs, "foundations": base, "teachers": ("calm",)}
    main(**options, num_prompts=NUM_PROMPTS)
    plan = storage.find_record(runs, "plans")
    assert [sum(cell[name] for cell in plan.record["counts"]) for name in ("made", "failed")] == [48, 0]
    # while the rows of a pass are kept, those that were durable are the very same objects, and no id lies twice
    remaining = written()
    assert not remaining or any(remaining.get(name) == when for name, when in survivors.items())
    system, _ = fs.FileSystem.from_uri(runs)
    assert (
        not remaining or sum(pq.read_metadata(name, filesystem=system).num_rows for name in remaining) == 48
    )
    finished = objects(f"{runs}/plans")
    capsys.readouterr()
    main(**options, num_prompts=NUM_PROMPTS)
    assert "nothing to do" in capsys.readouterr().out and objects(f"{runs}/plans") == finished


def job_in(runs: str, foundations: Path) -> TrainingJob:
    sets = {
        uri.rsplit("/", 1)[1].removesuffix(".safetensors").replace("-", "@"): uri
        for uri in storage.listing(storage.join(runs, "latents"), recursive=True)
        if uri.endswith(".safetensors")
    }
    return TrainingJob.of_recipe(RECIPE, foundations=str(foundations), sets=sets)


def weights(job: TrainingJob, runs: str) -> dict[str, torch.Tensor]:
    folder = storage.local_folder(storage.join(job.run_uri(runs), CHECKPOINT))
    return load_file(Path(folder, "diffusion_pytorch_model.safetensors"))


def test_a_training_goes_on_from_its_checkpoint_in_the_bucket(
    bucket: str,
    prepared_runs: Path,
    tiny_foundations: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its workers killed, the weights are those of a training on this machine's disk that nobody disturbed."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow/store.db")
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    runs = f"{bucket}/runs"
    storage.upload_folder(prepared_runs, runs)
    job, outcomes = job_in(runs, tiny_foundations), list[Any]()

    def checkpointed() -> bool:
        snapshot = storage.join(job.run_uri(runs), "checkpoint_manager_snapshot.json")
        return storage.exists(snapshot) and b"checkpoint_2" in storage.read_bytes(snapshot)

    gate = Gate(tmp_path / "gate", hand_over, free_calls=2)
    for name, value in gate.variables().items():  # before the cluster starts, whose workers inherit them
        monkeypatch.setenv(name, value)
    with connect(num_cpus=4):
        thread = threading.Thread(target=lambda: outcomes.extend(train_all([job], runs, project=TINY)))
        thread.start()
        wait_for(lambda: checkpointed() or not thread.is_alive())
        assert thread.is_alive(), outcomes
        for process in psutil.Process().children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                process.kill()
        gate.open()
        local = job_in(str(prepared_runs), tiny_foundations)
        undisturbed = train_all([local], str(prepared_runs), project=TINY)
        thread.join(timeout=600)
    assert [outcome.status for outcome in (*outcomes, *undisturbed)] == ["trained", "trained"], outcomes
    bucket_weights, local_weights = weights(job, runs), weights(local, str(prepared_runs))
    assert bucket_weights.keys() == local_weights.keys()
    assert all(torch.equal(bucket_weights[name], value) for name, value in local_weights.items())
    uris = storage.listing(job.run_uri(runs), recursive=True)
    inside = f"{job.run_uri(runs)}/{CHECKPOINT}/", f"{job.run_uri(runs)}/{storage.RECORD}"
    assert all(uri.startswith(inside) for uri in uris), f"what served resuming is left: {uris}"
    assert list((tmp_path / "mlflow" / "mlflow-artifacts").rglob("preview.mp4"))
