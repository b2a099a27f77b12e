"""The general domain's things: they move in bulk, by the formulas, and stand before nothing or a panning texture."""

from dataclasses import replace
from math import pi

import numpy as np
import pytest

from stickers.toy.motions import Mode
from stickers.toy.objects import (
    BULK_MOTIONS,
    OBJECTS,
    TEXTURES,
    Thing,
    behind,
    cloud,
    random_colour,
    render_thing,
)

SIZE = 48
MODE = Mode(amplitude=0.9, hz=0.5)  # half a cycle a second: at half a second the swing is at its height
THING = replace(Thing.draw(np.random.default_rng(0), matte=True), shape="ball", texture="plain", size=0.4)


def area(frame: np.ndarray) -> float:
    return float(frame[..., 3].sum()) / 255


def centre_of(frame: np.ndarray) -> np.ndarray:
    """Where the middle of what is seen lies, in shares of the canvas."""
    alpha = frame[..., 3].astype(float)
    y, x = (np.mgrid[0 : len(alpha), 0 : len(alpha)] + 0.5) / len(alpha)
    return np.array([(x * alpha).sum(), (y * alpha).sum()]) / alpha.sum()


def moved(motion: str, seconds: float, mode: Mode = MODE) -> np.ndarray:
    first, second = render_thing(THING, motion, mode, np.array([0.0, seconds]), SIZE)
    return centre_of(second) - centre_of(first)


@pytest.mark.parametrize("shape", OBJECTS)
def test_shapes_and_textures_are_drawn(shape: str) -> None:
    pictures = {
        texture: render_thing(replace(THING, shape=shape, texture=texture), "slide", MODE, np.zeros(1), SIZE)[
            0
        ]
        for texture in TEXTURES
    }
    for picture in pictures.values():
        assert picture.shape == (SIZE, SIZE, 4) and picture.dtype == np.uint8
        assert not picture[[0, 0, -1, -1], [0, -1, 0, -1], 3].any(), (
            "a thing with a matte leaves the corners free"
        )
        assert area(picture) > 0.02 * SIZE**2
    assert len({picture.tobytes() for picture in pictures.values()}) == len(TEXTURES)


def test_shapes_differ() -> None:
    masks = {
        render_thing(replace(THING, shape=shape), "slide", MODE, np.zeros(1), SIZE)[0, ..., 3].tobytes()
        for shape in OBJECTS
    }
    assert len(masks) == len(OBJECTS)


def test_bulk_motions_follow_their_formulas() -> None:
    assert moved("slide", 0.5) == pytest.approx([0.2 * 0.9, 0], abs=0.01)
    assert moved("slide", 0.5, replace(MODE, direction=-1)) == pytest.approx([-0.2 * 0.9, 0], abs=0.01)
    assert moved("bounce", 1.0) == pytest.approx([0, -0.26 * 0.9], abs=0.01)
    assert moved("drift", 0.5) == pytest.approx([0.14 * 0.9, -0.14 * 0.9], abs=0.01)
    for motion in ("spin", "zoom"):
        assert moved(motion, 0.5) == pytest.approx([0, 0], abs=0.01)
    first, swollen = render_thing(THING, "zoom", MODE, np.array([0.0, 0.5]), SIZE)
    assert area(swollen) / area(first) == pytest.approx((1 + 0.3 * 0.9) ** 2, rel=0.03)


@pytest.mark.parametrize("motion", BULK_MOTIONS)
def test_a_motion_moves_and_comes_back(motion: str) -> None:
    thing = replace(THING, shape="kite", texture="striped", turn=0.3)
    first, later, again = render_thing(thing, motion, MODE, np.array([0.1, 0.6, 2.1]), SIZE).astype(int)
    assert np.abs(later - first).mean() > 1 and np.abs(again - first).max() <= 2


def test_a_spin_turns_the_thing() -> None:
    box = replace(THING, shape="box", texture="plain", turn=0.0)
    # a quarter turn of a box is the same box: at half a cycle a second that takes half a second
    start, eighth, quarter = render_thing(box, "spin", MODE, np.array([0.0, 0.25, 0.5]), SIZE)[..., 3].astype(
        int
    )
    assert np.abs(quarter - start).mean() < 1 < np.abs(eighth - start).mean()
    assert eighth.sum() == pytest.approx(start.sum(), rel=0.02)


def test_without_a_matte_there_is_a_texture_behind() -> None:
    thing = Thing.draw(np.random.default_rng(1), matte=False)
    assert thing.backdrop is not None
    frames = render_thing(thing, "spin", MODE, np.array([0.0, 1.0]), SIZE)
    assert (frames[..., 3] == 255).all() and not np.array_equal(frames[0, :4], frames[1, :4])


def test_the_texture_behind_pans_and_wraps() -> None:
    backdrop = cloud(np.random.default_rng(0), 3, 96)
    at_zero, one_second = (np.asarray(behind(backdrop, MODE, seconds, 96)) for seconds in (0.0, 1.0))
    assert np.array_equal(at_zero[..., :3], backdrop)
    shift = round(1.0 * 0.5 * 96 / 4)
    assert np.array_equal(one_second[..., :3], np.roll(backdrop, shift, axis=1))
    assert np.array_equal(np.asarray(behind(backdrop, MODE, 8.0, 96)), at_zero)


def test_clouds_are_smooth_and_colours_keep_off_the_extremes() -> None:
    rng = np.random.default_rng(0)
    picture = cloud(rng, 3, 96)
    assert picture.shape == (96, 96, 3) and picture.dtype == np.uint8 and picture.std() > 10
    assert np.abs(np.diff(picture.astype(int), axis=1)).max() < 20
    channels = [channel for _ in range(300) for channel in random_colour(rng)]
    assert 10 <= min(channels) < 20 and 236 < max(channels) <= 245


def test_things_are_drawn_at_random_and_by_their_seed() -> None:
    rng = np.random.default_rng(0)
    things = [Thing.draw(rng, matte=True) for _ in range(100)]
    assert {thing.shape for thing in things} == {*OBJECTS} and {thing.texture for thing in things} == {
        *TEXTURES
    }
    assert all(0.4 <= thing.size <= 0.62 and 0 <= thing.turn <= 2 * pi for thing in things)
    assert Thing.draw(np.random.default_rng(3), matte=True) == Thing.draw(
        np.random.default_rng(3), matte=True
    )
