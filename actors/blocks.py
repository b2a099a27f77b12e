"""Rows that become durable block by block, each once: what every long Ray Data execution of ours writes through."""

import ray
from ray.data.checkpoint import CheckpointConfig

from stickers import store


def write_durable(dataset: ray.data.Dataset, out: str, id_column: str) -> None:
    """Write a dataset's rows to `<out>/rows`. A block is durable once written; its ids stand in `<out>/checkpoint`, and
    the next call with the same rows skips them."""
    # On the dataset, not on the process-wide context: executions run side by side, each with its own checkpoint.
    dataset.context.checkpoint_config = CheckpointConfig(
        id_column=id_column,
        checkpoint_path=store.join(out, "checkpoint"),
        delete_checkpoint_on_success=False,
    )
    dataset.write_parquet(store.join(out, "rows"))


def gpus_of_one(gpus: float = 1.0) -> tuple[float, int]:
    """What an actor takes of a GPU, and how many actors there is room for: one where there is no GPU."""
    there = ray.cluster_resources().get("GPU", 0)
    return (gpus, max(1, int(there / gpus))) if there else (0, 1)
