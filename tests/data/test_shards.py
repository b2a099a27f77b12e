"""Shards: one tensor over several files, named by their content."""

from pathlib import Path

import pytest
import torch

from stickers.data.shards import Shards, blank_rows, write_shard


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """The rows 0 .. 9 of two columns in files of 3, 5 and 2 rows."""
    rows = torch.arange(20).view(10, 2)
    files = [str(tmp_path / write_shard(str(tmp_path), {"x": part})) for part in rows.split([3, 5, 2])]
    return Shards(files, [3, 5, 2], "x")


@pytest.mark.parametrize("index", [[4], [3, 7, 5], [0, 9, 2, 2]], ids=["one", "one file", "all files"])
def test_rows_come_in_the_requested_order_from_any_file(shards: Shards, index: list[int]) -> None:
    rows = torch.arange(20).view(10, 2)
    assert torch.equal(shards[torch.tensor(index)], rows[index])
    assert torch.equal(shards[index[0]], rows[index[0]])
    assert shards.shape() == (10, 2) and len(shards) == 10


def test_a_shard_is_written_once_under_its_contents_name(tmp_path: Path) -> None:
    first = write_shard(str(tmp_path), {"x": torch.zeros(2)})
    written = (tmp_path / first).stat().st_mtime_ns
    assert write_shard(str(tmp_path), {"x": torch.zeros(2)}) == first
    assert (tmp_path / first).stat().st_mtime_ns == written
    assert write_shard(str(tmp_path), {"x": torch.ones(2)}) != first
    assert len(list(tmp_path.iterdir())) == 2


def test_rows_are_blanked_under_the_same_name_and_the_others_stay(shards: Shards) -> None:
    assert int(shards[4].sum()) > 0
    blank_rows(shards.files[1], [(1, 2), (4, 1)])
    rows = torch.arange(20).view(10, 2)
    rows[[4, 5, 7]] = 0
    assert torch.equal(shards[torch.arange(10)], rows)
