"""Recipes refuse values without a meaning, and their digests follow every field."""

import pytest

from stickers.training.recipe import Distillation, Recipe, sized
from tests.support.training import recipe, stage


def distillation(**changes: object) -> Distillation:
    """Of a student at 16 pixels."""
    settings = {"name": "d", "student": "s", "steps": 1, "dataset": "kept", "resolution": 16}
    return Distillation(**{**settings, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": ()}, "has no stages"),
        ({"ema_decay": 1.0}, "ema_decay must lie between 0 and 1, got 1.0"),
        ({"lora_rank": 0}, "lora_rank must be at least 1, got 0"),
        ({"lora_rank": 2, "stages": (stage(freeze_spatial=True),)}, "freeze_spatial means nothing"),
    ],
)
def test_impossible_recipes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction": "x0"}, "prediction 'x0' is unknown; accepted"),
        ({"resolution": 4}, "resolution >= 8"),
        ({"datasets": ()}, "at least one dataset"),
        ({"datasets": (("kept", 0.0),)}, "each with a positive weight"),
    ],
)
def test_impossible_stages_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stage(**changes)


def test_a_steps_stage_is_known_with_its_first_step() -> None:
    two = recipe(stages=(stage(), stage(prediction="v_prediction", fps=4)))
    assert [two.stage_at(step)[0].prediction for step in (0, 3, 4, 7)] == ["epsilon"] * 2 + [
        "v_prediction"
    ] * 2
    assert two.stage_at(7)[1] == 4 and two.num_steps == 8 and two.stages[1].rate == 4
    with pytest.raises(ValueError, match="has 8 steps, there is no step 8"):
        two.stage_at(8)


def test_a_distillation_divides_the_teachers_steps() -> None:
    assert distillation().num_steps == 1
    with pytest.raises(ValueError, match="must be a multiple of student_steps"):
        distillation(teacher_steps=30)


def test_digests_change_with_a_field_and_are_equal_on_every_machine() -> None:
    assert recipe().digest() == recipe().digest() != recipe(seed=1).digest()
    assert distillation().digest() != distillation(seed=1).digest()
    assert len(recipe().digest()) == 12 and isinstance(recipe(), Recipe)
    assert sized("kept", 32) == "kept@32"
