"""What a crash can cost is bounded, and what went away with a node is told from what failed."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actors.blocks import IN_VAIN, Unwritten, write_durable
from actors.cluster import connect
from stickers import storage

ROWS, BLOCK = 160, 8


class Maker:
    """Makes rows at once, and says so in a file."""

    def __init__(self, book: str) -> None:
        self.book = book

    def __call__(self, table: pa.Table) -> pa.Table:
        with open(self.book, "a") as book:
            book.writelines(f"{name}\n" for name in table["name"].to_pylist())
        return table


class Slow:
    """Looks at rows, slower than they are made, and notes how many of them were not written then."""

    def __init__(self, book: str, out: str, lags: str) -> None:
        self.book, self.out, self.lags = book, out, lags

    def __call__(self, table: pa.Table) -> pa.Table:
        time.sleep(0.1)
        made = len(Path(self.book).read_text().splitlines())
        written = sum(
            pq.ParquetFile(each).metadata.num_rows for each in Path(self.out, "rows").glob("*.parquet")
        )
        with open(self.lags, "a") as lags:
            lags.write(f"{made - written}\n")
        return table


@pytest.mark.ray
def test_what_is_made_and_not_written_is_bounded(tmp_path: Path) -> None:
    import ray

    names = [f"row {number:03d}" for number in range(ROWS)]
    storage.write_table(
        str(tmp_path / "rows.parquet"), pa.table({"name": names}), pa.schema([pa.field("name", pa.string())])
    )
    book, lags = str(tmp_path / "made"), tmp_path / "lags"

    def make(out: str) -> "ray.data.Dataset":
        rows = ray.data.read_parquet(str(tmp_path / "rows.parquet")).repartition(
            target_num_rows_per_block=BLOCK
        )
        one = ray.data.ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=1)
        common = {"batch_format": "pyarrow", "compute": one, "num_cpus": 1}
        rows = rows.map_batches(Maker, fn_constructor_args=(book,), batch_size=BLOCK, **common)
        return rows.map_batches(Slow, fn_constructor_args=(book, out, str(lags)), batch_size=None, **common)

    most = 3 * BLOCK
    with connect(num_cpus=4):
        for bound in (Unwritten("Maker", most), None):
            out = str(tmp_path / f"out {bound is None}")
            Path(book).write_text("")
            lags.write_text("")
            write_durable(lambda out=out: make(out), out, "name", bound)
            there = pq.read_table(Path(out, "rows"))["name"].to_pylist()
            assert sorted(there) == names == sorted(Path(book).read_text().splitlines())
            worst = max(int(line) for line in lags.read_text().splitlines())
            # one more block while nothing at all would run
            assert worst <= most + BLOCK if bound else worst > 2 * most, worst


@pytest.mark.ray
def test_what_vanished_is_tried_again_and_what_fails_is_not(tmp_path: Path) -> None:
    import ray
    from ray.exceptions import RayError, RayTaskError, WorkerCrashedError

    tries = []

    def broken(error: Exception) -> "ray.data.Dataset":
        tries.append(error)
        raise error

    with connect(num_cpus=4):
        with pytest.raises(WorkerCrashedError):
            write_durable(lambda: broken(WorkerCrashedError()), str(tmp_path / "a"), "name")
        assert len(tries) == IN_VAIN, "nothing was written in between, so it ends"
        tries.clear()
        ours = RayTaskError("teacher", "a trace", ValueError("a fault of ours"))
        with pytest.raises(RayError, match="a trace"):
            write_durable(lambda: broken(ours), str(tmp_path / "b"), "name")
        assert len(tries) == 1
