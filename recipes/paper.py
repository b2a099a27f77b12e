"""The paper's project at its size: from a foundation to a served student on H100s (sections 2 and 3).

It needs collections named `artist`, `keyword` and `neighbours`, a foundation, a language model and a text-to-image
model in a folder that every machine sees: `$STICKERS_SHARED`, by default /shared. Batches (128 to 512), rates (2.5e-5
to 1e-4) and steps (thousands) are the paper's. The edges of motion buckets are a person's choice, with
`experiments/buckets.py`. `build` makes the same project at other sizes.
"""

import os
from dataclasses import dataclass, replace

from stickers.data.motion_buckets import MotionBuckets
from stickers.diffusion.sampling import TRAINING_FREE
from stickers.project import Collection, Evaluation, Foundation, Project
from stickers.prompts.sources import DrawnStickers, StickerTable
from stickers.training.recipe import Distillation, Recipe, Stage

Datasets = tuple[tuple[str, float], ...]

SHARED = os.environ.get("STICKERS_SHARED", "/shared")
#: these edges fill the three buckets evenly on one keyword set, no more; look at your own videos and set yours
BUCKETS = MotionBuckets(edges=(50.6, 75.2), rates=(4, 6, 8))
KEYWORD: Datasets = (("keyword", 1.0),)
NEIGHBOURS: Datasets = (("neighbours", 1.0),)
ARTIST: Datasets = (("artist", 1.0),)


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """What grows with the machines: sizes in pixels a side, batches, steps, workers and counts.

    Teachers first learn at half their size, and they draw at twice the students' size (256 and 512 pixels in the
    paper). `teacher` names the networks of the two foundations that teachers start from, `students` the students'
    networks.
    """

    teacher_size: int = 512
    student_size: int = 256
    batch_size: int = 128
    early_steps: int = 10_000
    late_steps: int = 5_000
    student_steps: int = 20_000
    distillation_steps: int = 3_000
    warmup_steps: int = 500
    num_workers: int = 16
    checkpoint_every: int = 500
    num_prompts: int = 15_000
    consistency: str = "lg"
    motion: str = "lg"
    students: tuple[str, ...] = ("sm", "med", "lg-e", "lg")
    precision: str = "bf16"
    zero_stage: int = 2


PAPER = Dimensions()


def stages(
    first: Datasets, last: Datasets, dimensions: Dimensions, *, fps: int, bucketed: bool = False
) -> tuple[Stage, ...]:
    """[half size, freeze spatial, 4 fps, epsilon], [full size, freeze spatial, 4 fps, epsilon], [full size, v]."""
    buckets = BUCKETS if bucketed else None
    early = Stage(
        steps=dimensions.early_steps,
        resolution=dimensions.teacher_size // 2,
        fps=4,
        prediction="epsilon",
        freeze_spatial=True,
        datasets=first,
        buckets=buckets,
        lr=1e-4,
    )
    larger = replace(early, steps=dimensions.late_steps, resolution=dimensions.teacher_size)
    final = replace(
        larger, fps=fps, prediction="v_prediction", freeze_spatial=False, datasets=last, lr=2.5e-5
    )
    return (early, larger, final)


def teacher(name: str, network: str, legs: tuple[Stage, ...], dimensions: Dimensions, *, seed: int) -> Recipe:
    """A teacher. Values that the paper does not give are ours."""
    return Recipe(
        name=name,
        role="teacher",
        foundation=f"video_unets/{network}",
        stages=legs,
        seed=seed,
        batch_size=dimensions.batch_size,
        warmup_steps=dimensions.warmup_steps,
        lr_schedule="cosine",
        ema_decay=0.9999,
        zero_stage=dimensions.zero_stage,
        precision=dimensions.precision,  # type: ignore[arg-type]
        gradient_checkpointing=True,
        num_workers=dimensions.num_workers,
        checkpoint_every=dimensions.checkpoint_every,
        sampler=TRAINING_FREE,
    )


def teachers(dimensions: Dimensions) -> tuple[Recipe, ...]:
    """Two data orders, two frame rates, one of them bucketed by motion (section 3.2)."""
    keyword, neighbours = "keyword-artist", "neighbours-artist"
    consistency, motion = dimensions.consistency, dimensions.motion
    legs = (
        (f"{keyword}-8fps", consistency, stages(KEYWORD, ARTIST, dimensions, fps=8)),
        (f"{keyword}-4fps", motion, stages(KEYWORD, ARTIST, dimensions, fps=4)),
        (f"{neighbours}-8fps", motion, stages(NEIGHBOURS, ARTIST, dimensions, fps=8)),
        (f"{neighbours}-bucketed", consistency, stages(NEIGHBOURS, ARTIST, dimensions, fps=8, bucketed=True)),
    )
    return tuple(
        teacher(name, network, of_teacher, dimensions, seed=seed)
        for seed, (name, network, of_teacher) in enumerate(legs, start=1)
    )


def student(network: str, dimensions: Dimensions) -> Recipe:
    """A student of one of the paper's four architectures (section 3.3.2), which learns from the kept set."""
    return Recipe(
        name=f"student-{network}",
        role="student",
        foundation=f"video_unets/{network}",
        stages=(
            Stage(
                steps=dimensions.student_steps,
                resolution=dimensions.student_size,
                fps=8,
                prediction="v_prediction",
                datasets=(("kept", 1.0),),
                balance="captions",
                lr=5e-5,
            ),
        ),
        seed=31,
        batch_size=dimensions.batch_size,
        warmup_steps=dimensions.warmup_steps,
        ema_decay=0.9999,
        zero_stage=dimensions.zero_stage,
        precision=dimensions.precision,  # type: ignore[arg-type]
        gradient_checkpointing=True,
        num_workers=dimensions.num_workers,
        checkpoint_every=dimensions.checkpoint_every,
        sampler=TRAINING_FREE,
    )


def distillation(network: str, dimensions: Dimensions) -> Distillation:
    """Guidance and steps together, 32 guided steps to eight passes (section 3.3.3)."""
    return Distillation(
        name=f"distilled-{network}",
        student=f"student-{network}",
        steps=dimensions.distillation_steps,
        dataset="kept",
        balance="captions",
        resolution=dimensions.student_size,
        seed=41,
        batch_size=dimensions.batch_size,
        warmup_steps=dimensions.warmup_steps,
        zero_stage=dimensions.zero_stage,
        precision=dimensions.precision,  # type: ignore[arg-type]
        num_workers=dimensions.num_workers,
        checkpoint_every=dimensions.checkpoint_every,
    )


def build(dimensions: Dimensions = PAPER, *, name: str = "paper", shared: str = SHARED) -> Project:
    """The project at these dimensions, with its data and foundations in `shared`."""
    return Project(
        name=name,
        foundation=Foundation(place=f"{shared}/foundation"),
        collections=tuple(
            Collection(name=collection, place=f"{shared}/videos/{collection}")
            for collection in ("artist", "keyword", "neighbours")
        ),
        stickers=DrawnStickers(
            num_prompts=dimensions.num_prompts,
            language_model=f"{shared}/language-model",
            text_to_image=f"{shared}/text-to-image",
        ),
        teachers=teachers(dimensions),
        students=tuple(student(network, dimensions) for network in dimensions.students),
        distillations=tuple(distillation(network, dimensions) for network in dimensions.students),
        evaluation=Evaluation(stickers=StickerTable(table=f"{shared}/held-out.csv")),
    )


PAPER_TEACHERS = teachers(PAPER)
project = build()
