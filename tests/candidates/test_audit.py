"""An audit finds every planted fault, names the candidate, and finds nothing in what is whole."""

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stickers import storage
from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import CANDIDATES
from stickers.candidates.archive import INDEX, INDEXED, Candidates
from stickers.candidates.audit import Fault, audit_index, audit_part, parts_of
from stickers.candidates.plan import Plan, planned_row, regeneration
from tests.support.archives import PROMPTS, STICKERS, TEACHERS, audit_plan, write_finished


def rewrite(uri: str, table: pa.Table) -> None:
    """Another table in the place of one, its rows grouped as that one's were."""
    starts = storage.group_starts(uri)
    with pq.ParquetWriter(uri, CANDIDATES if "clip" in table.column_names else INDEXED) as writer:
        for start, end in pairwise([*starts, table.num_rows]):
            writer.write_table(table.slice(start, end - start).cast(writer.schema))


def changed(table: pa.Table, row: int, column: str, value: object) -> pa.Table:
    rows = table.to_pylist()
    rows[row][column] = value
    return pa.Table.from_pylist(rows, schema=table.schema)


def kinds(uri: str) -> set[tuple[str, str]]:
    return {(fault.candidate_id, fault.kind) for fault in audit_plan(uri)}


def test_faults_of_the_index_are_named(finished: tuple[Plan, str]) -> None:
    _, uri = finished
    index = storage.join(uri, INDEX)
    table = storage.read_table(index, INDEXED)
    name = table["candidate_id"][2].as_py()
    assert audit_plan(uri) == []
    rewrite(index, pa.concat_tables([table.slice(0, 2), table.slice(3)]))
    assert kinds(uri) == {(name, "missing"), (name, "unindexed")}
    rewrite(index, pa.concat_tables([table, table.slice(2, 1)]))
    assert kinds(uri) == {(name, "doubled")}
    rewrite(index, changed(table, 2, "checkpoint", "another"))
    assert kinds(uri) == {(name, "wrong teacher")}
    rewrite(index, changed(table, 2, "seed", 7))
    assert kinds(uri) == {(name, "changed")}
    stranger = planned_row("sticker", PROMPTS[0], TEACHERS[0], 5).candidate_id
    rewrite(index, changed(table, 2, "candidate_id", stranger))
    assert {(name, "missing"), (stranger, "unplanned")} <= kinds(uri)
    rewrite(index, table)
    assert kinds(uri) == set()


def test_details_say_what_differs(finished: tuple[Plan, str]) -> None:
    _, uri = finished
    index = storage.join(uri, INDEX)
    table = storage.read_table(index, INDEXED)
    row = table.to_pylist()[2]
    rewrite(index, changed(table, 2, "seed", 7))
    assert audit_index(uri) == [Fault(row["candidate_id"], "changed", f"seed is 7, planned {row['seed']}")]
    rewrite(index, changed(table, 2, "checkpoint", "another"))
    (fault,) = audit_index(uri)
    assert fault.detail == f"{row['teacher']} with weights another, planned {row['checkpoint']}"


def test_a_place_that_the_index_gets_wrong_is_misplaced(finished: tuple[Plan, str]) -> None:
    _, uri = finished
    index = storage.join(uri, INDEX)
    table = storage.read_table(index, INDEXED)
    name = table["candidate_id"][2].as_py()
    rewrite(index, changed(table, 2, "row_group", 99))
    assert kinds(uri) == {(name, "misplaced")}
    groups = table["row_group"].to_pylist()
    neighbour = next(row for row, group in enumerate(groups) if group == groups[2] and row != 2)
    rewrite(index, changed(table, 2, "row", table["row"][neighbour].as_py()))
    assert kinds(uri) == {(name, "misplaced")}
    with pytest.raises(ValueError, match="does not have the digest"):
        Candidates(uri).clip(name)


def test_faults_of_a_part_are_named(finished: tuple[Plan, str]) -> None:
    _, uri = finished
    index = storage.join(uri, INDEX)
    table, part = storage.read_table(index, INDEXED), next(iter(parts_of(uri)))

    def by_digests() -> list[str]:
        return [fault.candidate_id for fault in audit_part(uri, part, parts_of(uri)[part], decode=False)]

    clips = storage.read_table(part, CANDIDATES)
    first = clips["candidate_id"][0].as_py()
    rewrite(part, pa.concat_tables([clips, clips.slice(0, 1)]))
    assert kinds(uri) == {(first, "doubled")}
    rewrite(part, changed(clips, 0, "clip", None))
    assert kinds(uri) == {(first, "corrupt")}
    torn = changed(clips, 0, "clip", clips["clip"][0].as_py()[:-20])
    rewrite(part, torn)
    assert kinds(uri) == {(first, "corrupt")}
    assert by_digests() == [first]
    row = table["candidate_id"].to_pylist().index(first)
    rewrite(index, changed(table, row, "clip_digest", clip_digest(torn["clip"][0].as_py())))
    assert kinds(uri) == {(first, "corrupt")}, "its digest is right, and it cannot be decoded"
    assert by_digests() == []
    rewrite(index, table)
    rewrite(part, clips.slice(1))
    assert {name for name, kind in kinds(uri) if kind == "missing"} == {first}
    rewrite(part, clips)
    Path(part).write_bytes(Path(part).read_bytes()[:-9])
    assert kinds(uri) == {(name, "corrupt") for name in clips["candidate_id"].to_pylist()}


def test_a_regeneration_answers_for_the_rows_that_it_left(finished: tuple[Plan, str]) -> None:
    plan, uri = finished
    again = regeneration(plan.plan_id, plan.rows[:2], PROMPTS, STICKERS, TEACHERS, reseed=3)
    new = write_finished(Path(uri).parents[1], again)
    assert audit_plan(new) == []
    assert {name for part in parts_of(new).values() for name in (row["candidate_id"] for row in part)} == {
        row.candidate_id for row in (*plan.rows[2:], *again.rows)
    }
    old_part = next(part for part in parts_of(new) if f"/{plan.plan_id}/" in part)
    Path(old_part).unlink()
    assert {kind for _, kind in kinds(new)} == {"corrupt"}, "its clips lie in the plan before it"
