"""Which recipes a training command means, how single values change them, and what they take."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.cli.training import (
    NO_CHANGES,
    Changes,
    TrainOptions,
    apply,
    choose,
    config_of,
    distillation_hours,
    factor_of,
    one_step_costs,
    show,
)
from recipes.toy.projects import FOUNDATIONS, SMOKE
from stickers.data.motion_buckets import MotionBuckets
from stickers.errors import UserError
from stickers.models.sizes import SIZES

BASE = str(FOUNDATIONS / "tiny")
TEACHER, DISTILLATION = SMOKE.teachers[0], SMOKE.distillations[0]


def test_a_change_reaches_recipe_stages_sampler_and_buckets() -> None:
    changes = Changes(
        batch_size=3,
        steps=7,
        sampler_num_steps=9,
        bucket_score="vmaf",
        bucket_edges=(1.0,),
        bucket_rates=(4, 8),
    )
    changed = apply(changes, TEACHER)
    assert (changed.batch_size, changed.sampler.num_steps) == (3, 9)
    assert {stage.steps for stage in changed.stages} == {7}
    assert changed.stages[0].buckets == MotionBuckets(score="vmaf", edges=(1.0,), rates=(4, 8))
    assert changed.digest() != TEACHER.digest() and apply(NO_CHANGES, TEACHER) == TEACHER
    assert apply(Changes(steps=2), DISTILLATION).steps == 2
    with pytest.raises(UserError, match="has no sampler_fps: it cannot be changed"):
        apply(Changes(sampler_fps=4), DISTILLATION)


def test_one_recipe_is_chosen_by_name() -> None:
    names = [recipe.name for recipe in SMOKE.teachers]
    assert [recipe.name for recipe in choose(SMOKE.teachers, None, NO_CHANGES)] == names
    (one,) = choose(SMOKE.teachers, names[0], Changes(seed=99))
    assert (one.name, one.seed) == (names[0], 99)
    with pytest.raises(UserError, match=f"there is no recipe 'x'; recipes: {names[0]}"):
        choose(SMOKE.teachers, "x", NO_CHANGES)


def test_a_dry_run_shows_digests_and_what_each_stage_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert show([TEACHER, *SMOKE.students, DISTILLATION], BASE, SMOKE) == 0
    text = capsys.readouterr().out
    for recipe in (TEACHER, *SMOKE.students, DISTILLATION):
        assert f"{recipe.name} {recipe.digest()}" in text
    assert "H100-hours" in text and f"1 of {len(TEACHER.stages)}" in text


def test_costs_are_those_of_a_step() -> None:
    stage, config = TEACHER.stages[0], config_of(TEACHER, BASE)
    costs = one_step_costs(TEACHER, stage, config, factor_of(BASE))
    larger = one_step_costs(
        replace(TEACHER, batch_size=2 * TEACHER.batch_size), stage, config, factor_of(BASE)
    )
    assert larger.gpu_hours == pytest.approx(2 * costs.gpu_hours)
    assert one_step_costs(TEACHER, replace(stage, steps=999), config, factor_of(BASE)) == costs
    hours = distillation_hours(DISTILLATION, SMOKE, BASE)
    twice = distillation_hours(replace(DISTILLATION, steps=2 * DISTILLATION.steps), SMOKE, BASE)
    assert twice == pytest.approx(2 * hours) and hours > 0


def test_a_size_of_the_paper_is_known_before_it_exists(tmp_path: Path) -> None:
    recipe = replace(TEACHER, foundation="video_unets/sm")
    assert config_of(recipe, str(tmp_path / "none")) == SIZES["sm"].config()
    assert factor_of(str(tmp_path / "none")) == 8
    with pytest.raises(UserError):
        config_of(replace(TEACHER, foundation="video_unets/none"), str(tmp_path / "none"))


def test_options_make_places_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = TrainOptions(runs="runs", project="smoke", foundations="base")
    assert options.runs_uri == str(tmp_path / "runs")
    assert options.chosen_project().foundation.place == str(tmp_path / "base")
    assert TrainOptions(project="smoke").chosen_project().foundation.place == SMOKE.foundation.place
