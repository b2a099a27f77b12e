"""A table outlives the version that wrote it: what an older one lacks has a default, what a newer one adds is kept."""

# ruff: noqa: RUF009  (every column is a dataclass field; the checker cannot see through the helper)
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stickers import storage
from stickers.artifacts import records
from stickers.artifacts.records import PROMPTS, Prompt
from stickers.artifacts.schema import NAME, VERSION, column, measured_later, records_of, schema_of, table_of
from stickers.errors import UserError

PROMPT = Prompt(prompt_id="p", text="a fox", bucket="action", source="test")


@dataclass(frozen=True, kw_only=True)
class Newer:
    """`Prompt` as a later version may have it: four columns were added, each with a default."""

    prompt_id: str = column(pa.string())
    text: str = column(pa.string())
    bucket: str = column(pa.string())
    source: str = column(pa.string())
    language: str = column(pa.string(), default="en")
    tags: list[str] = column(pa.list_(pa.string()), default_factory=list)
    weight: float = column(pa.float64(), default=1.0)
    length: int | None = measured_later(pa.int32(), "letters")


def newer(**values: object) -> Newer:
    return Newer(prompt_id="p", text="a fox", bucket="action", source="test", **values)  # type: ignore[arg-type]


def test_an_older_table_takes_the_defaults(tmp_path: Path) -> None:
    path = str(tmp_path / "prompts.parquet")
    storage.write_table(path, table_of([PROMPT], Prompt), PROMPTS)
    table = storage.read_table(path, schema_of(Newer))
    assert records_of(table, Newer) == [newer()]
    assert table.schema.equals(schema_of(Newer))
    assert storage.read_table(path, schema_of(Newer), columns=["language"]).to_pylist() == [
        {"language": "en"}
    ]
    (batch,) = storage.read_batches(path, schema_of(Newer), columns=["tags"], rows=8)
    assert batch.to_pylist() == [{"tags": []}]


def test_a_newer_table_keeps_what_this_version_does_not_know(tmp_path: Path) -> None:
    first, second = (str(tmp_path / "prompts" / f"{number}.parquet") for number in (0, 1))
    storage.write_table(first, table_of([newer(language="fr", tags=["a"])], Newer), schema_of(Newer))
    storage.write_table(second, table_of([PROMPT], Prompt), PROMPTS)
    table = storage.read_table(str(tmp_path / "prompts"), PROMPTS)
    assert records_of(table, Prompt) == [PROMPT, PROMPT]
    assert table.column_names == [*PROMPTS.names, "language", "tags", "weight", "length"]
    again = str(tmp_path / "again.parquet")
    storage.write_table(again, table, PROMPTS)
    assert records_of(storage.read_table(again, schema_of(Newer)), Newer) == [
        newer(language="fr", tags=["a"]),
        newer(),
    ]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "prompts.parquet")
    table = table_of([PROMPT], Prompt)
    for wrong, sentence in (
        (table.drop_columns(["text"]), r"prompts.parquet: columns \['text'\] are missing"),
        (table.set_column(1, "text", pa.array([1])), "column text is int64, accepted is string"),
        (table.append_column("text", table["text"]), r"columns \[\] are missing and \['text'\] stand twice"),
        (
            table.set_column(1, "text", pa.array([None], pa.string())),
            "text has 1 empty values, none are accepted",
        ),
        (
            table.replace_schema_metadata({NAME: b"Prompt", VERSION: b"2"}),
            "is a Prompt table of version 2, written by a newer version of this program; .* up to 1",
        ),
    ):
        pq.write_table(wrong, path)
        with pytest.raises(UserError, match=sentence):
            storage.read_table(path, PROMPTS)
    with pytest.raises(UserError, match="Prompt records has no column text"):
        records_of(table.drop_columns(["text"]), Prompt)


def test_an_unknown_column_without_a_default_is_empty_where_it_is_absent(tmp_path: Path) -> None:
    for name, table in (
        ("a", table_of([PROMPT], Prompt)),
        ("b", table_of([PROMPT], Prompt).append_column(pa.field("added", pa.int64(), nullable=False), [[7]])),
    ):
        storage.write_table(str(tmp_path / f"{name}.parquet"), table, PROMPTS)
    assert storage.read_table(str(tmp_path), PROMPTS)["added"].to_pylist() == [None, 7]


def test_unknown_columns_of_one_set_that_differ_in_type_are_refused(tmp_path: Path) -> None:
    for number, value in enumerate((1, "one")):
        table = table_of([PROMPT], Prompt).append_column("added", pa.array([value]))
        storage.write_table(str(tmp_path / f"{number}.parquet"), table, PROMPTS)
    with pytest.raises(
        UserError, match=r"tables of one set differ: .*added has incompatible types: int64 vs string"
    ):
        storage.read_table(str(tmp_path), PROMPTS)


def test_every_schema_says_its_name_version_and_defaults() -> None:
    for record in (records.Clip, records.Candidate, records.Vote, records.Kept, records.Preference):
        metadata = schema_of(record).metadata
        assert metadata == {NAME: record.__name__.encode(), VERSION: b"1"}
    assert records.CANDIDATES.field("device").metadata[b"default"] == b'"cpu"'
    assert records.CANDIDATES.field("moving").metadata[b"default"] == b"null"
    assert records.VOTES.field("flagged").metadata == {b"unit": b"candidate ids", b"default": b"[]"}
