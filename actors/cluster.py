"""Which Ray cluster a stage runs on: the one it was submitted to, or a private one on this machine.

Only its own driver can reach a private cluster, by a token that nobody else has. The cluster reports nothing, keeps
quiet, and ends with the driver, even with a killed one.
"""

import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.ray_compat import patient_start
from actors.screen import screen
from stickers.errors import UserError
from stickers.training.estimate import GIB
from stickers.training.job import TrainingJob
from stickers.training.recipe import Distillation, Recipe

logger = logging.getLogger(__name__)
#: Ray needs room for a reader, a filter and a writer beside a pool of actors, so two cores count as four
MIN_LOGICAL_CPUS = 4
OBJECT_STORE_BYTES = 2**29
#: seconds in which a private cluster must start; a laptop with other work may need minutes
START_SECONDS = 300
#: set unless the user has set them: nothing is reported, and processes that nobody needs here are not started
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Ray Data reads footers with eight actors for every Parquet read; our reads are of one file or a few
    "RAY_DATA_PARQUET_FOOTER_NUM_ACTORS": "1",
    # a cluster's processes wait for each other, too
    "RAY_gcs_server_port_wait_time_s": str(START_SECONDS),
    "RAY_agent_register_timeout_ms": str(1000 * START_SECONDS),
    "RAY_worker_register_timeout_seconds": str(START_SECONDS),
}


@contextmanager
def connect(*, num_cpus: int | None = None) -> Iterator[None]:
    """Be connected to a Ray cluster while the block lasts; an inner block uses the outer block's cluster.

    Inside a Ray job, or with RAY_ADDRESS set, it is that cluster. Otherwise it is a private one on this machine with
    `num_cpus` logical CPUs, by default its cores and at least four.
    """
    if ray.is_initialized():
        yield
        return
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    screen.tell_log()
    if not is_private():
        ray.init(**_talk())
    else:
        _start_private(num_cpus or max(MIN_LOGICAL_CPUS, os.cpu_count() or 1))
    logger.info("cluster: %s", _resources())
    try:
        yield
    except KeyboardInterrupt:
        raise  # threads may wait for Ray; shut down under them, it would end the process with a message of its own
    except BaseException:
        ray.shutdown()
        raise
    ray.shutdown()


def _talk() -> dict[str, Any]:
    """How much Ray and its workers say: everything where a log takes it, else nothing."""
    return {
        "log_to_driver": screen.takes_chatter,
        "logging_level": logging.INFO if screen.takes_chatter else logging.ERROR,
    }


def _resources() -> str:
    """The machines of the connected cluster and what they have."""
    total = ray.cluster_resources()
    counts = (f"{int(total.get(kind, 0))} {kind}s" for kind in ("CPU", "GPU"))
    return ", ".join([f"{sum(node['Alive'] for node in ray.nodes())} machines", *counts])


def is_private() -> bool:
    """Whether the cluster is this driver's own and ends with it."""
    return not os.environ.get("RAY_ADDRESS")


def _start_private(num_cpus: int) -> None:
    # Unset, the mode of a new cluster is "token"; with a token of its own nothing is written to the home folder.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # the one node is ours
    with patient_start(START_SECONDS):
        ray.init(
            address="local",
            num_cpus=num_cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            **_talk(),
        )


def own_device() -> str:
    """What this process computes on: cuda in an actor that was given a GPU, else cpu.

    Asked outside a cluster, Ray itself would join one that it finds, or start one.
    """
    return "cuda" if ray.is_initialized() and ray.get_gpu_ids() else "cpu"


def worker_resource() -> str:
    """The resource of which a training worker takes one: GPU where the cluster has any, else CPU."""
    return "GPU" if ray.cluster_resources().get("GPU", 0) >= 1 else "CPU"


def worker_memory() -> tuple[str, int]:
    """Where a worker's tensors are, cuda or cpu, and how many bytes fit there: those of one GPU, or of this machine."""
    if worker_resource() == "CPU":
        return "cpu", psutil.virtual_memory().total
    ask = ray.remote(num_gpus=1)(lambda: torch.cuda.mem_get_info()[1])
    return "cuda", int(ray.get(ask.remote()))


def check_memory(jobs: Sequence[TrainingJob], side_by_side: int) -> None:
    """Refuse a training whose tensors cannot fit, before anything starts.

    Raises:
        UserError: a worker needs more than a GPU has, or more than its share of this machine.
    """
    device, device_bytes = worker_memory()
    for job in jobs:
        estimate = job.estimate()
        if estimate is None:
            continue
        share = device_bytes if device == "cuda" else device_bytes // (side_by_side * job.recipe.num_workers)
        needed = estimate.bytes_a_worker(device)
        if needed > share:
            raise UserError(
                f"recipe {job.recipe.name!r} cannot fit: a worker needs {needed / GIB:.1f} GiB and has "
                f"{share / GIB:.1f} ({estimate}); lower batch_size, or use more workers, a higher zero_stage, "
                "offload or gradient_checkpointing"
            )


def check_room(recipes: Iterable[Recipe | Distillation]) -> int:
    """Refuse recipes that the cluster can never run, before anything starts.

    Returns:
        How many of the recipes run side by side: as many as fit, on a single machine no more than it has cores.

    Raises:
        UserError: a recipe needs more workers than there are GPUs, or CPUs where there are no GPUs.
    """
    kind = worker_resource()
    amount = int(ray.cluster_resources().get(kind, 0))
    largest = 1
    for recipe in recipes:
        largest = max(largest, recipe.num_workers)
        if recipe.num_workers > amount:
            raise UserError(
                f"recipe {recipe.name!r} needs {recipe.num_workers} {kind}s, one a worker; the cluster has {amount}: "
                "lower num_workers or use a larger cluster"
            )
    cores = (os.cpu_count() or 1) if kind == "CPU" and len(ray.nodes()) == 1 else amount
    return max(1, min(amount, cores) // largest)


def missing_on_cluster(paths: Sequence[str]) -> list[str]:
    """The local paths that some machine of the connected cluster does not have; none on a private cluster."""
    if is_private() or not paths:
        return []
    look = ray.remote(num_cpus=0)(_absent)
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    answers = ray.get(
        [
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                list(paths)
            )
            for node in nodes
        ]
    )
    return sorted({path for absent in answers for path in absent})


def _absent(paths: list[str]) -> list[str]:
    return [path for path in paths if not Path(path).exists()]
