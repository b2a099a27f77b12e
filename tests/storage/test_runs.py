"""The runs folder: finished artifacts, the current ones, and the remains of a crash."""

from pathlib import Path

import pyarrow as pa
import pytest

from stickers import storage
from stickers.storage.runs import current, set_current


def test_a_record_is_written_last_and_once(root: str) -> None:
    with pytest.raises(ValueError, match="finished are: none"):
        storage.find_record(root, "teachers")
    storage.write_bytes(storage.join(root, "teachers", "slow-1", "checkpoint", "w"), b"w")
    assert storage.find_records(root, "teachers") == []
    storage.write_record(storage.join(root, "teachers", "slow-1"), {"name": "slow"})
    storage.write_record(storage.join(root, "teachers", "fast-2"), {"name": "fast"})
    assert storage.find_record(root, "teachers").folder == "fast-2"
    assert storage.find_record(root, "teachers", "slow").record["name"] == "slow"
    with pytest.raises(ValueError, match="finished are: slow-1, fast-2"):
        storage.find_record(root, "teachers", "slo")
    with pytest.raises(ValueError, match="never overwritten"):
        storage.write_record(storage.join(root, "teachers", "slow-1"), {"name": "slow"})


def test_the_current_artifact_is_the_one_set_last_not_the_one_finished_last(root: str) -> None:
    for folder in ("tiny-1", "tiny-2", "full-1"):
        storage.write_record(storage.join(root, "plans", folder), {"plan": folder})
        set_current(root, "plans", folder.split("-")[0], folder)
    storage.set_current(root, "plans", "tiny", "tiny-1")
    tiny, full, smoke = (current(root, "plans", name) for name in ("tiny", "full", "smoke"))
    assert tiny and tiny.record["plan"] == "tiny-1"
    assert full and full.folder == "full-1" and smoke is None
    assert len(storage.find_records(root, "plans")) == 3


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


def test_a_bucket_that_cannot_be_used_is_one_sentence(bucket: str) -> None:
    with pytest.raises(
        ValueError, match=r"s3://no-such-bucket/runs cannot be created or written: .*NO_SUCH_BUCKET"
    ):
        storage.resolve_runs("s3://no-such-bucket/runs")
    for uri in ("s3://key:secret@tests/runs", "s3://tests/runs?region=eu-central-1"):
        with pytest.raises(ValueError, match="without settings or credentials") as refused:
            storage.resolve_runs(uri)
        assert "secret" not in str(refused.value)
    assert storage.resolve_runs(f"{bucket}/runs/") == f"{bucket}/runs"


def test_the_half_written_files_of_a_crash_are_deleted_and_no_others(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"]})

    def file(name: str, *, torn: bool = False) -> str:
        path = str(tmp_path / name)
        storage.write_table(path, table, table.schema)
        if torn:
            Path(path).write_bytes(Path(path).read_bytes()[:-3])
        return path

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
    deleted = storage.discard_torn(str(tmp_path))
    assert sorted(deleted) == sorted(wrong) and not any(Path(path).exists() for path in wrong)
    assert deleted.index(wrong[1]) < deleted.index(wrong[2]), "no checkpoint vouches for deleted rows"
    assert len(list(tmp_path.rglob("*.parquet"))) == 7 and storage.discard_torn(str(tmp_path)) == []


def test_names_tell_what_they_stand_for(root: str) -> None:
    runs = storage.resolve_runs(root)
    assert storage.currents(runs, "kept") == {}
    for name, folder in (("cats", "a"), ("dogs", "b"), ("cats", "c")):
        storage.set_current(runs, "kept", name, folder)
    assert storage.currents(runs, "kept") == {"cats": "c", "dogs": "b"}
