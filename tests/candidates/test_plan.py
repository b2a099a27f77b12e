"""A plan must come out the same on every machine, and change when anything that changes the pixels does."""

from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from stickers import storage
from stickers.candidates.plan import PlannedTeacher, as_saved, load_plan, make_plan, save_plan, with_rows
from stickers.diffusion.sampling import SamplerSettings
from stickers.toy.grammar import toy_prompts, toy_stickers

TEACHERS = [
    PlannedTeacher(name=name, checkpoint=f"digest-{name}", settings=asdict(SamplerSettings()))
    for name in ("slow", "fast", "calm")
]
PROMPTS = toy_prompts(4, seed=0)
STICKERS = toy_stickers(PROMPTS, 32)


def test_every_sticker_meets_every_teacher_once() -> None:
    plan = make_plan(PROMPTS, STICKERS, TEACHERS)
    assert len(plan.rows) == len({row.candidate_id for row in plan.rows}) == 4 * 2 * 3
    assert len({(row.sticker_id, row.teacher) for row in plan.rows}) == 24
    assert len({row.seed for row in plan.rows}) == 24
    assert plan.plan_id == make_plan(PROMPTS, STICKERS[::-1], TEACHERS[::-1]).plan_id


def test_more_seeds_are_more_candidates_and_the_first_stay() -> None:
    once, often = make_plan(PROMPTS, STICKERS, TEACHERS), make_plan(PROMPTS, STICKERS, TEACHERS, num_seeds=3)
    assert len(often.rows) == len({row.candidate_id for row in often.rows}) == 3 * len(once.rows)
    assert {row.candidate_id for row in once.rows} < {row.candidate_id for row in often.rows}
    assert len({row.seed for row in often.rows}) == 3 * len(once.rows)
    with pytest.raises(ValueError, match="got num_seeds 0"):
        make_plan(PROMPTS, STICKERS, TEACHERS, num_seeds=0)


def test_another_checkpoint_or_setting_is_another_plan() -> None:
    plan = make_plan(PROMPTS, STICKERS, TEACHERS)
    retrained = [replace(TEACHERS[0], checkpoint="other"), *TEACHERS[1:]]
    slower = [replace(TEACHERS[0], settings=asdict(SamplerSettings(num_steps=16))), *TEACHERS[1:]]
    for teachers in (retrained, slower):
        other = make_plan(PROMPTS, STICKERS, teachers)
        assert other.plan_id != plan.plan_id
        assert {r.candidate_id for r in other.of("fast")} == {r.candidate_id for r in plan.of("fast")}
        assert not {r.candidate_id for r in other.of("slow")} & {r.candidate_id for r in plan.of("slow")}


def test_a_plan_comes_back(tmp_path: Path) -> None:
    plan = make_plan(PROMPTS, STICKERS, TEACHERS)
    uri = save_plan(str(tmp_path), plan)
    assert load_plan(uri) == plan
    turned = make_plan(PROMPTS[::-1], STICKERS[::-1], TEACHERS)
    assert turned != plan and turned.plan_id == plan.plan_id and save_plan(str(tmp_path), turned) == uri
    assert as_saved(uri, turned) == plan, "asked for in another order, it goes on in the first one"
    assert save_plan(str(tmp_path), plan) == uri
    assert storage.listing(storage.join(uri, "plan")) == [
        storage.join(uri, "plan", f"{name}.parquet") for name in ("calm", "fast", "slow")
    ]


def test_useless_plans_are_refused() -> None:
    with pytest.raises(ValueError, match="got 8 and 0"):
        make_plan(PROMPTS, STICKERS, [])
    with pytest.raises(ValueError, match="same name"):
        make_plan(PROMPTS, STICKERS, [TEACHERS[0], TEACHERS[0]])


def test_more_candidates_of_the_same_stickers_are_new_ones() -> None:
    source = make_plan(PROMPTS, STICKERS, TEACHERS, seed=4)
    bucket = source.rows[0].bucket
    stickers = {row.sticker_id for row in source.rows if row.bucket == bucket}
    name, count = TEACHERS[0].name, 2 * len(stickers) + 1
    existing = {row.candidate_id for row in source.rows}
    more = with_rows(source, TEACHERS, {(name, bucket): count}, existing, seed=4)
    assert len(more.rows) == len({row.candidate_id for row in more.rows}) == count
    assert not existing & {row.candidate_id for row in more.rows}
    assert {(row.teacher, row.bucket) for row in more.rows} == {(name, bucket)}
    turns = Counter(row.sticker_id for row in more.rows)
    assert turns.keys() == stickers and set(turns.values()) == {2, 3}, "the stickers take turns"
    assert {sticker.sticker_id for sticker in more.stickers} == stickers
    again = with_rows(source, TEACHERS, {(name, bucket): count}, existing, seed=4)
    assert again.plan_id == more.plan_id
    with pytest.raises(ValueError, match="pays for no candidate"):
        with_rows(source, TEACHERS, {(name, bucket): 0}, existing, seed=4)
