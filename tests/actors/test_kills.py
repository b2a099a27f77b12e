"""Whatever is killed in the middle of a training, worker, driver or node, its weights come out bit by bit the same."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from safetensors.torch import load_file

from actors.tracking import Tracking
from actors.trainer import CHECKPOINT, hand_over, train_all
from experiments.cli.training import Changes, apply
from recipes.toy.projects import TINY
from stickers.training.job import TrainingJob
from tests.support.gates import Gate
from tests.support.processes import kill_driver, lives, wait_for

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]
#: two stages of 10 steps, averaged weights, a checkpoint every third step
CHANGES = Changes(steps=10, batch_size=2, checkpoint_every=3, ema_decay=0.9)
RECIPE = apply(CHANGES, TINY.teachers[0])
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """Where every worker that this module starts waits, once it has handed over two checkpoints, while it is closed."""
    gate = Gate(tmp_path_factory.mktemp("kills") / "gate", hand_over, free_calls=2)
    gate.open()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in gate.variables().items():
            environment.setenv(name, value)
        yield gate


@pytest.fixture(scope="module")
def cluster(gate: Gate) -> Iterator[Cluster]:
    """A head on which nothing is trained, and one node on which everything is."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def job_in(runs: Path, foundations: Path) -> TrainingJob:
    sets = {path.stem.replace("-", "@"): str(path) for path in (runs / "latents").rglob("*.safetensors")}
    return TrainingJob.of_recipe(RECIPE, foundations=str(foundations), sets=sets)


def weights(job: TrainingJob, runs: Path) -> dict[str, torch.Tensor]:
    return load_file(Path(job.run_uri(str(runs)), CHECKPOINT, "diffusion_pytorch_model.safetensors"))


@pytest.fixture(scope="module")
def found_undisturbed() -> dict[str, torch.Tensor]:
    """Filled by the first test that needs it."""
    return {}


@pytest.fixture
def undisturbed(
    cluster: Cluster,
    found_undisturbed: dict[str, torch.Tensor],
    prepared_runs: Path,
    tiny_foundations: Path,
    tmp_path: Path,
) -> dict[str, torch.Tensor]:
    """The weights of the same training, left alone, in another runs folder."""
    if not found_undisturbed:
        copy = tmp_path / "undisturbed"
        shutil.copytree(prepared_runs, copy)
        job = job_in(copy, tiny_foundations)
        assert not train_all([job], str(copy), project=TINY)[0].reason
        found_undisturbed |= weights(job, copy)
    return found_undisturbed


def workers() -> list[psutil.Process]:
    """Those of this process's own cluster."""
    started = psutil.Process().children(recursive=True)
    return [process for process in started if "RayTrainWorker" in " ".join(process.cmdline())]


def is_as_if_undisturbed(job: TrainingJob, runs: Path, undisturbed: dict[str, torch.Tensor]) -> None:
    """The weights are the same bit by bit, and one MLflow run tells of every logged step once."""
    final_weights = weights(job, runs)
    assert final_weights.keys() == undisturbed.keys()
    assert all(torch.equal(final_weights[name], value) for name, value in undisturbed.items())
    tracking = Tracking.open(str(runs))
    runs_found = tracking.client.search_runs([tracking.experiment_id], "tags.role = 'teacher'")
    assert [run.info.status for run in runs_found] == ["FINISHED"]
    history = tracking.client.get_metric_history(runs_found[0].info.run_id, "train/loss")
    assert [metric.step for metric in history] == [10, 20]


def checkpointed(job: TrainingJob, runs: Path) -> bool:
    """Whether Ray Train has recorded a checkpoint from which the training will go on."""
    snapshot = Path(job.run_uri(str(runs)), "checkpoint_manager_snapshot.json")
    return snapshot.exists() and "checkpoint_2" in snapshot.read_text()


@pytest.mark.parametrize("victim", ["worker", "node"])
def test_weights_are_those_of_an_undisturbed_training(
    victim: str,
    gate: Gate,
    cluster: Cluster,
    undisturbed: dict[str, torch.Tensor],
    prepared_runs: Path,
    tiny_foundations: Path,
) -> None:
    job, outcomes = job_in(prepared_runs, tiny_foundations), list[Any]()
    thread = threading.Thread(
        target=lambda: outcomes.extend(train_all([job], str(prepared_runs), project=TINY))
    )
    gate.close()
    thread.start()
    wait_for(lambda: checkpointed(job, prepared_runs) or not thread.is_alive())
    assert thread.is_alive(), outcomes
    if victim == "worker":
        assert workers()
        for worker in workers():
            worker.kill()
    else:
        node = next(worker for worker in cluster.worker_nodes)
        killed = workers()
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=2)
        wait_for(lambda: not any(map(lives, killed)))  # until they see that their node is gone
    gate.open()
    thread.join(timeout=600)
    assert outcomes and outcomes[0].status == "trained", outcomes
    is_as_if_undisturbed(job, prepared_runs, undisturbed)


def start_driver(runs: Path, foundations: Path, log: Path) -> subprocess.Popen[bytes]:
    """`experiments/teachers.py` with the same recipe, on a Ray of its own."""
    changes = [
        word
        for name, value in vars(CHANGES).items()
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    command = [sys.executable, ROOT / "experiments" / "teachers.py", "--runs", runs, "--only", RECIPE.name]
    return subprocess.Popen(
        [*command, "--foundations", foundations, *changes], stdout=log.open("ab"), stderr=subprocess.STDOUT
    )


def test_killed_driver_goes_on_where_it_stopped(
    gate: Gate,
    undisturbed: dict[str, torch.Tensor],
    prepared_runs: Path,
    tiny_foundations: Path,
    tmp_path: Path,
) -> None:
    log, job = tmp_path / "log", job_in(prepared_runs, tiny_foundations)
    gate.close()
    process = start_driver(prepared_runs, tiny_foundations, log)
    try:
        wait_for(lambda: checkpointed(job, prepared_runs) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
    finally:
        kill_driver(process)
    gate.open()
    assert not job.finished(str(prepared_runs))
    assert start_driver(prepared_runs, tiny_foundations, log).wait(timeout=600) == 0, log.read_text()
    is_as_if_undisturbed(job, prepared_runs, undisturbed)
