"""The ensemble: two data orders x two frame rates, over two foundations (paper section 3.2).

Both orders end on the artist set alone, the best there is: a fifth of lesser clips at the end costs more than it adds.
The data before it and the frame rate make teachers fail in different ways.
"""

from recipes.toy.foundations import toy_sampler
from stickers.data.mixture import Window
from stickers.training.recipe import Recipe, Stage

Datasets = tuple[tuple[str, float], ...]

ORDERS: dict[str, tuple[Datasets, Datasets]] = {
    "keyword-artist": ((("keyword", 1.0),), (("artist", 1.0),)),
    "neighbours-artist": ((("neighbours", 1.0),), (("artist", 1.0),)),
}
#: artists' clips pass the sticker's own pose halfway; in the others no moment is special
WINDOWS: tuple[Window, Window] = ("any", "halfway")
#: (order, fps, foundation): each order at each rate, each foundation under each order
ENSEMBLE = (
    ("keyword-artist", 8, "consistency"),
    ("keyword-artist", 4, "motion"),
    ("neighbours-artist", 8, "motion"),
    ("neighbours-artist", 4, "consistency"),
)


def toy_teachers(*, size: int, steps: tuple[int, int], lr: float) -> tuple[Recipe, ...]:
    """Four teachers at `size` pixels; `steps` are those of the two stages."""
    return tuple(
        _teacher(order, fps, foundation, seed=21 + i, size=size, steps=steps, lr=lr)
        for i, (order, fps, foundation) in enumerate(ENSEMBLE)
    )


def _teacher(
    order: str, fps: int, foundation: str, *, seed: int, size: int, steps: tuple[int, int], lr: float
) -> Recipe:
    first, second = (
        Stage(
            steps=count,
            resolution=size,
            fps=fps,
            prediction="sample_residual",
            datasets=datasets,
            window=window,
            lr=lr,
        )
        for count, datasets, window in zip(steps, ORDERS[order], WINDOWS, strict=True)
    )
    return Recipe(
        name=f"{order}-{fps}fps",
        role="teacher",
        foundation=f"video_unets/{foundation}",
        stages=(first, second),
        seed=seed,
        batch_size=8,
        precision="fp32",
        zero_stage=0,
        checkpoint_every=100,
        sampler=toy_sampler(fps=fps),
    )
