"""Metrics without a truth: a still moves by nothing and is all alike, and likeness is the formula's."""

from itertools import pairwise

import numpy as np
import pytest

from stickers.evaluation.measures import METRICS
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import draw_sticker, look_of

PROMPT, SIZE = "a fox waving", 32
STICKER = draw_sticker(PROMPT, 0, SIZE)
STILL = np.repeat(STICKER[None], 8, axis=0)
WAVING = render_motion(look_of(PROMPT, 0), "wave", Mode(hz=1 / 8), np.arange(8) - 3, SIZE)


def measure(name: str, clip: np.ndarray, sticker: np.ndarray = STICKER) -> float:
    (metric,) = (metric for metric in METRICS if metric.name == name)
    return metric.measure(clip, sticker)


def test_names_are_unique_and_every_metric_is_explained() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) == 3
    assert {metric.name: metric.better for metric in METRICS} == {
        "motion_size": "neither",
        "consistency": "more",
        "likeness": "more",
    }
    assert all(len(metric.explanation.split()) > 5 for metric in METRICS)


def test_a_still_moves_by_nothing_and_is_all_alike() -> None:
    assert measure("motion_size", STILL) == 0
    assert measure("consistency", STILL) == pytest.approx(1) == measure("likeness", STILL)


def test_a_motion_moves_and_passes_through_its_picture() -> None:
    assert measure("motion_size", WAVING) > 0.5 and 0.5 < measure("consistency", WAVING) < 1
    assert measure("likeness", WAVING) == pytest.approx(1), "frame 3 is the picture"
    shuffled = WAVING[[4, 1, 6, 0, 7, 2, 5, 3]]
    assert measure("motion_size", shuffled) > measure("motion_size", WAVING)
    assert measure("likeness", shuffled) == measure("likeness", WAVING), "however the clip moves"


def test_likeness_falls_by_the_difference_of_the_nearest_frame() -> None:
    grey = np.full((4, 4, 4), (100, 100, 100, 255), np.uint8)
    clip = np.stack([grey, grey, grey])
    clip[..., :3] += np.array([90, 51, 120], np.uint8)[:, None, None, None]
    assert measure("likeness", clip, grey) == pytest.approx(1 - 51 / 255)
    invisible = grey.copy()
    invisible[..., 3] = 0
    assert measure("likeness", clip, invisible) == pytest.approx(1 - 35 / 255), "over white, 220 is nearest"


def test_likeness_does_not_rank_by_colour_below_transparency() -> None:
    coloured, plain = (np.zeros((1, 4, 4, 4), np.uint8) for _ in range(2))
    coloured[..., 0] = 200
    assert measure("likeness", coloured, plain[0]) == 1


def test_more_noise_is_less_consistent() -> None:
    rng = np.random.default_rng(0)
    values = []
    for spread in (0, 20, 80):
        noise = rng.integers(-spread, spread + 1, STILL.shape)
        noise[..., 3] = 0
        values.append(measure("consistency", (STILL.astype(int) + noise).clip(0, 255).astype(np.uint8)))
    assert all(noisier < cleaner for cleaner, noisier in pairwise(values))
