"""Tables are checked when they are written and read, in one piece, by folder, in batches and by row group."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from stickers import storage
from stickers.artifacts.ids import prompt_id
from stickers.artifacts.records import PROMPTS, Prompt
from stickers.artifacts.schema import table_of, without
from stickers.errors import UserError
from stickers.storage.tables import group_starts, is_parquet, read_batches

ROWS = [
    Prompt(prompt_id=prompt_id(t), text=t, bucket="action", source="test") for t in ("a cat waving", "a fox")
]


def test_tables_come_back_as_files_and_as_folders(root: str) -> None:
    first, second = (storage.join(root, "prompts", f"{i}.parquet") for i in (0, 1))
    storage.write_table(first, table_of(ROWS[:1], Prompt), PROMPTS)
    storage.write_table(second, table_of(ROWS[1:], Prompt), PROMPTS)
    table = storage.read_table(storage.join(root, "prompts"), PROMPTS)
    assert table["text"].to_pylist() == ["a cat waving", "a fox"]
    assert table.schema.equals(PROMPTS, check_metadata=True)
    assert storage.read_table(first, PROMPTS, columns=["bucket"]).column_names == ["bucket"]


def test_a_wrong_table_is_refused(root: str) -> None:
    uri = storage.join(root, "prompts.parquet")
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


def test_many_threads_read_groups_of_one_file(tmp_path: Path) -> None:
    """A browser asks for six clips of one part at once; pyarrow's reader, shared, would crash the process."""
    schema = pa.schema([pa.field("clip", pa.binary(), nullable=False)])
    rows = [bytes([number]) * 50_000 for number in range(200)]
    uri = str(tmp_path / "part.parquet")
    storage.write_table(uri, pa.table({"clip": rows}, schema=schema), schema, rows_per_group=4)
    groups = [number % 50 for number in range(2000)]
    with ThreadPoolExecutor(16) as pool:
        clips = pool.map(lambda group: storage.read_group(uri, group, ["clip"])["clip"][0].as_py(), groups)
        assert [clip[0] for clip in clips] == [4 * group for group in groups]


def test_a_written_table_is_read_in_batches_and_by_group(root: str) -> None:
    uri = storage.join(root, "prompts.parquet")
    rows = [
        Prompt(prompt_id=prompt_id(str(n)), text=str(n), bucket="action", source="test") for n in range(10)
    ]
    writer = storage.TableWriter(uri, PROMPTS)
    for start in (0, 6):
        writer.write(table_of(rows[start : start + 6], Prompt), rows_per_group=4)
    writer.close()
    assert is_parquet(uri) and group_starts(uri) == [0, 4, 6]
    texts = [batch["text"].to_pylist() for batch in read_batches(uri, PROMPTS, columns=["text"], rows=4)]
    assert [text for batch in texts for text in batch] == [str(n) for n in range(10)] and max(
        map(len, texts)
    ) <= 4
    assert storage.read_group(uri, 1, ["text"])["text"].to_pylist() == ["4", "5"]


def test_a_finished_table_is_written_again_group_by_group(root: str) -> None:
    uri = storage.join(root, "prompts.parquet")
    rows = [Prompt(prompt_id=str(n), text=str(n), bucket="action", source="test") for n in range(10)]
    storage.write_table(uri, table_of(rows, Prompt), PROMPTS, rows_per_group=4)
    assert storage.read_group(uri, 1, ["text"])["text"].to_pylist() == ["4", "5", "6", "7"]
    storage.rewrite_table(uri, lambda table: without(table, "text", ["5", "9", "none"]))
    assert group_starts(uri) == [0, 4, 7]
    assert storage.read_group(uri, 1, ["text"])["text"].to_pylist() == ["4", "6", "7"], "no stale handle"
    table = storage.read_table(uri, PROMPTS)
    assert table.num_rows == 8 and table.schema.equals(PROMPTS, check_metadata=True)
    storage.rewrite_table(uri, lambda table: without(table, "bucket", ["action"]))
    assert storage.read_table(uri, PROMPTS).num_rows == 0
    storage.rewrite_table(uri, lambda table: table)
    with pytest.raises(UserError, match="no readable Parquet table"):
        storage.rewrite_table(storage.join(root, "nowhere.parquet"), lambda table: table)


def test_a_rewriting_that_fails_leaves_the_table(tmp_path: Path) -> None:
    uri = str(tmp_path / "prompts.parquet")
    storage.write_table(uri, table_of(ROWS, Prompt), PROMPTS, rows_per_group=1)
    calls: list[int] = []

    def fail_second(table: pa.Table) -> pa.Table:
        calls.append(table.num_rows)
        return table.slice(0, 0) if len(calls) == 1 else 1 / 0  # type: ignore[return-value]

    with pytest.raises(ZeroDivisionError):
        storage.rewrite_table(uri, fail_second)
    assert storage.read_table(uri, PROMPTS).num_rows == 2 and list(tmp_path.iterdir()) == [Path(uri)]
