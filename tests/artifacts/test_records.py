"""Identities must not depend on the machine and must change with everything that changes the pixels."""

from dataclasses import asdict, fields

import pyarrow as pa
import pytest

from stickers.artifacts import records
from stickers.artifacts.ids import candidate_id, content_id, seed_from
from stickers.artifacts.records import Candidate, PlanRow, Prompt
from stickers.artifacts.schema import schema_of, table_of
from stickers.diffusion.sampling import SamplerSettings

BASE = {"sticker": "s", "prompt": "a cat waving", "checkpoint": "c", "seed": 7}


def test_ids_are_the_same_on_every_machine() -> None:
    assert content_id("prompt", "a fox") == "6eferm3w5rwfyq4tc95x52z5t8"
    assert seed_from("a", 1) == 3568618869044910
    assert len(candidate_id(**BASE, settings=asdict(SamplerSettings()))) == 26


@pytest.mark.parametrize("name", list(BASE))
def test_candidate_id_changes_with_every_part(name: str) -> None:
    settings = asdict(SamplerSettings())
    other = BASE | {name: 8 if name == "seed" else "other"}
    assert candidate_id(**BASE, settings=settings) != candidate_id(**other, settings=settings)


@pytest.mark.parametrize("name", [each.name for each in fields(SamplerSettings)])
def test_candidate_id_changes_with_every_sampler_setting(name: str) -> None:
    settings = asdict(SamplerSettings())
    value = "ddim" if name == "solver" else settings[name] + 1
    assert candidate_id(**BASE, settings=settings) != candidate_id(**BASE, settings=settings | {name: value})


def test_parts_cannot_run_into_each_other() -> None:
    assert content_id("ab", "c") != content_id("a", "bc")


def test_schemas_carry_units_and_a_candidate_has_every_plan_column() -> None:
    assert records.CLIPS.field("fps").metadata == {b"unit": b"frames per second"}
    plan, candidate = schema_of(PlanRow), schema_of(Candidate)
    assert all(candidate.field(column.name).equals(column) for column in plan)


def test_an_empty_table_still_has_its_columns() -> None:
    table = table_of([], Prompt)
    assert table.num_rows == 0 and table.schema.equals(records.PROMPTS)
    assert isinstance(table, pa.Table)
