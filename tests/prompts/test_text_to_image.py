"""Static stickers: cut out, centred, drawn again when they cannot be used, and said why when they never can."""

from pathlib import Path

import numpy as np
import pytest

from stickers.artifacts.records import Sticker
from stickers.prompts.text_to_image import ATTEMPTS, StickerArtist, TextToImage, drawings_of, placed
from stickers.toy.grammar import toy_prompts
from stickers.toy.oracle import draw_sticker
from stickers.video.codec import decode_picture
from tests.conftest import byte_tokenizer
from tests.support.text_to_image import save_pipeline

SIZE = 48
PROMPTS = toy_prompts(3, seed=0)


def on(colour: tuple[int, int, int], offset: int = 0) -> np.ndarray:
    """A toy character on a solid colour, moved to the side: uint8 RGB."""
    picture = np.roll(draw_sticker("a cat waving", 0, 64), offset, axis=1)
    alpha = picture[..., 3:].astype(np.float32) / 255
    return (picture[..., :3] * alpha + np.float32(colour) * (1 - alpha)).round().astype(np.uint8)


def box(sticker_HWC: np.ndarray) -> tuple[int, int, int, int]:
    """Free pixels above, below, left and right of the subject."""
    visible = sticker_HWC[..., 3] > 127
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    return rows[0], SIZE - 1 - rows[-1], columns[0], SIZE - 1 - columns[-1]


@pytest.mark.parametrize("offset", [-6, 0, 6])
def test_a_subject_is_cut_out_and_centred(offset: int) -> None:
    sticker = placed(on((40, 200, 90), offset), SIZE)
    top, bottom, before, after = box(sticker)
    assert abs(top - bottom) <= 2 and abs(before - after) <= 2 and min(top, bottom, before, after) >= 2
    assert max(SIZE - top - bottom, SIZE - before - after) >= 0.8 * SIZE, "as large as the margin allows"
    assert (sticker[sticker[..., 3] == 0][..., :3] == 255).all(), "white below what is not seen"


def test_a_model_s_own_alpha_is_kept() -> None:
    soft = np.zeros((64, 64, 4), np.uint8)
    soft[10:30, 5:45] = [200, 30, 30, 120]
    sticker = placed(soft, SIZE)
    assert 100 < sticker[SIZE // 2, SIZE // 2, 3] < 140 and sticker[0, 0, 3] == 0


def test_what_cannot_be_cut_out_says_why() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="not of one colour"):
        placed(noise, SIZE)
    with pytest.raises(ValueError, match="nothing is seen"):
        placed(np.full((64, 64, 3), 250, np.uint8), SIZE)
    with pytest.raises(ValueError, match="nothing is seen"):
        placed(np.zeros((64, 64, 4), np.uint8), SIZE)


def test_it_draws_again_and_gives_up_in_the_end() -> None:
    drawings, calls = drawings_of(PROMPTS), list[tuple[str, int]]()

    def draw(text: str, seed: int) -> np.ndarray:
        """Good at the first go, at the second, or never: by the prompt."""
        calls.append((text, seed))
        if text == f"<{PROMPTS[2].text}>":
            raise RuntimeError("no words for it\nnor lines")
        good = text == f"<{PROMPTS[0].text}>" or sum(earlier == text for earlier, _ in calls) > 1
        return on((0, 0, 255)) if good else noise

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    results = StickerArtist(draw, SIZE, template="<{prompt}>").make(drawings)
    assert [isinstance(result, Sticker) for result in results] == [True, True, True, True, False, False]
    assert results[4] == results[5] == f"RuntimeError: no words for it ({ATTEMPTS} tries)"
    assert len({seed for _, seed in calls}) == len(calls) == 2 + 3 + 2 * ATTEMPTS, (
        "every try has noise of its own"
    )
    first = results[0]
    assert isinstance(first, Sticker) and decode_picture(first.png).shape == (SIZE, SIZE, 4)
    assert [result.image_index for result in results if isinstance(result, Sticker)] == [0, 1, 0, 1]


def test_a_diffusers_folder_draws_and_its_seeds_decide(tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "noise", byte_tokenizer(tmp_path), square=False)
    draw = TextToImage(folder, steps=1)
    one, two, again = draw("a cat", 1), draw("a cat", 2), draw("a dog", 1)
    assert one.shape == (32, 32, 3) and one.dtype == np.uint8
    assert not np.array_equal(one, two) and np.array_equal(draw("a cat", 2), two)
    assert again.shape == one.shape
    refused = StickerArtist(draw, 32).make(drawings_of(PROMPTS[:1]))
    assert all("not of one colour" in str(reason) and "(3 tries)" in str(reason) for reason in refused)
    with pytest.raises(ValueError, match="cannot be loaded as a text-to-image pipeline"):
        TextToImage(tmp_path / "nowhere")
