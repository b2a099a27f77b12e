"""The ensemble: each order at each rate, each foundation under each order, and the best videos last."""

from itertools import product

import pytest

from recipes.toy.teachers import ENSEMBLE, ORDERS, toy_teachers
from stickers.training.recipe import Recipe

TEACHERS = toy_teachers(size=40, steps=(30, 300), lr=1e-3)
BY_TEACHER = pytest.mark.parametrize("teacher", TEACHERS, ids=lambda teacher: teacher.name)


def test_orders_rates_and_foundations_are_crossed() -> None:
    pairs = {(order, fps) for order, fps, _ in ENSEMBLE}
    assert pairs == set(product(ORDERS, (8, 4))) and len(ENSEMBLE) == 4
    foundations = {foundation for *_, foundation in ENSEMBLE}
    assert {(order, foundation) for order, _, foundation in ENSEMBLE} == set(product(ORDERS, foundations))
    assert {(fps, foundation) for _, fps, foundation in ENSEMBLE} == set(product((8, 4), foundations))


def test_teachers_are_named_by_order_and_rate_and_draw_other_numbers() -> None:
    assert [teacher.name for teacher in TEACHERS] == [f"{order}-{fps}fps" for order, fps, _ in ENSEMBLE]
    assert len({teacher.seed for teacher in TEACHERS}) == len({teacher.digest() for teacher in TEACHERS}) == 4


@BY_TEACHER
def test_lesser_videos_come_first_and_artists_last(teacher: Recipe) -> None:
    first, last = teacher.stages
    assert last.datasets == (("artist", 1.0),) and first.datasets[0][0] == teacher.name.split("-")[0]
    assert (first.window, last.window) == ("any", "halfway")
    assert (first.steps, last.steps) == (30, 300)


@BY_TEACHER
def test_a_teacher_has_one_rate_and_size(teacher: Recipe) -> None:
    assert {stage.fps for stage in teacher.stages} == {teacher.sampler.fps}
    assert {stage.resolution for stage in teacher.stages} == {40} and teacher.role == "teacher"
    assert {stage.lr for stage in teacher.stages} == {1e-3}


def test_other_steps_are_another_recipe() -> None:
    longer = toy_teachers(size=40, steps=(30, 301), lr=1e-3)
    assert not {teacher.digest() for teacher in TEACHERS} & {teacher.digest() for teacher in longer}
