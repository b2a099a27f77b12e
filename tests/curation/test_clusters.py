"""Pictures that are nearly the same are found, and fall into one part."""

import colorsys
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stickers.curation.clusters import (
    PARTS,
    THUMBNAIL_SIDE,
    Shares,
    clusters_of,
    differences,
    part_of,
    thumbnail,
)

SIDE = 96


def draw(shape: str, color: str, mark: int = 0) -> Image.Image:
    """A shape with a small mark somewhere inside it."""
    image = Image.new("RGBA", (SIDE, SIDE))
    pencil = ImageDraw.Draw(image)
    if shape == "disc":
        pencil.ellipse((4, 4, 92, 92), color)
    elif shape == "arrow":
        pencil.polygon([(4, 48), (60, 4), (60, 92)], color)
    else:
        pencil.rectangle((4, 60, 92, 92), color)
    pencil.rectangle((44 + mark, 66, 50 + mark, 72), "black")
    return image


def thumbnails(*pictures: Image.Image) -> np.ndarray:
    return np.stack([thumbnail(picture) for picture in pictures])


def test_small_differences_join_and_large_ones_do_not() -> None:
    pictures = thumbnails(
        draw("disc", "orange"),
        draw("disc", "orange", 12),
        draw("disc", "blue"),
        draw("bar", "orange"),
        draw("arrow", "orange"),
        draw("arrow", "orange").transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    )
    assert pictures.shape == (6, THUMBNAIL_SIDE, THUMBNAIL_SIDE, 4)
    assert clusters_of(pictures, list("abcdef")) == [0, 0, 1, 2, 3, 3]
    far = differences(pictures)
    np.testing.assert_array_equal(far, far.T)
    assert far[0, 0] == 0 and far[4, 5] < far[0, 1] < far[0, 2]


def test_white_shapes_are_told_apart_although_the_ground_is_white() -> None:
    white = thumbnails(draw("disc", "white"), draw("bar", "white"))
    assert clusters_of(white, ["a", "b"]) == [0, 1]


def test_differences_are_as_pixel_by_pixel() -> None:
    random = np.random.default_rng(0)
    alpha = random.integers(0, 256, (5, THUMBNAIL_SIDE, THUMBNAIL_SIDE, 1))
    colors = random.integers(0, 256, (5, THUMBNAIL_SIDE, THUMBNAIL_SIDE, 3)) * alpha // 255
    pictures = np.concatenate([colors, alpha], axis=-1).astype(np.uint8)

    def direct(first: np.ndarray, second: np.ndarray) -> float:
        squares = [
            (
                (
                    first[..., :3]
                    + ground * (255 - first[..., 3:]) / 255
                    - second[..., :3]
                    - ground * (255 - second[..., 3:]) / 255
                )
                / 255
            )
            ** 2
            for ground in (0.0, 255.0)
        ]
        area = (first[..., 3].sum() + second[..., 3].sum()) / 255 / 2
        return float(np.sqrt(sum(square.sum() for square in squares) / 6 / area))

    exact = pictures.astype(float)
    expected = [
        [min(direct(first, second), direct(first, second[:, ::-1])) for second in exact] for first in exact
    ]
    np.testing.assert_allclose(differences(pictures), expected, atol=1e-6)


def test_families_and_likeness_join_in_chains() -> None:
    hues = [colorsys.hsv_to_rgb(number / 4, 1, 1) for number in range(4)]
    discs = [draw("disc", "#" + "".join(f"{round(255 * part):02x}" for part in hue)) for hue in hues]
    pictures = thumbnails(*discs, draw("disc", "#ff0000", 12))
    assert clusters_of(pictures, list("abcde")) == [0, 1, 2, 3, 0]
    # the last is like the first, and of the third's family
    assert clusters_of(pictures, list("abcdc")) == [0, 1, 0, 2, 0]


def test_parts_depend_on_the_cluster_alone_and_have_their_shares() -> None:
    clusters = [f"{number:x}" for number in range(20_000)]
    parts = [part_of(cluster, seed=3) for cluster in clusters]
    assert parts == [part_of(cluster, seed=3) for cluster in clusters]
    counts = Counter(parts)
    assert [counts[part] / len(parts) for part in PARTS] == pytest.approx([0.80, 0.06, 0.14], abs=0.01)
    assert parts != [part_of(cluster, seed=4) for cluster in clusters]
    assert {part_of(cluster, 0, Shares(train=0.0, validation=1.0)) for cluster in clusters} == {"validation"}
