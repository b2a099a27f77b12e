"""A finished plan: every clip is one read, and a regeneration replaces rows and touches none."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stickers import storage
from stickers.artifacts.ids import clip_digest
from stickers.candidates import archive as module
from stickers.candidates.archive import Candidates, counts_of
from stickers.candidates.plan import Plan, regeneration
from tests.support.archives import PROMPTS, STICKERS, TEACHERS, audit_plan, write_finished


def test_every_clip_is_there_once_and_is_one_read(finished: tuple[Plan, str]) -> None:
    plan, uri = finished
    candidates = Candidates(uri)
    assert [row.candidate_id for row in candidates] == sorted(row.candidate_id for row in plan.rows)
    assert len(storage.listing(storage.join(uri, "clips"))) > 1 and not storage.exists(
        storage.join(uri, "candidates")
    )
    assert any(row.attempt for row in candidates) and {row.status for row in candidates} == {"made"}
    for row in candidates:
        clip = candidates.clip(row.candidate_id)
        assert row.clip is None and clip is not None and clip_digest(clip) == row.clip_digest
    assert [clip_digest(row.clip or b"") for row in candidates.with_clips(candidates)] == [
        row.clip_digest for row in candidates
    ]
    assert sum(int(cell["made"]) for cell in counts_of(candidates)) == len(plan.rows)
    assert audit_plan(uri) == []
    for part in storage.listing(storage.join(uri, "clips")):
        groups = pq.ParquetFile(part).metadata
        assert (
            max(groups.row_group(i).num_rows for i in range(groups.num_row_groups)) <= module.ROWS_PER_GROUP
        )


def test_a_regeneration_replaces_its_rows_and_leaves_the_rest(finished: tuple[Plan, str]) -> None:
    plan, uri = finished
    before = {path: path.read_bytes() for path in Path(uri).rglob("*") if path.is_file()}
    old = Candidates(uri)
    chosen = [row for row in old if row.teacher == "wild" and row.bucket == "action"]
    better = replace(TEACHERS[1], checkpoint="digest-better")
    again = regeneration(plan.plan_id, chosen, PROMPTS, STICKERS, [better])
    assert {row.checkpoint for row in again.rows} == {"digest-better"} and len(again.rows) == len(chosen)
    assert {row.seed for row in again.rows} == {row.seed for row in chosen}
    new = Candidates(write_finished(Path(uri).parents[1], again))
    assert {path: path.read_bytes() for path in before} == before, "the old plan is as it was"
    assert len(new) == len(old) and audit_plan(new.uri) == []
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
    last = Candidates(write_finished(Path(uri).parents[1], third))
    assert len(last) == len(old) and audit_plan(last.uri) == [] and len({row.plan_id for row in last}) == 3
    assert [clip_digest(row.clip or b"") for row in last.with_clips(last)] == [
        row.clip_digest for row in last
    ]


def test_the_same_weights_make_the_same_ids(finished: tuple[Plan, str]) -> None:
    plan, _ = finished
    again = regeneration(plan.plan_id, plan.of("calm"), PROMPTS, STICKERS, TEACHERS)
    assert again.rows == plan.of("calm") and again.plan_id != plan.plan_id
    with pytest.raises(ValueError, match="no candidate of plan .* is asked for"):
        regeneration(plan.plan_id, [], PROMPTS, STICKERS, TEACHERS)
    with pytest.raises(ValueError, match="teacher wild is missing"):
        regeneration(plan.plan_id, plan.of("wild"), PROMPTS, STICKERS, TEACHERS[:1])
