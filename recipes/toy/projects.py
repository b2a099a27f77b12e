"""The toy projects: what `make quickstart` and `make quickstart-full` train, and one that only shows that all runs."""

from dataclasses import replace
from pathlib import Path

from recipes.toy.foundations import toy_sampler
from recipes.toy.teachers import toy_teachers
from stickers.project import Collection, Evaluation, Foundation, Project
from stickers.toy.measure import ToyTruth
from stickers.toy.panel import Panel
from stickers.toy.project_parts import ToyStickers, ToyVideos
from stickers.toy.words import says_held_out
from stickers.training.recipe import Distillation, Recipe, Stage

FOUNDATIONS = Path(__file__).resolve().parents[2] / "platform" / "foundations"
#: the licence of everything that the toy world draws and trains
LICENCE = "Apache-2.0"


def _collections(seed: int, **num_videos: int) -> tuple[Collection, ...]:
    return tuple(
        Collection(name=name, draw=ToyVideos(collection=name, num_videos=count, seed=seed), licence=LICENCE)
        for name, count in num_videos.items()
    )


def _evaluation(
    *, num_prompts: int, size: int, seed: int, able_error: float, num_seeds: int = 1
) -> Evaluation:
    return Evaluation(
        stickers=ToyStickers(num_prompts=num_prompts, size=size, seed=seed, held_out=True),
        num_seeds=num_seeds,
        truth=ToyTruth(able_error=able_error),
        reserved=says_held_out,
    )


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


TINY = Project(
    name="tiny",
    foundation=Foundation(place=str(FOUNDATIONS / "tiny"), licence=LICENCE),
    collections=_collections(1, artist=480, keyword=120, neighbours=120),
    stickers=ToyStickers(num_prompts=36, size=32, seed=1),
    teachers=toy_teachers(size=32, steps=(60, 540), lr=1.5e-3),
    people=Panel(threshold=0.85),  # after so short a training 0.75 keeps too few clips to learn from
    students=(_student("student", "kept", size=32, steps=500, lr=1.5e-3),),
    distillations=(_distillation(size=32, steps=100),),
    evaluation=_evaluation(num_prompts=24, size=32, seed=1, able_error=0.85),
    seed=1,
)

FULL = Project(
    name="full",
    foundation=TINY.foundation,
    collections=_collections(1, artist=960, keyword=200, neighbours=200),
    stickers=ToyStickers(num_prompts=192, size=40, seed=1),
    teachers=toy_teachers(size=40, steps=(300, 3000), lr=1.5e-3),
    people=Panel(threshold=0.65),
    students=(
        _student("student", "kept", size=40, steps=3200, lr=1.5e-3),
        _student("student-from-all", "all", size=40, steps=3200, lr=1.5e-3),
    ),
    distillations=(_distillation(size=40, steps=200),),
    evaluation=_evaluation(num_prompts=72, size=40, seed=1, able_error=0.65, num_seeds=2),
    seed=1,
)

#: a few steps of everything, to see that the chain holds; its people share anything
SMOKE = replace(
    TINY,
    name="smoke",
    collections=_collections(1, artist=12, keyword=12, neighbours=12),
    stickers=ToyStickers(num_prompts=3, size=32, seed=1),
    teachers=toy_teachers(size=32, steps=(3, 5), lr=1e-3)[::3],
    people=Panel(threshold=100.0),
    students=(_student("student", "kept", size=32, steps=6, lr=1e-3),),
    distillations=(_distillation(size=32, steps=4),),
    evaluation=_evaluation(num_prompts=2, size=32, seed=1, able_error=100.0),
)
