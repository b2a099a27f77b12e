"""The toy world as sources of a project: videos depend on seed and index alone, stickers keep to their side."""

from pathlib import Path

import pytest

from stickers.artifacts.ids import prompt_id
from stickers.artifacts.records import Prompt
from stickers.project import VideoSource
from stickers.prompts.sources import StickerSource
from stickers.storage.outside import open_table
from stickers.toy.project_parts import ToyStickers, ToyVideos
from stickers.toy.words import says_held_out


def captions_in(folder: Path) -> dict[str, str]:
    table = open_table(str(folder / "captions.csv"), needed=("file", "caption"))
    return {row.values["file"]: row.values["caption"] or "" for row in table.rows(("file", "caption"))}


def test_any_part_of_a_collection_can_be_drawn_anywhere(tmp_path: Path) -> None:
    source: VideoSource = ToyVideos(collection="artist", num_videos=4, seed=3)
    rows = source.write(str(tmp_path / "whole"), range(4))
    parts = [row for index in (2, 0, 3, 1) for row in source.write(str(tmp_path / "parts"), [index])]
    assert sorted(parts, key=lambda row: row["file"]) == rows
    for row in rows:
        assert (tmp_path / "whole" / row["file"]).read_bytes() == (
            tmp_path / "parts" / row["file"]
        ).read_bytes()
    source.finish(str(tmp_path / "whole"), rows)
    assert captions_in(tmp_path / "whole") == {row["file"]: row["caption"] for row in rows}


def test_one_collection_also_has_files_that_cannot_be_used(tmp_path: Path) -> None:
    source = ToyVideos(collection="keyword", num_videos=1, seed=0)
    source.finish(str(tmp_path), source.write(str(tmp_path), [0]))
    captions = captions_in(tmp_path)
    assert len(captions) == 6 and sum(name.startswith("broken-") for name in captions) == 5
    assert not (tmp_path / "broken-absent.mp4").exists()


def test_stickers_keep_to_their_side_of_the_hold_out() -> None:
    free: StickerSource = ToyStickers(num_prompts=5, size=16, seed=1)
    held: StickerSource = ToyStickers(num_prompts=5, size=16, seed=1, held_out=True)
    for source, pictures_each in ((free, 2), (held, 1)):
        stickers = source.stickers()
        assert len(stickers.prompts) == 5 and len(stickers.stickers) == 5 * pictures_each
        assert {says_held_out(prompt.text) for prompt in stickers.prompts} == {source is held}
        assert not stickers.refused and source.origin == "toy world"


def test_a_limit_takes_the_first_or_asks_for_more() -> None:
    source = ToyStickers(num_prompts=5, size=16, seed=1)
    assert source.stickers(limit=3).prompts == source.stickers().prompts[:3]
    assert source.stickers(limit=7).prompts[:5] == source.stickers().prompts
    with pytest.raises(ValueError, match="accepted: 1 to"):
        source.stickers(limit=0)


def test_any_prompt_of_the_grammar_has_two_pictures() -> None:
    source = ToyStickers(num_prompts=1, size=16, seed=1)
    prompt = Prompt(prompt_id=prompt_id("a fox waving"), text="a fox waving", bucket="action", source="test")
    pictures = source.pictures(prompt)
    assert [(row.prompt_id, row.image_index) for row in pictures] == [
        (prompt.prompt_id, 0),
        (prompt.prompt_id, 1),
    ]
    with pytest.raises(ValueError, match="none of the toy subjects"):
        source.pictures(Prompt(prompt_id="x", text="our mascot", bucket="action", source="test"))
