"""A finished plan: every clip is one read, a regeneration replaces rows and touches none, an audit finds each fault."""

from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stickers import storage
from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import CANDIDATES, Candidate, PlanRow
from stickers.artifacts.schema import table_of
from stickers.candidates import archive as module
from stickers.candidates.archive import INDEX, INDEXED, Candidates, compact, counts_of, remove_blocks
from stickers.candidates.audit import Fault, audit_index, audit_part, parts_of
from stickers.candidates.plan import Plan, PlannedTeacher, make_plan, planned_row, regeneration, save_plan
from stickers.diffusion.sampling import SamplerSettings
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.toy.oracle import draw_sticker
from stickers.video.codec import encode_strip

TEACHERS = [
    PlannedTeacher(name, f"digest-{name}", asdict(SamplerSettings(num_frames=2))) for name in ("calm", "wild")
]
PROMPTS = toy_prompts(6, seed=0)
STICKERS = toy_stickers(PROMPTS, 16)


def made(row: PlanRow, plan_id: str, attempt: int = 0) -> Candidate:
    """A row as its teacher would have made it; the first pass fails one row in five."""
    picture = draw_sticker(row.prompt, 0, 16).copy()
    picture[0, 0] = [row.seed % 256, row.seed // 256 % 256, len(row.teacher) + len(row.checkpoint), 255]
    strip = encode_strip(picture[None].repeat(2, axis=0))
    failed = not attempt and row.seed % 5 == 0
    return Candidate(
        **asdict(row),
        plan_id=plan_id,
        attempt=attempt,
        status="failed" if failed else "made",
        error="no luck" if failed else "",
        clip=None if failed else strip,
        clip_digest=None if failed else clip_digest(strip),
        num_frames=2,
        fps=8,
        seconds=0.5,
    )


def run(runs: Path, plan: Plan) -> str:
    """A plan made by hand: blocks of five rows in no order, failed ones again, then compacted."""
    uri = save_plan(str(runs), plan)
    outs = []
    for teacher in plan.teachers:
        todo = plan.of(teacher)
        for attempt in (0, 1):
            outs.append(storage.join(uri, "candidates", teacher, str(attempt)))
            rows = [made(row, plan.plan_id, attempt) for row in todo]
            for first in reversed(range(0, len(rows), 5)):
                block = storage.join(outs[-1], "rows", f"{-first % 97}.parquet")
                storage.write_table(block, table_of(rows[first : first + 5][::-1], Candidate), CANDIDATES)
            todo = [row for row, each in zip(todo, rows, strict=True) if each.status == "failed"]
    compact(uri, plan, outs)
    storage.write_record(uri, {"plan_id": plan.plan_id})
    remove_blocks(uri)
    return uri


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Plan, str]:
    """A plan of two teachers and twelve stickers, in parts of a few rows."""
    monkeypatch.setattr(module, "PART_BYTES", 2_000)
    plan = make_plan(PROMPTS, STICKERS, TEACHERS)
    return plan, run(tmp_path, plan)


def test_every_clip_is_there_once_and_is_one_read(finished: tuple[Plan, str]) -> None:
    plan, uri = finished
    found = Candidates(uri)
    assert [row.candidate_id for row in found] == sorted(row.candidate_id for row in plan.rows)
    assert len(storage.listing(storage.join(uri, "clips"))) > 1 and not storage.exists(
        storage.join(uri, "candidates")
    )
    assert any(row.attempt for row in found) and {row.status for row in found} == {"made"}
    for row in found:
        clip = found.clip(row.candidate_id)
        assert row.clip is None and clip is not None and clip_digest(clip) == row.clip_digest
    assert [clip_digest(each.clip or b"") for each in found.whole(found)] == [
        row.clip_digest for row in found
    ]
    assert sum(int(cell["made"]) for cell in counts_of(found)) == len(plan.rows)
    assert audit(uri) == []
    for part in storage.listing(storage.join(uri, "clips")):
        groups = pq.ParquetFile(part).metadata
        assert (
            max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) <= module.ROWS_PER_GROUP
        )


def audit(uri: str) -> list[Fault]:
    parts = [fault for each in parts_of(uri).items() for fault in audit_part(uri, *each)]
    return audit_index(uri) + parts


def test_a_regeneration_replaces_its_rows_and_leaves_the_rest(finished: tuple[Plan, str]) -> None:
    plan, uri = finished
    before = {path: path.read_bytes() for path in Path(uri).rglob("*") if path.is_file()}
    old = Candidates(uri)
    chosen = [row for row in old if row.teacher == "wild" and row.bucket == "action"]
    better = replace(TEACHERS[1], checkpoint="digest-better")
    again = regeneration(plan.plan_id, chosen, PROMPTS, STICKERS, [better])
    assert {row.checkpoint for row in again.rows} == {"digest-better"} and len(again.rows) == len(chosen)
    assert {row.seed for row in again.rows} == {row.seed for row in chosen}
    new = Candidates(run(Path(uri).parents[1], again))
    assert {path: path.read_bytes() for path in before} == before, "the old plan is as it was"
    assert len(new) == len(old) and audit(new.uri) == []
    gone = {row.candidate_id for row in chosen}
    kept = [row for row in new if row.plan_id == plan.plan_id]
    assert [row.candidate_id for row in kept] == [
        row.candidate_id for row in old if row.candidate_id not in gone
    ]
    assert all(new.clip(row.candidate_id) == old.clip(row.candidate_id) for row in kept)
    assert {row.candidate_id for row in new if row.plan_id == again.plan_id} == {
        row.candidate_id for row in again.rows
    }

    third = regeneration(again.plan_id, [*new][:3], PROMPTS, STICKERS, [TEACHERS[0], better], reseed=1)
    last = Candidates(run(Path(uri).parents[1], third))
    assert len(last) == len(old) and audit(last.uri) == [] and len({row.plan_id for row in last}) == 3
    assert [clip_digest(each.clip or b"") for each in last.whole(last)] == [row.clip_digest for row in last]


def test_the_same_weights_make_the_same_ids(finished: tuple[Plan, str]) -> None:
    plan, _ = finished
    again = regeneration(plan.plan_id, plan.of("calm"), PROMPTS, STICKERS, TEACHERS)
    assert again.rows == plan.of("calm") and again.plan_id != plan.plan_id
    with pytest.raises(ValueError, match="no candidate of plan .* is asked for"):
        regeneration(plan.plan_id, [], PROMPTS, STICKERS, TEACHERS)
    with pytest.raises(ValueError, match="teacher wild is not there"):
        regeneration(plan.plan_id, plan.of("wild"), PROMPTS, STICKERS, TEACHERS[:1])


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


def test_an_audit_finds_every_planted_fault(finished: tuple[Plan, str]) -> None:
    _, uri = finished
    index = storage.join(uri, INDEX)
    table, part = storage.read_table(index, INDEXED), next(iter(parts_of(uri)))
    name = table["candidate_id"][2].as_py()

    def by_digests() -> list[str]:
        return [fault.candidate_id for fault in audit_part(uri, part, parts_of(uri)[part], decode=False)]

    def kinds() -> set[tuple[str, str]]:
        return {(fault.candidate_id, fault.what) for fault in audit(uri)}

    rewrite(index, pa.concat_tables([table.slice(0, 2), table.slice(3)]))
    assert kinds() == {(name, "missing"), (name, "unindexed")}
    rewrite(index, pa.concat_tables([table, table.slice(2, 1)]))
    assert kinds() == {(name, "doubled")}
    rewrite(index, changed(table, 2, "checkpoint", "another"))
    assert kinds() == {(name, "wrong teacher")}
    rewrite(index, changed(table, 2, "seed", 7))
    assert kinds() == {(name, "changed")}
    stranger = planned_row("sticker", PROMPTS[0], TEACHERS[0], 5).candidate_id
    rewrite(index, changed(table, 2, "candidate_id", stranger))
    assert {(name, "missing"), (stranger, "unplanned")} <= kinds()
    place = changed(table, 2, "row_group", 99)
    rewrite(index, place)
    assert kinds() == {(name, "misplaced")}
    places = [(row["part"], row["row_group"], row["row"]) for row in table.to_pylist()]
    taken = next(at for at, (_, group, _) in enumerate(places) if group == places[2][1] and at != 2)
    rewrite(index, changed(table, 2, "row", places[taken][2]))
    assert kinds() == {(name, "misplaced")}
    with pytest.raises(ValueError, match="not its clip"):
        Candidates(uri).clip(name)
    rewrite(index, table)
    assert kinds() == set()

    clips = storage.read_table(part, CANDIDATES)
    first = clips["candidate_id"][0].as_py()
    rewrite(part, pa.concat_tables([clips, clips.slice(0, 1)]))
    assert kinds() == {(first, "doubled")}
    torn = changed(clips, 0, "clip", clips["clip"][0].as_py()[:-20])
    rewrite(part, torn)
    assert kinds() == {(first, "corrupt")}
    assert by_digests() == [first]
    row = table["candidate_id"].to_pylist().index(first)
    rewrite(index, changed(table, row, "clip_digest", clip_digest(torn["clip"][0].as_py())))
    assert kinds() == {(first, "corrupt")}, "its digest is right, and it cannot be decoded"
    assert by_digests() == []
    rewrite(index, table)
    Path(part).write_bytes(Path(part).read_bytes()[:-9])
    assert kinds() == {(each, "corrupt") for each in clips["candidate_id"].to_pylist()}
