"""Tables of videos: three formats with one meaning, and mistakes refused with one sentence."""

import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stickers.curation.video_tables import Unread, content_of, look, read_videos, with_column, write_videos
from stickers.toy.video_files import write_captions, write_clip

ROWS = [{"file": "a/x.mp4", "caption": "a cat, waving"}, {"file": "/far/y.mp4", "caption": ""}]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_go_through_every_format_and_move_with_their_folder(suffix: str, tmp_path: Path) -> None:
    rows = pa.Table.from_pylist([{"id": "1", **row} for row in ROWS])
    rows = with_column(rows, "file", [str(tmp_path / "old" / "a" / "x.mp4"), "/far/y.mp4"])
    write_videos(tmp_path / "old" / f"t{suffix}", rows)
    (tmp_path / "old").rename(tmp_path / "new")
    table = read_videos(tmp_path / "new" / f"t{suffix}")
    assert table.rows.column_names == ["id", "file", "caption"]
    assert table.files == [str(tmp_path / "new" / "a" / "x.mp4"), "/far/y.mp4"]
    assert table.names == ["a/x.mp4", "/far/y.mp4"] and table.captions == ["a cat, waving", ""]
    write_videos(tmp_path / f"elsewhere{suffix}", table.rows)
    assert read_videos(tmp_path / f"elsewhere{suffix}").files == table.files


def test_a_folder_is_read_as_a_collection(tmp_path: Path) -> None:
    rows = [write_clip(str(tmp_path), "keyword", index, 0) for index in (0, 1)]
    write_captions(str(tmp_path), rows[:1])
    table = read_videos(tmp_path)
    assert table.names == [row["file"] for row in rows] and table.captions == [rows[0]["caption"], ""]
    assert len({content_of(file) for file in table.files}) == 2


def test_json_lines_may_leave_columns_out(tmp_path: Path) -> None:
    lines = [{"file": "x", "caption": None}, {"file": "y", "caption": "b", "likes": 3}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    table = read_videos(tmp_path / "t.jsonl")
    assert table.rows["likes"].to_pylist() == [None, 3] and table.captions == ["", "b"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("t.csv", "file,text\nx,y\n", "t.csv lacks the column 'caption'; it needs file and caption"),
        ("t.csv", "file,caption\nx,y,z\n", "t.csv: row 1 has more fields than the header"),
        ("t.csv", "file,caption\n", "t.csv has no rows"),
        ("t.csv", "file,caption\nx,\n,y\n", "t.csv: row 2 names no file"),
        ("t.jsonl", '{"file": 1\n', "t.jsonl: line 1 is no JSON"),
        ("t.jsonl", "[1]\n", "t.jsonl: line 1 is no JSON object"),
        ("t.jsonl", '{"file": "x"}\n{"file": [1]}\n', "a column holds values of several kinds"),
        ("t.parquet", "nothing", "t.parquet is no readable Parquet table"),
        ("t.xlsx", "", "there is no table of videos"),
    ],
)
def test_invalid_tables_are_refused(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_videos(tmp_path / name)


def test_columns_that_a_format_cannot_hold_are_refused(tmp_path: Path) -> None:
    rows = pa.table({"file": ["/x"], "caption": [""], "raw": [b"\xff"]})
    with pytest.raises(ValueError, match="write these columns to a .parquet table"):
        write_videos(tmp_path / "t.csv", rows)
    write_videos(tmp_path / "t.parquet", rows)
    assert pq.read_table(tmp_path / "t.parquet")["raw"].to_pylist() == [b"\xff"]
    with pytest.raises(ValueError, match="a table is written as .csv, .jsonl, .parquet"):
        write_videos(tmp_path / "t.txt", rows)


def test_unreadable_videos_have_a_reason(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    for name in ("bad.mp4", "absent.mp4"):
        result = look(str(tmp_path / name), 32)
        assert isinstance(result, Unread) and name in result.reason
    assert content_of(str(tmp_path / "absent.mp4")) == Unread(
        str(tmp_path / "absent.mp4"), f"{tmp_path}/absent.mp4: No such file or directory"
    )


def test_members_of_tar_shards_are_videos_like_files(tmp_path: Path) -> None:
    file = tmp_path / write_clip(str(tmp_path), "keyword", 0, seed=0)["file"]
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(file, "a.mp4")
    member = f"{tmp_path}/shard.tar::a.mp4"
    assert content_of(member) == content_of(str(file))
    inside, plain = look(member, 32), look(str(file), 32)
    assert not isinstance(inside, Unread) and not isinstance(plain, Unread)
    assert (inside[0] == plain[0]).all()
    assert isinstance(content_of(f"{tmp_path}/shard.tar::b.mp4"), Unread)
