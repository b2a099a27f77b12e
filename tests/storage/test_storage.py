"""Every test of reading and writing runs in a local folder, in memory by fsspec, and in a bucket of an S3 server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest

from stickers import storage
from stickers.artifacts.ids import prompt_id
from stickers.artifacts.records import PROMPTS, Prompt
from stickers.artifacts.schema import table_of

ROWS = [
    Prompt(prompt_id=prompt_id(t), text=t, bucket="action", source="test") for t in ("a cat waving", "a fox")
]


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/with space/runs"
    return str(tmp_path / "with space") if request.param == "local" else f"fsspec+memory://{uuid4().hex}/runs"


def test_bytes_and_json_come_back(place: str) -> None:
    runs = storage.resolve_runs(place)
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


def test_absent_files_are_named(place: str) -> None:
    for read in (storage.read_bytes, storage.read_json, storage.read_table, storage.local_folder):
        with pytest.raises(ValueError, match="nowhere"):
            read(storage.join(place, "nowhere"))


def test_tables_come_back_whole_and_by_folder(place: str) -> None:
    first, second = (storage.join(place, "prompts", f"{i}.parquet") for i in (0, 1))
    storage.write_table(first, table_of(ROWS[:1], Prompt), PROMPTS)
    storage.write_table(second, table_of(ROWS[1:], Prompt), PROMPTS)
    table = storage.read_table(storage.join(place, "prompts"), PROMPTS)
    assert table["text"].to_pylist() == ["a cat waving", "a fox"]
    assert table.schema.equals(PROMPTS, check_metadata=True)
    assert storage.read_table(first, PROMPTS, columns=["bucket"]).column_names == ["bucket"]


def test_a_wrong_table_is_refused(place: str) -> None:
    uri = storage.join(place, "prompts.parquet")
    table = table_of(ROWS, Prompt)
    with pytest.raises(ValueError, match=r"\['bucket'\] are missing"):
        storage.write_table(uri, table.drop_columns(["bucket"]), PROMPTS)
    with pytest.raises(ValueError, match="column bucket is int64"):
        storage.write_table(uri, table.set_column(2, "bucket", pa.array([1, 2])), PROMPTS)
    with pytest.raises(ValueError, match="column bucket has 1 empty"):
        storage.write_table(uri, table.set_column(2, "bucket", pa.array(["action", None])), PROMPTS)
    storage.write_bytes(uri, b"PAR1 not really")
    with pytest.raises(ValueError, match="no readable Parquet"):
        storage.read_table(uri)


def test_a_record_is_written_last_and_once(place: str) -> None:
    with pytest.raises(ValueError, match="finished are: none"):
        storage.find_record(place, "teachers")
    storage.write_bytes(storage.join(place, "teachers", "slow-1", "checkpoint", "w"), b"w")
    assert storage.find_records(place, "teachers") == []
    storage.write_record(storage.join(place, "teachers", "slow-1"), {"name": "slow"})
    storage.write_record(storage.join(place, "teachers", "fast-2"), {"name": "fast"})
    assert storage.find_record(place, "teachers").folder == "fast-2"
    assert storage.find_record(place, "teachers", "slow").record["name"] == "slow"
    with pytest.raises(ValueError, match="finished are: slow-1, fast-2"):
        storage.find_record(place, "teachers", "slo")
    with pytest.raises(ValueError, match="never overwritten"):
        storage.write_record(storage.join(place, "teachers", "slow-1"), {"name": "slow"})


def test_what_a_name_stands_for_is_what_was_set_last_not_what_was_made_last(place: str) -> None:
    for folder in ("tiny-1", "tiny-2", "full-1"):
        storage.write_record(storage.join(place, "plans", folder), {"plan": folder})
        storage.set_current(place, "plans", folder.split("-")[0], folder)
    storage.set_current(place, "plans", "tiny", "tiny-1")
    found = {name: storage.current(place, "plans", name) for name in ("tiny", "full", "smoke")}
    assert found["tiny"] and found["tiny"].record["plan"] == "tiny-1"
    assert found["full"] and found["full"].folder == "full-1" and found["smoke"] is None
    assert len(storage.find_records(place, "plans")) == 3


def test_folders_travel(place: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "x").write_text("1")
    uri = storage.join(place, "out")
    storage.upload_folder(tmp_path / "in", uri)
    assert (Path(storage.local_folder(uri)) / "deep" / "x").read_text() == "1"
    storage.write_bytes(storage.join(uri, "deep", "x"), b"22")
    assert (Path(storage.local_folder(uri)) / "deep" / "x").read_text() == "22"


def test_runs_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage.resolve_runs("some/runs") == str(tmp_path / "some" / "runs")
    assert storage.resolve_runs(f"file://{tmp_path}/other/") == str(tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_unusable_runs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be created or written"):
        storage.resolve_runs(tmp_path / "file" / "runs")
    with pytest.raises(ValueError, match="cannot be created or written"):
        storage.resolve_runs("nosuchscheme://bucket/runs")
    inside = tmp_path / "ray" / "session_2026-01-01" / "runtime_resources" / "working_dir_files" / "runs"
    with pytest.raises(ValueError, match="vanish with the job"):
        storage.resolve_runs(inside)
    with pytest.raises(ValueError, match="must not be empty"):
        storage.resolve_runs("")


def test_a_bucket_that_cannot_be_used_is_one_sentence(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match=r"s3://no-such-bucket/runs cannot be created or written: .*NO_SUCH_BUCKET"
    ):
        storage.resolve_runs("s3://no-such-bucket/runs")
    for place in ("s3://key:secret@tests/runs", "s3://tests/runs?region=eu-central-1"):
        with pytest.raises(ValueError, match="without settings or credentials") as refused:
            storage.resolve_runs(place)
        assert "secret" not in str(refused.value)
    assert storage.resolve_runs(f"{bucket}/runs/") == f"{bucket}/runs"


def test_an_object_appears_whole_or_not_at_all(bucket: str) -> None:
    """Closing a stream is what makes an object, also when its writer fails: nothing may be opened before."""
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


def test_remove_takes_a_file_or_a_whole_folder(tmp_path: Path) -> None:
    for name in ("a/x", "a/deep/y", "b"):
        storage.write_bytes(storage.join(str(tmp_path), name), b"1")
    storage.remove(storage.join(str(tmp_path), "a"))
    storage.remove(storage.join(str(tmp_path), "b"))
    assert list(tmp_path.iterdir()) == []


def test_a_single_file_is_fetched_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    place = f"fsspec+memory://{uuid4().hex}/a.bin"
    storage.write_bytes(place, b"one")
    first = storage.local_file(place)
    assert Path(first).read_bytes() == b"one" and storage.local_file(place) == first
    storage.write_bytes(place, b"other")
    assert Path(storage.local_file(place)).read_bytes() == b"other"
    with pytest.raises(ValueError, match="there is no file"):
        storage.local_file(f"{place}.absent")


@pytest.mark.parametrize(
    ("folder", "relative", "wanted"),
    [
        ("/runs/latents/x", "../../cache/y.st", "/runs/cache/y.st"),
        ("s3://bucket/runs/latents/x", "../../cache/y.st", "s3://bucket/runs/cache/y.st"),
        (".", "a/b", "a/b"),
    ],
)
def test_relative_places_are_found_from_a_folder(folder: str, relative: str, wanted: str) -> None:
    assert storage.below(folder, relative) == wanted


def test_many_threads_read_groups_of_one_file(tmp_path: Path) -> None:
    """A browser asks for six clips of one part at once; pyarrow's reader, shared, would crash the process."""
    schema = pa.schema([pa.field("clip", pa.binary(), nullable=False)])
    rows = [bytes([number]) * 50_000 for number in range(200)]
    uri = str(tmp_path / "part.parquet")
    storage.write_table(uri, pa.table({"clip": rows}, schema=schema), schema, rows_per_group=4)
    wanted = [number % 50 for number in range(2000)]
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda group: storage.read_group(uri, group, ["clip"])["clip"][0].as_py(), wanted)
        assert [each[0] for each in found] == [4 * group for group in wanted]


def test_what_a_crash_leaves_half_done_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"]})

    def file(name: str, *, torn: bool = False) -> str:
        place = str(tmp_path / name)
        storage.write_table(place, table, table.schema)
        if torn:
            Path(place).write_bytes(Path(place).read_bytes()[:-3])
        return place

    file("rows/w_whole-0.parquet"), file("checkpoint/w_whole.parquet")
    file("rows/w_new-0.parquet"), file("checkpoint/w_new.pending.parquet")  # Ray Data's own to clean
    wrong = [
        file("checkpoint/w_gone.parquet"),
        file("checkpoint/w_torn.parquet"),
        file("rows/w_torn-0.parquet", torn=True),
        file("checkpoint/w_half.parquet", torn=True),
        file("checkpoint/w_twin.pending.parquet"),
    ]
    file("rows/w_half-0.parquet")
    file("rows/w_twin-0.parquet"), file("checkpoint/w_twin.parquet")
    found = storage.discard_torn(str(tmp_path))
    assert sorted(found) == sorted(wrong) and not any(Path(each).exists() for each in wrong)
    assert found.index(wrong[1]) < found.index(wrong[2]), "nothing vouches for rows that are gone"
    assert len(list(tmp_path.rglob("*.parquet"))) == 7 and storage.discard_torn(str(tmp_path)) == []
