"""Sources of stickers: the first prompts keep their pictures, and what a source cannot give is one sentence."""

from pathlib import Path

import pytest
from PIL import Image

from stickers.artifacts.ids import prompt_id
from stickers.artifacts.records import Prompt, Refused, Sticker
from stickers.prompts.sources import (
    DrawnStickers,
    FunctionStickers,
    StickerSource,
    StickerTable,
    first_prompts,
    pictures_of,
)
from stickers.prompts.sticker_tables import Stickers
from stickers.toy.oracle import draw_sticker


def prompt(text: str) -> Prompt:
    return Prompt(prompt_id=prompt_id(text), text=text, bucket="action", source="test")


def sticker(text: str, index: int) -> Sticker:
    return Sticker(sticker_id=f"{text}-{index}", prompt_id=prompt_id(text), image_index=index, png=b"png")


BAD_ROW = Refused(uri="row 3", source="user", reason="the picture is empty")
STICKERS = Stickers(
    [prompt("a cat"), prompt("a dog"), prompt("a fox")],
    [sticker("a cat", 0), sticker("a dog", 0), sticker("a cat", 1), sticker("a fox", 0)],
    [BAD_ROW],
)


@pytest.fixture
def table(tmp_path: Path) -> StickerTable:
    """Three pictures of two prompts."""
    for name in ("fox", "cat"):
        Image.fromarray(draw_sticker(f"a {name}", 0, 16)).save(tmp_path / f"{name}.png")
    rows = ["prompt,picture,bucket", "a fox,fox.png,action", "a cat,cat.png,emotion", "a fox,cat.png,action"]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    return StickerTable(table=str(tmp_path / "table.csv"))


def test_the_first_prompts_keep_their_pictures_and_the_refused_rows() -> None:
    first = first_prompts(STICKERS, 2)
    assert [row.text for row in first.prompts] == ["a cat", "a dog"]
    assert [row.sticker_id for row in first.stickers] == ["a cat-0", "a dog-0", "a cat-1"]
    assert first.refused == [BAD_ROW]
    assert first_prompts(STICKERS, None) is STICKERS and first_prompts(STICKERS, 99) == STICKERS
    with pytest.raises(ValueError, match="the number of prompts is at least 1, got 0"):
        first_prompts(STICKERS, 0)


def test_pictures_of_one_prompt() -> None:
    assert [row.sticker_id for row in pictures_of(STICKERS, prompt("a cat"), "it")] == ["a cat-0", "a cat-1"]
    with pytest.raises(ValueError, match="our table has no picture of the prompt 'a hen'"):
        pictures_of(STICKERS, prompt("a hen"), "our table")


def test_a_table_gives_its_rows(table: StickerTable) -> None:
    source: StickerSource = table
    assert [(row.text, row.bucket) for row in source.stickers().prompts] == [
        ("a fox", "action"),
        ("a cat", "emotion"),
    ]
    assert len(source.stickers().stickers) == 3 and len(source.stickers(limit=1).stickers) == 2
    assert [row.image_index for row in source.pictures(prompt("a fox"))] == [0, 1]
    with pytest.raises(ValueError, match=r"table.csv has no picture of the prompt 'a hen'"):
        source.pictures(prompt("a hen"))
    assert source.origin == "own table"


def test_a_function_decides_what_a_limit_means() -> None:
    limits: list[int | None] = []

    def make(limit: int | None) -> Stickers:
        limits.append(limit)
        return first_prompts(STICKERS, limit)

    source: StickerSource = FunctionStickers(make=make, origin="our studio")
    assert len(source.stickers(limit=1).prompts) == 1 and len(source.stickers().prompts) == 3
    assert [row.sticker_id for row in source.pictures(prompt("a dog"))] == ["a dog-0"]
    assert limits == [1, None, None]
    with pytest.raises(ValueError, match="our studio has no picture of the prompt 'a hen'"):
        source.pictures(prompt("a hen"))


def test_stickers_that_models_draw_are_drawn_by_a_stage_of_their_own() -> None:
    source: StickerSource = DrawnStickers(num_prompts=10, text_to_image="models/sd")
    with pytest.raises(ValueError, match="run experiments/prompts.py, then experiments/draw.py"):
        source.stickers()
    with pytest.raises(ValueError, match="a text-to-image model draws"):
        source.pictures(prompt("a cat"))
