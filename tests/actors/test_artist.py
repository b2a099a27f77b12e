"""A text-to-image model as an actor: every drawing comes back once, as a sticker or with a reason."""

from pathlib import Path

import pyarrow as pa
import pytest

from actors.artist import Artist
from stickers.prompts.text_to_image import DRAWINGS, DRAWN, TEMPLATE, drawings_of
from stickers.toy.grammar import toy_prompts
from stickers.video.codec import decode_picture
from tests.conftest import byte_tokenizer
from tests.support.text_to_image import save_pipeline

SIZE = 48


@pytest.mark.parametrize("square", [True, False])
def test_every_drawing_comes_back_once(square: bool, tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "model", byte_tokenizer(tmp_path), square=square)
    drawings = drawings_of(toy_prompts(2, seed=0))
    table = pa.Table.from_pylist([vars(drawing) for drawing in drawings], schema=DRAWINGS)
    drawn = Artist(str(folder), SIZE, TEMPLATE, seed=0, steps=1)(table)
    assert drawn.schema == DRAWN
    for name in ("drawing_id", "prompt_id", "image_index"):
        assert drawn[name].to_pylist() == table[name].to_pylist()
    for png, reason in zip(drawn["png"].to_pylist(), drawn["reason"].to_pylist(), strict=True):
        if square:
            assert decode_picture(png).shape == (SIZE, SIZE, 4) and reason == ""
        else:
            assert png is None and "not of one colour" in reason
