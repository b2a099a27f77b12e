"""Rows that become durable block by block, each once. Every long Ray Data execution of ours writes through here."""

from collections.abc import Callable
from dataclasses import dataclass

import ray
from ray.data.checkpoint import CheckpointConfig
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, RayError, WorkerCrashedError

from actors.ray_compat import BackpressurePolicy, PhysicalOperator, add_policy, rows_done, rows_taken
from stickers import storage
from stickers.errors import UserError

UNWRITTEN = "stickers.unwritten"
VANISHED = (NodeDiedError, ObjectLostError, RayActorError, WorkerCrashedError)
#: executions in a row that write nothing, after which we give up
IN_VAIN = 5


@dataclass(frozen=True)
class Unwritten:
    """The most rows that an operator may have taken and not written yet: what a crash can cost.

    `operator` is the name of the class that maps the rows.
    """

    operator: str
    rows: int


class BoundUnwritten(BackpressurePolicy):
    """Holds an operator back while too many of its rows wait to be written.

    Ray Data's own policies look at memory, and clips take little. While an operator after the teacher restarts,
    hundreds of clips would pile up before it, and a crash would then cost all of them.
    """

    def can_add_input(self, op: PhysicalOperator) -> bool:
        """Whether an operator may take more rows; only the one of `UNWRITTEN` is ever held back."""
        most = self._data_context.get_config(UNWRITTEN)
        if op.name != f"MapBatches({most.operator})":
            return True
        written = sum(rows_done(other) for other in self._topology if other.name == "Write")
        return bool(rows_taken(op) == 0 or rows_taken(op) - written < most.rows)


def write_durable(
    make: Callable[[], ray.data.Dataset],
    target: str,
    id_column: str,
    unwritten: Unwritten | None = None,
    writers: int | None = None,
) -> None:
    """Write the rows of a dataset to `<target>/rows`.

    A written block is durable. Its ids are in `<target>/checkpoint`, and the next call with the same rows skips them.

    The blocks of a vanished node are durable too. Ray would nevertheless make them again, to get back the few bytes
    that each writing task returned. So writing tasks are never retried: an execution that lost some is followed by
    another one, which finds the blocks.

    Args:
        make: builds the dataset, for the cluster as it is then.
        writers: how many processes write at a time.

    Raises:
        ray.exceptions.RayError: a task of ours failed, or several executions in a row wrote nothing.
    """
    vain = 0
    while True:
        num_blocks = len(_blocks(target))
        try:
            _execute(make(), target, id_column, unwritten, writers)
            return
        except RayError as error:
            vain = 0 if len(_blocks(target)) > num_blocks else vain + 1
            if not _vanished(error) or vain == IN_VAIN:
                raise


def _blocks(target: str) -> list[str]:
    return [
        uri
        for uri in storage.listing(storage.join(target, "rows"), recursive=True)
        if uri.endswith(".parquet")
    ]


class DurableRows:
    """Counts the rows that are durable in `<folder>/rows`; every block is read once."""

    def __init__(self, folder: str, id_column: str) -> None:
        self.folder, self.id_column = folder, id_column
        self.rows_of: dict[str, int] = {}

    def __call__(self) -> int:
        """How many rows are durable now."""
        for block in _blocks(self.folder):
            if block not in self.rows_of:
                try:
                    self.rows_of[block] = storage.read_table(block, columns=[self.id_column]).num_rows
                except UserError:  # it is being written, or torn: it does not count yet
                    continue
        return sum(self.rows_of.values())


def _vanished(error: BaseException | None) -> bool:
    """Whether a process, a node or the objects on it were lost, as opposed to an error of our own code."""
    while error is not None:
        if isinstance(error, VANISHED):
            return True
        error = getattr(error, "cause", None) or error.__cause__
    return False


def _execute(
    dataset: ray.data.Dataset, target: str, id_column: str, unwritten: Unwritten | None, writers: int | None
) -> None:
    # Set on the dataset and not on the process-wide context: executions run side by side, each with its own checkpoint.
    dataset.context.checkpoint_config = CheckpointConfig(
        id_column=id_column,
        checkpoint_path=storage.join(target, "checkpoint"),
        delete_checkpoint_on_success=False,
    )
    if unwritten:
        add_policy(dataset, BoundUnwritten)
        dataset.context.set_config(UNWRITTEN, unwritten)
    # No CPU on the books for writing: where actors hold all of them it would come last, and what is made would pile up
    free = {"max_retries": 0, "num_cpus": 0}
    dataset.write_parquet(storage.join(target, "rows"), ray_remote_args=free, concurrency=writers)


def gpus_of_one(gpus: float = 1.0) -> tuple[float, int]:
    """The share of a GPU that an actor takes, and how many actors there is room for; (0, 1) without GPUs."""
    num_gpus = ray.cluster_resources().get("GPU", 0)
    return (gpus, max(1, int(num_gpus / gpus))) if num_gpus else (0, 1)
