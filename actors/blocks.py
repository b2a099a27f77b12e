"""Rows that become durable block by block, each once: what every long Ray Data execution of ours writes through."""

from collections.abc import Callable
from dataclasses import dataclass

import ray
from ray.data._internal.execution.backpressure_policy import (
    ENABLED_BACKPRESSURE_POLICIES,
    ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY,
)
from ray.data._internal.execution.backpressure_policy.backpressure_policy import BackpressurePolicy
from ray.data._internal.execution.interfaces import PhysicalOperator
from ray.data.checkpoint import CheckpointConfig
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, RayError, WorkerCrashedError

from stickers import storage

UNWRITTEN = "stickers.unwritten"
VANISHED = (NodeDiedError, ObjectLostError, RayActorError, WorkerCrashedError)
#: executions one after the other that write nothing
IN_VAIN = 5


@dataclass(frozen=True)
class Unwritten:
    """The most rows that an operator may have taken and that are not written yet: what a crash can cost.

    `operator` is the class that rows are mapped by.
    """

    operator: str
    rows: int


class BoundUnwritten(BackpressurePolicy):
    """Holds an operator back while too much of what it makes waits to be written.

    Ray Data's own policies look at memory, of which a clip takes next to none: while an operator after the teacher is
    being restarted, hundreds of clips would pile up before it, and a crash then would cost them all.
    """

    def can_add_input(self, op: PhysicalOperator) -> bool:
        most = self._data_context.get_config(UNWRITTEN)
        if op.name != f"MapBatches({most.operator})":
            return True
        taken = op.metrics.rows_inputs_of_submitted_tasks
        return bool(taken == 0 or taken - sum(map(_written, self._topology)) < most.rows)


def _written(op: PhysicalOperator) -> float:
    """Rows that an operator has written for good, if it is one that writes."""
    if op.name != "Write":
        return 0.0
    each = op.metrics.average_rows_inputs_per_task or 0.0
    return float(op.metrics.rows_inputs_of_submitted_tasks - op.metrics.num_tasks_running * each)


def write_durable(
    make: Callable[[], ray.data.Dataset],
    out: str,
    id_column: str,
    unwritten: Unwritten | None = None,
    writers: int | None = None,
) -> None:
    """Write the rows of a dataset to `<out>/rows`. A block is durable once written; its ids stand in
    `<out>/checkpoint`, and the next call with the same rows skips them.

    What a vanished node had written is durable, but Ray would make all of it again, to get back the few bytes that each
    writing task returned. So those tasks are never run again; an execution that lost some is followed by another,
    which finds what is there.

    Args:
        make: builds the dataset, for the cluster as it is then.
        writers: that write at a time; each is a process.

    Raises:
        ray.exceptions.RayError: a task of ours failed, or executions come to nothing again and again.
    """
    vain = 0
    while True:
        there = len(_blocks(out))
        try:
            _execute(make(), out, id_column, unwritten, writers)
            return
        except RayError as error:
            vain = 0 if len(_blocks(out)) > there else vain + 1
            if not _vanished(error) or vain == IN_VAIN:
                raise


def _blocks(out: str) -> list[str]:
    return [
        each
        for each in storage.listing(storage.join(out, "rows"), recursive=True)
        if each.endswith(".parquet")
    ]


def _vanished(error: BaseException | None) -> bool:
    """Whether a process, a node or what lay on it went away, rather than that something of ours failed."""
    while error is not None:
        if isinstance(error, VANISHED):
            return True
        error = getattr(error, "cause", None) or error.__cause__
    return False


def _execute(
    dataset: ray.data.Dataset, out: str, id_column: str, unwritten: Unwritten | None, writers: int | None
) -> None:
    # On the dataset, not on the process-wide context: executions run side by side, each with its own checkpoint.
    dataset.context.checkpoint_config = CheckpointConfig(
        id_column=id_column,
        checkpoint_path=storage.join(out, "checkpoint"),
        delete_checkpoint_on_success=False,
    )
    if unwritten:
        policies = [*ENABLED_BACKPRESSURE_POLICIES, BoundUnwritten]
        dataset.context.set_config(ENABLED_BACKPRESSURE_POLICIES_CONFIG_KEY, policies)
        dataset.context.set_config(UNWRITTEN, unwritten)
    # No CPU on the books for writing: where actors hold all of them it would come last, and what is made would pile up
    free = {"max_retries": 0, "num_cpus": 0}
    dataset.write_parquet(storage.join(out, "rows"), ray_remote_args=free, concurrency=writers)


def gpus_of_one(gpus: float = 1.0) -> tuple[float, int]:
    """What an actor takes of a GPU, and how many actors there is room for: one where there is no GPU."""
    there = ray.cluster_resources().get("GPU", 0)
    return (gpus, max(1, int(there / gpus))) if there else (0, 1)
