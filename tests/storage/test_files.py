"""Files come back, appear completely or not at all, and are cached where they are remote."""

import time
from pathlib import Path
from uuid import uuid4

import pytest

from stickers import storage
from stickers.storage.files import TEMPORARY, read_json, unfinished_path
from stickers.storage.places import locate


def test_bytes_and_json_come_back(root: str) -> None:
    runs = storage.resolve_runs(root)
    storage.write_bytes(storage.join(runs, "a", "b.bin"), b"\x00\x01")
    storage.write_bytes(storage.join(runs, "a", "b.bin"), b"\x02")
    storage.write_json(storage.join(runs, "a", "c.json"), {"x": [1, "é"]})
    assert storage.read_bytes(storage.join(runs, "a", "b.bin")) == b"\x02"
    assert storage.read_json(storage.join(runs, "a/c.json")) == {"x": [1, "é"]}
    assert storage.exists(storage.join(runs, "a")) and not storage.exists(storage.join(runs, "z"))
    assert storage.listing(storage.join(runs, "a")) == [
        storage.join(runs, "a", name) for name in ("b.bin", "c.json")
    ]
    assert storage.listing(storage.join(runs, "absent")) == []


def test_absent_files_are_named(root: str) -> None:
    for read in (storage.read_bytes, storage.read_json, storage.read_table, storage.local_folder):
        with pytest.raises(ValueError, match="nowhere"):
            read(storage.join(root, "nowhere"))


def test_folders_travel(root: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "x").write_text("1")
    uri = storage.join(root, "out")
    storage.upload_folder(tmp_path / "in", uri)
    assert (Path(storage.local_folder(uri)) / "deep" / "x").read_text() == "1"
    storage.write_bytes(storage.join(uri, "deep", "x"), b"22")
    assert (Path(storage.local_folder(uri)) / "deep" / "x").read_text() == "22"


def test_an_object_appears_completely_or_not_at_all(bucket: str) -> None:
    """Closing a stream creates the object, even when its writer fails: so no stream is opened before a check."""
    uri = storage.join(bucket, "x")
    with pytest.raises(TypeError):
        storage.write_bytes(uri, 5)  # type: ignore[arg-type]
    assert not storage.exists(uri)
    large = bytes(range(256)) * 2**17  # in several parts
    storage.write_bytes(uri, large)
    assert storage.read_bytes(uri) == large and storage.listing(bucket) == [uri]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    uri = str(tmp_path / "x")
    storage.write_bytes(uri, b"old")
    with pytest.raises(TypeError):
        storage.write_bytes(uri, 5)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [tmp_path / "x"] and storage.read_bytes(uri) == b"old"


def test_remove_takes_a_file_or_a_folder(tmp_path: Path) -> None:
    for name in ("a/x", "a/deep/y", "b"):
        storage.write_bytes(storage.join(str(tmp_path), name), b"1")
    storage.remove(storage.join(str(tmp_path), "a"))
    storage.remove(storage.join(str(tmp_path), "b"))
    assert list(tmp_path.iterdir()) == []


def test_a_single_file_is_fetched_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    uri = f"fsspec+memory://{uuid4().hex}/a.bin"
    storage.write_bytes(uri, b"one")
    first = storage.local_file(uri)
    assert Path(first).read_bytes() == b"one" and storage.local_file(uri) == first
    storage.write_bytes(uri, b"other")
    assert Path(storage.local_file(uri)).read_bytes() == b"other"
    with pytest.raises(ValueError, match="there is no file"):
        storage.local_file(f"{uri}.absent")


def test_unfinished_files_are_not_listed(root: str) -> None:
    storage.write_json(storage.join(root, "a.json"), {"x": 1})
    system, path = locate(storage.join(root, "b.json"))
    unfinished = unfinished_path(system, path)
    assert (TEMPORARY in unfinished) == (not root.startswith("s3"))
    if unfinished != path:
        system.open_output_stream(unfinished).close()
    assert storage.listing(root) == [storage.join(root, "a.json")]
    storage.write_bytes(storage.join(root, "c.json"), b"{")
    with pytest.raises(ValueError, match="c.json is no JSON"):
        read_json(storage.join(root, "c.json"))


def test_all_files_below_a_folder_are_listed_with_their_sizes(root: str) -> None:
    uri = storage.join(root, "a")
    for name, size in (("x", 3), ("deep/y", 5), (f"deep/{TEMPORARY}1-z", 7)):
        storage.write_bytes(storage.join(uri, name), b"0" * size)
    rows = storage.files_below(uri)
    assert {(row.uri, row.num_bytes) for row in rows} == {
        (storage.join(uri, "x"), 3),
        (storage.join(uri, "deep", "y"), 5),
        (storage.join(uri, "deep", f"{TEMPORARY}1-z"), 7),
    }
    assert rows == sorted(rows, key=lambda row: row.uri)
    if not root.startswith("fsspec"):  # in memory there are no times
        assert all(row.written_at and abs(row.written_at - time.time()) < 3600 for row in rows)
    assert storage.files_below(storage.join(root, "absent")) == []
