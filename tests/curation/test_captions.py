"""Captions become richer without repetitions, from real models of three kinds."""

from pathlib import Path

import numpy as np
import pytest

from stickers.curation.captions import (
    BlipCaptioner,
    TokenEntities,
    caption_key,
    captioner_digest,
    describe,
    phrases,
    richer,
)
from stickers.curation.video_tables import read_videos

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("frames", "entities", "caption"),
    [
        (
            ["a cat", "a cat waving", "a cat waving its paw"],
            ["Hello Kitty"],
            "a cat waving its paw, Hello Kitty",
        ),
        (["a cat waving", "the cat waving", "a dog"], ["cats", "moon"], "a cat waving, a dog, moon"),
        (["a cat cat cat on on a mat", ""], [], "a cat on a mat"),
        (["a red cat a red cat a red cat"], [], "a red cat"),
        (["a cat.", "two cats"], [], "two cats"),
        ([], ["moon", "Moon", "moons"], "moon"),
        (["", " . "], [], "what it said"),
    ],
)
def test_nothing_is_said_twice(frames: list[str], entities: list[str], caption: str) -> None:
    assert richer(frames, entities, "what it said") == caption


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        (
            "Funny Pusheen cat, eating ramen at the birthday party!",
            ["Pusheen cat", "eating ramen", "birthday party"],
        ),
        ("hello_kitty_12.gif #fyp #Sanrio https://x.com/a?b=c", ["hello kitty", "Sanrio"]),
        ("Spider-Man and Spider-Man with Ann's dog", ["Spider-Man", "Ann's dog"]),
        ("people laughing loudly together because something happened", []),
        ("", []),
        ("кот на луне", ["кот на луне"]),
    ],
)
def test_the_rule_finds_runs_between_stop_words(caption: str, names: list[str]) -> None:
    assert phrases([caption]) == [names]


def painted(*colours: tuple[int, int, int]) -> np.ndarray:
    """A video whose frames are of one colour each."""
    frames = np.full((len(colours), 24, 32, 4), 255, np.uint8)
    frames[..., :3] = np.array(colours)[:, None, None]
    return frames


def test_blip_says_of_each_frame_what_it_shows(blip_folder: Path) -> None:
    red, blue, change = painted(*[RED] * 9), painted(BLUE, BLUE), painted(*[RED] * 4, *[BLUE] * 5)
    captioner = BlipCaptioner(blip_folder, num_frames=3)
    captions = captioner([red, blue, change])
    cat, moon = "a red cat", "the big moon"
    assert captions == [[cat] * 3, [moon] * 3, [cat, moon, moon]]
    assert (
        captioner([change]) == captions[2:]
        and richer(captions[2], ["red cats", "Mars"], "") == f"{cat}, {moon}, Mars"
    )
    change[..., 3] = 0
    assert captioner([change])[0] == captioner([painted((255, 255, 255))])[0], "transparent pixels are white"


def test_a_token_classifier_finds_names_as_they_are_written(entity_folder: Path) -> None:
    find = TokenEntities(entity_folder)
    assert find(["the cat Hello  Kitty jumping", "", "big red dog"]) == [["Hello  Kitty"], [], []]
    assert find(["", " "]) == [[], []]
    assert find(["hello kitty " + "cat " * 2000]) == [["hello kitty"]], "long captions are cut"


def test_a_batch_goes_on_without_unreadable_videos(blip_folder: Path, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    rows = [
        {"key": "a", "file": str(tmp_path / "bad.mp4"), "caption": "x"},
        {"key": "b", "file": read_videos(videos).files[0], "caption": "Hello Kitty waving on the moon"},
    ]
    captioner = BlipCaptioner(blip_folder, num_frames=2)
    descriptions, unread = describe(rows, captioner, phrases)
    assert [row["key"] for row in descriptions] == ["b"] and len(descriptions[0]["frames"]) == 2
    assert descriptions[0]["entities"] == ["Hello Kitty waving", "moon"]
    assert [video.file for video in unread] == [rows[0]["file"]]
    assert describe(rows[:1], captioner, phrases)[0] == []


def test_other_models_and_other_captions_are_asked_again(blip_folder: Path, entity_folder: Path) -> None:
    digests = {
        captioner_digest(blip_folder, entities, frames, beams)
        for entities, frames, beams in [(None, 4, 3), (entity_folder, 4, 3), (None, 2, 3), (None, 4, 1)]
    }
    assert len(digests) == 4
    assert caption_key("c", "a") != caption_key("c", "b")


def test_a_folder_of_another_kind_is_refused(clip_folder: Path, blip_folder: Path) -> None:
    with pytest.raises(ValueError, match="cannot be loaded as AutoModelForImageTextToText: Unrecognized"):
        BlipCaptioner(clip_folder)
    with pytest.raises(ValueError, match="cannot be loaded as AutoModelForTokenClassification: Unrecognized"):
        TokenEntities(blip_folder)
