"""Records are their tables' columns, with units."""

from dataclasses import fields

import pytest

from stickers.artifacts import records
from stickers.artifacts.records import Candidate, PlanRow, Prompt
from stickers.artifacts.schema import schema_of, table_of


def test_schemas_carry_units_and_a_candidate_has_every_plan_column() -> None:
    assert records.CLIPS.field("fps").metadata == {b"unit": b"frames per second"}
    plan, candidate = schema_of(PlanRow), schema_of(Candidate)
    assert all(candidate.field(column.name).equals(column) for column in plan)


@pytest.mark.parametrize(
    ("schema", "record"),
    [
        (records.CLIPS, records.Clip),
        (records.PROMPTS, records.Prompt),
        (records.STICKERS, records.Sticker),
        (records.VOTES, records.Vote),
        (records.KEPT, records.Kept),
        (records.PREFERENCES, records.Preference),
    ],
)
def test_a_schema_has_the_fields_of_its_record_in_their_order(schema, record) -> None:  # type: ignore[no-untyped-def]
    assert schema.names == [field.name for field in fields(record)]


def test_an_empty_table_still_has_its_columns() -> None:
    table = table_of([], Prompt)
    assert table.num_rows == 0 and table.schema.equals(records.PROMPTS)
