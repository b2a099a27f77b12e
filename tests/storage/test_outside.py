"""Tables of other people: what the formats have in common, and what is never taken."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stickers.errors import UserError
from stickers.storage.outside import SUFFIXES, OutsideRow, open_table, read_json
from tests.support.hostile import PICKLED, pickled_table

ROOT = Path(__file__).parents[2]
TEXT = pa.string()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_formats_give_the_same_rows(tmp_path: Path, suffix: str) -> None:
    rows = [{"file": "a é.mp4", "caption": ""}, {"file": "b.mp4", "caption": "b"}]
    path = write(tmp_path / f"t{suffix}", rows)
    table = open_table(path, needed=("file",))
    assert list(table.rows()) == [OutsideRow(number, row, 2) for number, row in enumerate(rows, 1)]
    assert table.to_arrow().to_pylist() == rows
    narrow = next(table.rows(["caption", "absent"])).values
    assert narrow == ({"caption": ""} if suffix == ".parquet" else rows[0])
    with pytest.raises(UserError, match=r"lacks the column 'likes'; it needs file, caption and likes"):
        list(open_table(path, needed=("file", "caption", "likes")).rows())


def test_rows_of_a_folder_of_parquet_files_are_counted_through(tmp_path: Path) -> None:
    folder = tmp_path / "t.parquet"
    folder.mkdir()
    with pytest.raises(UserError, match="there is no Parquet file in"):
        open_table(folder)
    for name in ("b", "a"):
        write(folder / f"{name}.parquet", [{"x": name}])
    assert [(row.number, row.values["x"]) for row in open_table(folder).rows()] == [(1, "a"), (2, "b")]
    write(folder / "c.parquet", [{"x": 1}])
    with pytest.raises(UserError, match="its files differ in their columns"):
        open_table(folder).to_arrow()


def test_short_and_long_rows_of_csv_tell_how_many_fields_they_have(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1\n\n1,2,3\n")
    rows = list(open_table(tmp_path / "t.csv").rows())
    assert rows == [OutsideRow(1, {"a": "1", "b": ""}, 1), OutsideRow(2, {"a": "1", "b": "2"}, 3)]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("t.xlsx", b"", "is no table that is taken; accepted: .csv, .jsonl, .parquet"),
        ("t.csv", b"a\n\xff\n", "is no CSV table in UTF-8"),
        ("t.jsonl", b'{"a": 1}\n"\xff"\n', "is no text in UTF-8"),
        ("t.jsonl", b'{"a": 1}\n[1]\n', "line 2 is no JSON object"),
        ("t.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("t.parquet", b"PAR1 no", "is no readable Parquet table"),
    ],
)
def test_what_is_no_table_is_one_sentence(tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=sentence) as error:
        open_table(tmp_path / name).to_arrow()
    assert str(error.value).startswith(str(tmp_path / name)) and "\n" not in str(error.value)


def test_a_torn_parquet_file_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [{"a": "x" * 1000} for _ in range(100)])
    data = bytearray(path.read_bytes())
    data[4:40] = b"\0" * 36
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="t.parquet is no readable Parquet table"):
        list(open_table(path).rows())


def test_values_that_python_cannot_hold_are_one_sentence(tmp_path: Path) -> None:
    text = pa.array([b"\xff"]).view(TEXT)  # not UTF-8
    pq.write_table(pa.table({"caption": text}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match="t.parquet holds values that cannot be read"):
        list(open_table(tmp_path / "t.parquet").rows())


def test_whole_json_files(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text("[1]", encoding="utf-8-sig")
    assert read_json(str(path)) == [1]
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="t.json is no JSON"):
        read_json(str(path))


#: with Ray Data, which teaches pyarrow to unpickle, and without it, where the column looks like bytes
READ = """
import sys, {module}
from stickers import storage
from stickers.errors import UserError
from stickers.storage.outside import open_table
for path in sys.argv[1:]:
    for read in (lambda: list(open_table(path).rows()), lambda: storage.read_table(path).to_pylist()):
        try:
            read()
        except UserError as error:
            print(error)
"""


@pytest.mark.parametrize("module", ["ray.data", "pyarrow"])
def test_pickled_columns_are_refused_unread(tmp_path: Path, module: str) -> None:
    marker, facts = tmp_path / "marker", {"file": "a.mp4"}
    paths = [
        pickled_table(tmp_path / "flat.parquet", facts, marker),
        pickled_table(tmp_path / "nested.parquet", facts, marker, nested=True),
    ]
    command = [sys.executable, "-c", READ.format(module=module), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    sentences = [f"{path}: column 'extra' is of the type {PICKLED}; accepted" for path in paths for _ in "12"]
    for line, sentence in zip(done.stdout.splitlines(), sentences, strict=True):
        assert line.startswith(sentence)
    assert not marker.exists()
