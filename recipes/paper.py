"""Teachers at full size, by the paper's section 3.1: its example of stages, and how its teachers differ (section 3.2).

They ask for sets named `artist`, `keyword` and `neighbours` at 256 and 512 pixels, and for two foundations of any size
in `models/sizes.py`. Batches (128 to 512), rates (2.5e-5 to 1e-4) and steps (thousands) are the paper's; the edges of
motion buckets are a person's to set, with `experiments/buckets.py`.
"""

from stickers.data.motion_buckets import MotionBuckets
from stickers.diffusion.sampling import TRAINING_FREE
from stickers.training.recipe import Recipe, Stage

Datasets = tuple[tuple[str, float], ...]

#: these edges fill the three buckets evenly on the toy's keyword set, no more; look at your own videos and set yours
BUCKETS = MotionBuckets(edges=(50.6, 75.2), rates=(4, 6, 8))


def stages(
    first: Datasets, last: Datasets, *, fps: int, buckets: MotionBuckets | None = None
) -> tuple[Stage, ...]:
    """[256p, freeze spatial, 4 fps, epsilon], [512p, freeze spatial, 4 fps, epsilon], [512p, unfreeze, v]."""
    early = {"fps": 4, "prediction": "epsilon", "freeze_spatial": True, "buckets": buckets, "lr": 1e-4}
    return (
        Stage(steps=10_000, resolution=256, datasets=first, **early),  # type: ignore[arg-type]
        Stage(steps=5_000, resolution=512, datasets=first, **early),  # type: ignore[arg-type]
        Stage(
            steps=5_000,
            resolution=512,
            fps=fps,
            prediction="v_prediction",
            datasets=last,
            buckets=buckets,
            lr=2.5e-5,
        ),
    )


def teacher(name: str, foundation: str, legs: tuple[Stage, ...], *, seed: int) -> Recipe:
    """A teacher on sixteen GPUs; every value that the paper does not give is ours."""
    return Recipe(
        name=name,
        role="teacher",
        foundation=f"video_unets/{foundation}",
        stages=legs,
        seed=seed,
        batch_size=128,
        warmup_steps=500,
        lr_schedule="cosine",
        ema_decay=0.9999,
        zero_stage=2,
        gradient_checkpointing=True,
        num_workers=16,
        checkpoint_every=500,
        sampler=TRAINING_FREE,
    )


KEYWORD: Datasets = (("keyword", 1.0),)
NEIGHBOURS: Datasets = (("neighbours", 1.0),)
ARTIST: Datasets = (("artist", 1.0),)

PAPER_TEACHERS = (
    teacher("keyword-artist-8fps", "consistency", stages(KEYWORD, ARTIST, fps=8), seed=1),
    teacher("keyword-artist-4fps", "motion", stages(KEYWORD, ARTIST, fps=4), seed=2),
    teacher("neighbours-artist-8fps", "motion", stages(NEIGHBOURS, ARTIST, fps=8), seed=3),
    teacher(
        "neighbours-artist-bucketed",
        "consistency",
        stages(NEIGHBOURS, ARTIST, fps=8, buckets=BUCKETS),
        seed=4,
    ),
)
