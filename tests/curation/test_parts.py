"""A store of results: parts add up, keys select, and a second run damages nothing."""

from pathlib import Path

import pyarrow as pa

from stickers.curation.parts import KEY, Parts

SCHEMA = pa.schema([(KEY, pa.string()), ("length", pa.int64())])


def test_parts_add_up_and_keys_select(tmp_path: Path) -> None:
    parts = Parts(str(tmp_path / "parts"), SCHEMA)
    assert parts.keys() == set() and parts.read(["a"]) == {} and parts.table(["a"]).num_rows == 0
    parts.add([])
    assert not (tmp_path / "parts").exists()
    parts.add([{KEY: "a", "length": 1}, {KEY: "b", "length": 2}])
    parts.add([{KEY: "c", "length": 3}])
    assert parts.keys() == {"a", "b", "c"}
    assert parts.read(["a", "c", "absent"]) == {"a": {KEY: "a", "length": 1}, "c": {KEY: "c", "length": 3}}


def test_two_runs_that_add_one_row_do_not_disturb_each_other(tmp_path: Path) -> None:
    first, second = (Parts(str(tmp_path / "parts"), SCHEMA) for _ in range(2))
    first.add([{KEY: "a", "length": 1}])
    second.add([{KEY: "a", "length": 1}, {KEY: "b", "length": 2}])
    assert first.table(["a"]).num_rows == 2 and first.read(["a"]) == {"a": {KEY: "a", "length": 1}}
    first.add([{KEY: "a", "length": 1}])
    assert len(list((tmp_path / "parts").iterdir())) == 2, "one name for one set of keys"
