"""A teacher as an actor: rows in, candidates out, with the weights that its plan asks for."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from actors.conditions import Encoder
from actors.teacher import BLOCKS_WANTED, MOST_BATCHES_PER_BLOCK, Teacher, TeacherWork, rows_per_block
from stickers import storage
from stickers.artifacts.records import FAILED, MADE, Candidate, PlanRow
from stickers.artifacts.schema import records_of, table_of
from stickers.candidates.conditions import chunks_of
from stickers.candidates.plan import Plan, PlannedTeacher, make_plan, save_plan
from stickers.errors import UserError
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.video.codec import decode_strip
from tests.support.teachers import SETTINGS, SIZE, save_teacher


@pytest.fixture
def plan() -> Plan:
    """One prompt with two pictures, one of which cannot be read."""
    prompts = toy_prompts(1, seed=0)
    stickers = toy_stickers(prompts, SIZE)
    stickers[1] = replace(stickers[1], png=b"not a picture")
    return make_plan(prompts, stickers, [PlannedTeacher("calm", "digest", asdict(SETTINGS))])


@pytest.fixture
def work(plan: Plan, tmp_path: Path, tiny_foundations: Path) -> TeacherWork:
    teacher = save_teacher(tmp_path, "calm", 1, tiny_foundations / "video_unets" / "student")
    uri = save_plan(str(tmp_path), plan)
    conditions = storage.join(uri, "conditions")
    for chunk in chunks_of(plan.prompts, plan.stickers):
        Encoder(conditions, str(tiny_foundations), SIZE).encode(chunk)
    return TeacherWork(
        name="calm",
        record=teacher.uri,
        weights=teacher.record["weights"],
        foundations=str(tiny_foundations),
        plan=uri,
        plan_id=plan.plan_id,
        conditions=conditions,
        attempt=1,
        batch_size=2,
    )


def test_rows_become_candidates_in_their_order(plan: Plan, work: TeacherWork) -> None:
    rows = [*plan.rows[::-1], *plan.rows[:1]]
    candidates = records_of(Teacher(work)(table_of(rows, PlanRow)), Candidate)
    assert [row.candidate_id for row in candidates] == [row.candidate_id for row in rows]
    status = {plan.stickers[0].sticker_id: MADE, plan.stickers[1].sticker_id: FAILED}
    assert [row.status for row in candidates] == [status[row.sticker_id] for row in rows]
    for row in candidates:
        assert (row.plan_id, row.attempt, row.teacher) == (plan.plan_id, 1, "calm")
        if row.clip is not None:
            assert decode_strip(row.clip, row.num_frames).shape == (SETTINGS.num_frames, SIZE, SIZE, 4)
        else:
            assert "not a picture" in row.error
    assert storage.listing(storage.join(work.plan, "trying", "calm")) == [], "no note of a death is left"


def test_changed_weights_are_refused(work: TeacherWork) -> None:
    with pytest.raises(UserError, match="have changed since they were trained.*not another"):
        Teacher(replace(work, weights="another"))


def test_blocks_are_batches_until_they_would_be_too_many() -> None:
    assert rows_per_block(1, 8) == rows_per_block(8 * BLOCKS_WANTED, 8) == 8
    assert rows_per_block(8 * BLOCKS_WANTED + 1, 8) == 16
    assert rows_per_block(10**9, 8) == 8 * MOST_BATCHES_PER_BLOCK
