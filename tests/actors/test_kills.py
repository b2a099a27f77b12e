"""Whatever is killed in the middle of a training, worker, driver or node, its weights come out bit by bit the same."""

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from ray.cluster_utils import Cluster
from safetensors.torch import load_file

from actors.tracking import Tracking
from actors.trainer import CHECKPOINT, train_all
from experiments.training import Changes
from recipes.profiles import TINY
from stickers.training.job import TrainingJob
from tests.processes import wait_for

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
#: two stages of 10 steps, averaged weights, a checkpoint every third step
RECIPE = replace(Changes(steps=10, batch_size=2, checkpoint_every=3).apply(TINY.teachers[0]), ema_decay=0.9)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head on which nothing is trained, and one node on which everything is."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.add_node(num_cpus=2)
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def job_in(runs: Path, foundations: Path) -> TrainingJob:
    sets = {path.stem.replace("-", "@"): str(path) for path in (runs / "latents").rglob("*.safetensors")}
    return TrainingJob.of_recipe(RECIPE, foundations=str(foundations), sets=sets)


def weights(job: TrainingJob, runs: Path) -> dict[str, torch.Tensor]:
    return load_file(Path(job.place(str(runs)), CHECKPOINT, "diffusion_pytorch_model.safetensors"))


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
        assert not train_all([job], str(copy), ensemble="tiny")[0].reason
        found_undisturbed |= weights(job, copy)
    return found_undisturbed


def workers() -> list[psutil.Process]:
    everyone = psutil.process_iter(["cmdline"])
    return [each for each in everyone if "RayTrainWorker" in " ".join(each.info["cmdline"] or [])]


@pytest.mark.parametrize("victim", ["worker", "node"])
def test_weights_are_those_of_an_undisturbed_training(
    victim: str,
    cluster: Cluster,
    undisturbed: dict[str, torch.Tensor],
    prepared_runs: Path,
    tiny_foundations: Path,
) -> None:
    job, outcomes = job_in(prepared_runs, tiny_foundations), list[Any]()
    thread = threading.Thread(
        target=lambda: outcomes.extend(train_all([job], str(prepared_runs), ensemble="tiny"))
    )
    thread.start()
    folder = Path(job.place(str(prepared_runs)))
    wait_for(lambda: any(folder.glob("checkpoint_*")) or not thread.is_alive())
    assert thread.is_alive(), outcomes
    if victim == "worker":
        assert workers()
        for worker in workers():
            worker.kill()
    else:
        node = next(each for each in cluster.worker_nodes)
        cluster.remove_node(node, allow_graceful=False)
        cluster.add_node(num_cpus=2)
    thread.join(timeout=600)
    assert outcomes and outcomes[0].status == "trained", outcomes
    found = weights(job, prepared_runs)
    assert all(torch.equal(found[name], value) for name, value in undisturbed.items())
    tracking = Tracking.open(str(prepared_runs))
    runs = tracking.client.search_runs([tracking.experiment_id], "tags.role = 'teacher'")
    assert [each.info.status for each in runs] == ["FINISHED"]
    history = tracking.client.get_metric_history(runs[0].info.run_id, "train/loss")
    assert [each.step for each in history] == [10, 20]
