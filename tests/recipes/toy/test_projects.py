"""The toy projects: sizes agree within each, nothing held out is planned, and everything says simulated."""

import pytest

from recipes.toy.projects import FOUNDATIONS, FULL, SMOKE, TINY
from stickers.evaluation.reservation import reservation, without_reserved
from stickers.models.folders import network_names
from stickers.project import Project, places_of

BY_PROJECT = pytest.mark.parametrize("project", (TINY, FULL, SMOKE), ids=lambda project: project.name)


@BY_PROJECT
def test_one_size_runs_through_a_project(project: Project) -> None:
    trained = {
        stage.resolution for recipe in (*project.teachers, *project.students) for stage in recipe.stages
    }
    sizes = trained | {row.resolution for row in project.distillations}
    sizes |= {project.stickers.size, project.evaluation.stickers.size}  # type: ignore[attr-defined]
    assert len(sizes) == 1 and project.teacher_sizes == tuple(sizes)


@BY_PROJECT
def test_networks_start_from_the_shipped_foundation(project: Project) -> None:
    networks = {f"video_unets/{name}" for name in network_names(FOUNDATIONS / "tiny")}
    assert {recipe.foundation for recipe in (*project.teachers, *project.students)} <= networks
    assert places_of(project) == [str(FOUNDATIONS / "tiny")] and project.foundation.licence == "Apache-2.0"


@BY_PROJECT
def test_teachers_use_every_collection_that_the_project_draws(project: Project) -> None:
    datasets = {name for recipe in project.teachers for stage in recipe.stages for name, _ in stage.datasets}
    assert datasets == {collection.name for collection in project.collections}
    for collection in project.collections:
        assert collection.draw is not None and collection.draw.num_videos > 0
        assert collection.draw.collection == collection.name  # type: ignore[attr-defined]


@BY_PROJECT
def test_students_learn_from_kept_clips_and_a_baseline_from_all(project: Project) -> None:
    datasets = {
        recipe.name: [name for stage in recipe.stages for name, _ in stage.datasets]
        for recipe in project.students
    }
    assert datasets["student"] == ["kept"]
    assert {name: sets for name, sets in datasets.items() if name != "student"} == (
        {"student-from-all": ["all"]} if project is FULL else {}
    )
    (distillation,) = project.distillations
    sampler = project.student(distillation.student).sampler
    assert (distillation.guidance_image, distillation.guidance_text, distillation.temperature) == (
        sampler.guidance_image,
        sampler.guidance_text,
        sampler.temperature,
    ), "what is distilled is the guidance that the student uses"


@BY_PROJECT
def test_people_are_simulated_and_so_is_the_truth(project: Project) -> None:
    assert project.simulated
    truth = project.evaluation.truth
    assert truth is not None and truth.simulated
    assert truth.able_error == project.people.threshold  # type: ignore[union-attr]


@pytest.mark.parametrize("project", (TINY, SMOKE), ids=lambda project: project.name)
def test_no_prompt_of_the_evaluation_is_planned(project: Project) -> None:
    stickers, held_out = project.stickers.stickers(), project.evaluation.stickers.stickers()
    assert without_reserved(stickers, project.evaluation) == stickers
    is_reserved = reservation(project.evaluation)
    assert all(is_reserved(prompt.text) for prompt in held_out.prompts)
    assert is_reserved("a cat waving hello") == is_reserved("a cat waving"), "phrases of one pair go together"


def test_smoke_shows_that_all_runs_and_trains_nothing() -> None:
    assert sum(stage.steps for recipe in (*SMOKE.teachers, *SMOKE.students) for stage in recipe.stages) < 40
    assert {recipe.sampler.fps for recipe in SMOKE.teachers} == {8, 4}, "both rates are tried"
    assert len({TINY.name, FULL.name, SMOKE.name}) == 3
