"""Contact sheets: every clip is shown, a still takes one tile, and what does not fit together is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from stickers.evaluation.contact_sheet import PAPER, contact_sheet
from stickers.toy.oracle import draw_sticker, truths

SIZE = 32
STILL = np.repeat(draw_sticker("a cat waving", 0, SIZE)[None], 8, axis=0)


def decoded(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    return picture


def solid(colour: tuple[int, int, int], num_frames: int = 2) -> np.ndarray:
    """A clip of one opaque colour whose last frame is black, so that it moves."""
    clip = np.full((num_frames, 8, 8, 4), (*colour, 255), np.uint8)
    clip[-1, ..., :3] = 0
    return clip


def test_a_contact_sheet_shows_every_clip() -> None:
    admitted = truths("a cat waving", 0, size=SIZE, num_frames=8, still_at=3)
    rows = [("a cat waving", [STILL, admitted[20]]), ("a dog crying", [STILL, None])]
    image = decoded(contact_sheet(rows, ["still", "student"], frames_shown=4, tile=48))
    assert image.width > 5 * 48
    pixels = np.asarray(image.convert("L")).astype(int)
    top, bottom = pixels[50:90, -230:], pixels[108:148, -230:]
    assert top.std() > 20 and bottom.std() == 0, "the absent clip must stay empty"


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="'a cat waving' has 1 clips for 2 labels"):
        contact_sheet([("a cat waving", [STILL])], ["still", "student"])
    with pytest.raises(ValueError, match="at least one row"):
        contact_sheet([], ["still"])


def test_frames_are_shown_in_order_from_the_first_to_the_last() -> None:
    clip = np.stack([np.full((8, 8, 4), (level, level, level, 255), np.uint8) for level in range(0, 250, 50)])
    pixels = np.asarray(decoded(contact_sheet([("x", [clip])], ["y"], frames_shown=3, tile=16)).convert("L"))
    row = pixels[16 + 30 + 8].astype(int)
    runs = [int(level) for level, before in zip(row[1:], row[:-1], strict=True) if level != before]
    shown = [level for level in runs if level in (0, 50, 100, 150, 200)]
    assert shown[-3:] == [0, 100, 200], runs


def test_a_clip_that_does_not_move_takes_one_tile() -> None:
    def count_green(clip: np.ndarray) -> int:
        sheet = decoded(contact_sheet([("x", [clip])], ["y"], frames_shown=4, tile=16))
        return int((np.asarray(sheet) == (0, 255, 0)).all(axis=-1).sum())

    frozen = np.full((5, 8, 8, 4), (0, 255, 0, 255), np.uint8)
    assert count_green(frozen) == 16 * 16
    assert count_green(solid((0, 255, 0), num_frames=8)) == 3 * 16 * 16, "three of four, the last is black"


def test_transparency_shows_as_checks_on_paper() -> None:
    sheet = np.asarray(decoded(contact_sheet([("x", [np.zeros((1, 8, 8, 4), np.uint8)])], ["y"], tile=32)))
    tile = sheet[46:78].reshape(-1, 3)
    white, grey = ((tile == colour).all(axis=-1).sum() for colour in ((255, 255, 255), (233, 230, 225)))
    assert white == grey == 32 * 32 / 2 and tuple(sheet[0, 0]) == PAPER
