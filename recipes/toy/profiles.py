"""The toy profiles: what `make quickstart` and `make quickstart-full` train, and one that only shows that all runs."""

from dataclasses import dataclass, replace
from pathlib import Path

from recipes.toy.foundations import toy_sampler
from recipes.toy.teachers import toy_teachers
from stickers.training.recipe import Distillation, Recipe, Stage

FOUNDATIONS = Path(__file__).resolve().parents[2] / "platform" / "foundations"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Everything a quickstart decides.

    `collections` counts the toy videos of each set; `num_prompts` the prompts of the plan, two pictures each;
    `num_evaluation` the held-out stickers, each sampled `seeds_per_sticker` times; `panel_threshold` the relative error
    (truth 0, frozen still 1) up to which the simulated people find a clip worth sharing.
    """

    name: str
    foundations: str
    picture_size: int
    seed: int
    collections: tuple[tuple[str, int], ...]
    teachers: tuple[Recipe, ...]
    students: tuple[Recipe, ...]
    distillation: Distillation
    num_prompts: int
    num_evaluation: int
    seeds_per_sticker: int
    panel_threshold: float = 0.75


def _student(name: str, dataset: str, *, size: int, steps: int, lr: float) -> Recipe:
    return Recipe(
        name=name,
        role="student",
        foundation="video_unets/student",
        stages=(
            Stage(
                steps=steps,
                resolution=size,
                fps=8,
                prediction="sample_residual",
                datasets=((dataset, 1.0),),
                balance="captions",
                lr=lr,
            ),
        ),
        seed=31,
        batch_size=8,
        precision="fp32",
        zero_stage=0,
        checkpoint_every=100,
        sampler=toy_sampler(fps=8),
    )


def _distillation(*, size: int, steps: int) -> Distillation:
    sampler = toy_sampler(fps=8)
    return Distillation(
        name="distilled",
        student="student",
        steps=steps,
        dataset="kept",
        balance="captions",
        resolution=size,
        seed=41,
        batch_size=12,
        lr=4e-4,
        guidance_image=sampler.guidance_image,
        guidance_text=sampler.guidance_text,
        guided_steps=20,  # about the noise levels that the 15-step solver guides
        temperature=sampler.temperature,
        precision="fp32",
        zero_stage=0,
    )


TINY = Profile(
    name="tiny",
    foundations=str(FOUNDATIONS / "tiny"),
    picture_size=32,
    seed=1,
    collections=(("artist", 480), ("keyword", 120), ("neighbours", 120)),
    teachers=toy_teachers(size=32, steps=(60, 540), lr=1.5e-3),
    students=(_student("student", "kept", size=32, steps=500, lr=1.5e-3),),
    distillation=_distillation(size=32, steps=100),
    num_prompts=36,
    num_evaluation=24,
    seeds_per_sticker=1,
    panel_threshold=0.85,  # after so short a training 0.75 keeps too few clips to learn from
)

FULL = Profile(
    name="full",
    foundations=str(FOUNDATIONS / "tiny"),
    picture_size=40,
    seed=1,
    collections=(("artist", 960), ("keyword", 200), ("neighbours", 200)),
    teachers=toy_teachers(size=40, steps=(300, 3000), lr=1.5e-3),
    students=(
        _student("student", "kept", size=40, steps=3200, lr=1.5e-3),
        _student("student-from-all", "all", size=40, steps=3200, lr=1.5e-3),
    ),
    distillation=_distillation(size=40, steps=200),
    num_prompts=192,
    num_evaluation=72,
    seeds_per_sticker=2,
    panel_threshold=0.65,
)

#: a few steps of everything, to see that the chain holds; its people share anything
SMOKE = replace(
    TINY,
    name="smoke",
    collections=(("artist", 12), ("keyword", 12), ("neighbours", 12)),
    teachers=toy_teachers(size=32, steps=(3, 5), lr=1e-3)[::3],
    students=(_student("student", "kept", size=32, steps=6, lr=1e-3),),
    distillation=_distillation(size=32, steps=4),
    num_prompts=3,
    num_evaluation=2,
    panel_threshold=100.0,
)

PROFILES = {profile.name: profile for profile in (TINY, FULL, SMOKE)}
