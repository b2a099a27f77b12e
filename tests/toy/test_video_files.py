"""The toy collections: real files, as untidy as real ones, none of a held-out pair."""

import csv
from pathlib import Path

import numpy as np
import pytest

from stickers.errors import UserError
from stickers.toy import words
from stickers.toy.characters import SUBJECTS
from stickers.toy.video_files import (
    COLLECTIONS,
    FPS,
    HABITS,
    SIZES,
    clip_name,
    has_matte,
    write_broken_files,
    write_captions,
    write_clip,
)
from stickers.video.reading import probe


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_collections_hold_no_held_out_pair(collection: str, tmp_path: Path) -> None:
    """Neither drawn nor said: no caption names one, not even one that is wrong about its clip."""
    captions = [write_clip(str(tmp_path), collection, index, seed=3)["caption"] for index in range(15)]
    rng = np.random.default_rng(0)
    captions += [words.noisy_caption(*pair, rng) for pair in words.pairs(held=False) for _ in range(30)]
    phrases = {phrase: motion for motion, many in words.PHRASES.items() for phrase in many}
    named = [
        (subject, motion)
        for caption in captions
        for subject in SUBJECTS
        for phrase, motion in phrases.items()
        if subject in caption and phrase in caption
    ]
    assert len(named) > 100 and not any(words.held_out(*pair) for pair in named)


def test_files_are_as_real_collections_look(tmp_path: Path) -> None:
    rows = [write_clip(str(tmp_path), name, i, seed=0) for name in COLLECTIONS for i in range(8)]
    videos = [probe(str(tmp_path / row["file"])) for row in rows]
    assert {row["file"].rpartition(".")[2] for row in rows} == {"mp4", "mov"}
    assert len({video.width for video in videos}) >= 3 and len({video.fps for video in videos}) >= 4
    assert all(8 <= video.fps <= 30 and video.num_frames >= 8 for video in videos)
    assert {video.width for video in videos} <= {*SIZES} and {video.fps for video in videos} <= {*FPS}
    assert all(
        video.has_alpha for row, video in zip(rows, videos, strict=True) if row["file"].startswith("artist")
    )
    noisy = [row["caption"] for row in rows if row["file"].startswith("neighbours")]
    assert any(not caption or caption.startswith("IMG") for caption in noisy) or len(set(noisy)) == len(noisy)


def test_the_same_seed_and_index_draw_the_same_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    for folder in (one, two):
        for index in range(4, 10):
            write_clip(str(folder), "keyword", index, seed=9)
    for first in one.iterdir():
        assert first.read_bytes() == (two / first.name).read_bytes()


def test_names_tell_the_collection_the_number_and_the_matte() -> None:
    assert clip_name("artist", 7, matte=True) == "artist-00007.mov"
    assert clip_name("keyword", 123, matte=False) == "keyword-00123.mp4"
    assert all(has_matte("artist", index) for index in range(6))
    assert sum(has_matte("general", index) for index in range(300)) == 200
    assert not any(has_matte(name, index) for name in ("keyword", "neighbours") for index in range(6))


def test_artists_caption_with_care_and_the_rest_do_not() -> None:
    assert HABITS["artist"].noisy_caption == HABITS["artist"].bulk == HABITS["artist"].warped_speed == 0
    assert HABITS["artist"].key_pose and not HABITS["keyword"].key_pose
    assert 0 < HABITS["keyword"].noisy_caption < HABITS["neighbours"].noisy_caption


def test_artists_captions_are_prompts(tmp_path: Path) -> None:
    for index in range(10):
        caption = write_clip(str(tmp_path), "artist", index, seed=1)["caption"]
        assert len(words.meaning(caption).motions) == 1


def test_broken_files_are_broken_each_in_its_way(tmp_path: Path) -> None:
    rows = write_broken_files(str(tmp_path))
    assert [row["file"] for row in rows] == [
        f"broken-{kind}.mp4" for kind in ("truncated", "empty", "text", "short", "absent")
    ]
    assert {path.name for path in tmp_path.iterdir()} == {row["file"] for row in rows[:-1]}
    for row in (*rows[:3], rows[-1]):
        with pytest.raises(UserError):
            probe(str(tmp_path / row["file"]))
    assert probe(str(tmp_path / "broken-short.mp4")).num_frames == 5


def test_captions_go_into_the_table_that_a_users_own_folder_has(tmp_path: Path) -> None:
    rows = [{"file": "a.mp4", "caption": 'a "cat", waving'}, {"file": "b.mp4", "caption": ""}]
    write_captions(str(tmp_path), rows)
    with (tmp_path / "captions.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == rows
