"""What a crash can cost is bounded, and what went away with a node is told from what failed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors import blocks
from actors.blocks import IN_VAIN, BoundUnwritten, Unwritten, write_durable
from actors.cluster import connect
from stickers import storage
from tests.support.processes import wait_for

ROWS, BLOCK = 96, 8
#: the most rows that may be made and not written
BOUND = 3 * BLOCK


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connect(num_cpus=4):
        yield


def num_lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def num_rows(path: Path) -> int:
    """Rows of a Parquet file; none while it is being written."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowInvalid:
        return 0


class Maker:
    """Makes rows at once, and says so in a file."""

    def __init__(self, folder: str) -> None:
        self.ledger = Path(folder, "made")

    def __call__(self, table: pa.Table) -> pa.Table:
        with self.ledger.open("a") as ledger:
            ledger.writelines(f"{name}\n" for name in table["name"].to_pylist())
        return table


class Holder:
    """Lets a block through once no more rows will be made before it, and notes how many are not written then.

    No more will be made once the maker has been held back since the block came, once all are made, or once so many are
    made that nothing can be holding it back.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def unwritten(self) -> int:
        made_path = num_lines(
            self.folder / "made"
        )  # first: what is written meanwhile may only lessen the difference
        return made_path - sum(map(num_rows, self.folder.glob("out/rows/*.parquet")))

    def __call__(self, table: pa.Table) -> pa.Table:
        made_path, refusals = self.folder / "made", self.folder / "refusals"
        refused = num_lines(refusals)
        wait_for(
            lambda: (
                num_lines(refusals) > refused or num_lines(made_path) == ROWS or self.unwritten() > 2 * BOUND
            )
        )
        with (self.folder / "lags").open("a") as lags:
            lags.write(f"{self.unwritten()}\n")
        return table


@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize("bounded", [True, False])
def test_what_is_made_and_not_written_is_bounded(
    bounded: bool, cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    class Noting(BoundUnwritten):
        """Notes in a file each time that it holds the maker back."""

        def can_add_input(self, op: Any) -> bool:
            allowed = super().can_add_input(op)
            if not allowed:
                with (tmp_path / "refusals").open("a") as refusals:
                    refusals.write(f"{op.name}\n")
            return allowed

    monkeypatch.setattr(blocks, "BoundUnwritten", Noting)
    names = [f"row {number:03d}" for number in range(ROWS)]
    source, target = str(tmp_path / "rows.parquet"), str(tmp_path / "out")
    storage.write_table(source, pa.table({"name": names}), pa.schema([pa.field("name", pa.string())]))

    def make() -> "ray.data.Dataset":
        rows = ray.data.read_parquet(source).repartition(target_num_rows_per_block=BLOCK)
        one = ray.data.ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=1)
        common = {
            "batch_format": "pyarrow",
            "compute": one,
            "num_cpus": 1,
            "fn_constructor_args": (str(tmp_path),),
        }
        rows = rows.map_batches(Maker, batch_size=BLOCK, **common)
        return rows.map_batches(Holder, batch_size=None, **common)

    write_durable(make, target, "name", Unwritten("Maker", BOUND) if bounded else None)
    written = pq.read_table(Path(target, "rows"))["name"].to_pylist()
    assert sorted(written) == names == sorted((tmp_path / "made").read_text().splitlines())
    largest = max(map(int, (tmp_path / "lags").read_text().splitlines()))
    # one more block while nothing at all would run
    assert largest <= BOUND + BLOCK if bounded else largest > 2 * BOUND, largest


@pytest.mark.ray
def test_what_vanished_is_tried_again_and_what_fails_is_not(cluster: None, tmp_path: Path) -> None:
    import ray
    from ray.exceptions import RayError, RayTaskError, WorkerCrashedError

    tries = []

    def broken(error: Exception) -> "ray.data.Dataset":
        tries.append(error)
        raise error

    with pytest.raises(WorkerCrashedError):
        write_durable(lambda: broken(WorkerCrashedError()), str(tmp_path / "a"), "name")
    assert len(tries) == IN_VAIN, "nothing was written in between, so it ends"
    tries.clear()
    ours = RayTaskError("teacher", "a trace", ValueError("a fault of ours"))
    with pytest.raises(RayError, match="a trace"):
        write_durable(lambda: broken(ours), str(tmp_path / "b"), "name")
    assert len(tries) == 1
