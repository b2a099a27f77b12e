"""From pictures to folders: every file has a name or a reason, and no subject or cluster lies in two parts."""

import csv
import io
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stickers.curation.emoji_names import EmojiNames
from stickers.curation.npm_packages import Member
from stickers.curation.sticker_folders import (
    ANIMATIONS,
    NO_PICTURE,
    PICTURES,
    REPEATED,
    SAME_NAME,
    SIGNS,
    STILLS,
    STILLS_OF_ANIMATIONS,
    UNREADABLE,
    Picture,
    arrange,
    is_picture,
    look_at,
    pictures_of,
    pictures_table,
    row_of,
    write_tables,
    write_texts,
)
from tests.support.npm import SIDE, names_json, picture

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def names() -> EmojiNames:
    return EmojiNames.from_json(names_json(), "names")


def look(path: str, data: bytes, package: str = "p@1") -> Picture:
    return look_at(package, Member(path, data))


def test_frames_are_counted_not_guessed() -> None:
    still, moving = look("a/still.webp", picture("red")), look("a/moving.webp", picture("red", num_frames=5))
    assert (still.num_frames, still.fps, still.is_animated) == (1, 0.0, False)
    assert (moving.num_frames, moving.fps, moving.is_animated) == (5, 20.0, True)
    assert (moving.width, moving.height, moving.stem) == (SIDE, SIDE, "moving")
    apng = look("a/moving.png", picture("red", num_frames=5, kind="PNG"))
    assert (apng.num_frames, apng.fps) == (5, 20.0)
    assert look("a/still.png", picture("red", kind="PNG")).num_frames == 1
    # a WebP of one frame in an animation's form is a still
    assert look("a/one.webp", picture("red", num_frames=1)).num_frames == 1
    assert still.thumbnail == look("b.webp", picture("red", num_frames=5)).thumbnail


def test_what_cannot_be_read_has_its_reason() -> None:
    good = picture("red", num_frames=3)
    for data in (b"", b"no picture", good[: len(good) // 2], good[:20]):
        assert look("a.webp", data).reason
    assert look("a.png", b"\x89PNG\r\n\x1a\nand no more").reason
    assert is_picture(Member("a/B.WEBP", b"")) and not is_picture(Member("a/.gitkeep", b""))


def test_pictures_survive_their_table() -> None:
    pictures = [look("1f44b.webp", picture("red", num_frames=2)), look("x.webp", b"")]
    assert pictures_of(pictures_table(pictures)) == pictures
    assert pictures_table([]).schema == PICTURES


def test_every_file_becomes_a_sticker_or_has_a_reason(names: EmojiNames) -> None:
    pictures = [
        look("1f44b.webp", picture("orange"), "stills@1"),
        look("1f680.webp", picture("red", 30), "stills@1"),
        look("2757.webp", picture("blue", 16), "stills@1"),
        look("1f44b.webp", picture("orange", num_frames=4), "moving@1"),
        look("1f44b-1f3ff.webp", picture("brown"), "moving@1"),
        look("1f680.webp", picture("red", 30), "moving@1"),
        look("b/2757.webp", picture("navy", 16), "moving@1"),
        look("smile.webp", picture("pink"), "moving@1"),
        look("1f600.webp", picture("plum"), "moving@1"),
        look("1f34e.webp", b"no picture", "moving@1"),
    ]
    arrangement = arrange(pictures, names, seed=0)
    kinds = {(sticker.picture.package, sticker.emoji.name, sticker.kind) for sticker in arrangement.stickers}
    assert kinds == {
        ("stills@1", "waving hand", STILLS_OF_ANIMATIONS),
        ("moving@1", "waving hand", STILLS_OF_ANIMATIONS),
        ("moving@1", "waving hand", ANIMATIONS),
        ("stills@1", "rocket", STILLS),
        ("stills@1", "red exclamation mark", SIGNS),
    }
    tone = next(sticker for sticker in arrangement.stickers if sticker.emoji.skin_tone == "dark")
    assert tone.file == f"skin-tones/stills-of-animations/{tone.part}/waving-hand_1f44b-1f3ff.webp"
    reasons = {(unused.path, unused.reason) for unused in arrangement.unused}
    assert ("1f680.webp", REPEATED) in reasons and ("1f34e.webp", UNREADABLE) in reasons
    assert ("b/2757.webp", SAME_NAME) in reasons
    assert len(arrangement.stickers) + len(arrangement.unused) == len(pictures)
    assert all(unused.package == "moving@1" for unused in arrangement.unused)
    assert NO_PICTURE not in {reason for _, reason in reasons}


def mosaic(seed: int, tone: int) -> bytes:
    """Sixteen fields of random colours, unlike any other seed's; tones differ a little."""
    colors = np.random.default_rng(seed).integers(0, 240, (4, 4, 3)) + tone
    buffer = io.BytesIO()
    Image.fromarray(colors.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(
        buffer, "WEBP", lossless=True
    )
    return buffer.getvalue()


def test_no_subject_and_no_cluster_crosses_the_split() -> None:
    """Sixty subjects in three tones: pairs are alike by pixels, and twelve are ships, trees and lamps."""
    nouns = ("ship", "tree", "lamp")
    entries, pictures = {}, []
    for number, letter in enumerate(LETTERS + LETTERS.upper() + "@[]^_`|~"):
        noun = nouns[number % 3] if number < 12 else f"thing{number}"
        entries[letter] = {"name": f"{letter} {noun}", "group": "Objects"}
        for at, tone in enumerate(("", "-1f3fb", "-1f3ff")):
            pictures.append(look(f"{ord(letter):x}{tone}.webp", mosaic(number // 2, 3 * at + number % 2)))
    names = EmojiNames.from_json(json.dumps(entries).encode(), "names")
    arrangement = arrange(pictures, names, seed=3)
    by_subject, by_cluster = defaultdict(set), defaultdict(set)
    for sticker in arrangement.stickers:
        by_subject[sticker.emoji.subject].add((sticker.cluster, sticker.part))
        by_cluster[sticker.cluster].add(sticker.part)
    assert len(by_subject) == 60 and all(len(parts) == 1 for parts in by_subject.values())
    assert len({part for parts in by_cluster.values() for part in parts}) == 3
    assert all(len(parts) == 1 for parts in by_cluster.values())
    # six pairs of ships, trees and lamps are linked to one another, the other pairs stand alone
    assert len(by_cluster) == 1 + 24
    by_family = defaultdict(set)
    for sticker in arrangement.stickers:
        by_family[sticker.emoji.family].add(sticker.cluster)
    assert all(len(clusters) == 1 for clusters in by_family.values())
    shuffled = arrange(pictures[::-1], names, seed=3)
    assert shuffled.split_digest == arrangement.split_digest
    assert shuffled.layout_digest == arrangement.layout_digest
    assert arrange(pictures, names, seed=4).split_digest != arrangement.split_digest


def test_tables_say_everything(names: EmojiNames, tmp_path: Path) -> None:
    pictures = [
        look("1f44b.webp", picture("orange", num_frames=4)),
        look("1f680.webp", picture("red", 30)),
        look("smile.webp", picture("pink")),
    ]
    arrangement = arrange(pictures, names, seed=0)
    write_tables(tmp_path, arrangement, {"p@1": "MIT"})
    write_texts(tmp_path)
    with (tmp_path / "stickers.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    moving, still = arrangement.stickers
    assert rows[0] == {name: str(value) for name, value in row_of(moving, "MIT").items()}
    assert rows[0]["num_frames"] == "4" and rows[0]["fps"] == "20.0" and rows[0]["license"] == "MIT"
    assert rows[0]["split"] == moving.part and rows[0]["cluster"] == "1f44b"
    captions = (tmp_path / moving.folder / "captions.csv").read_text()
    assert captions == "file,caption\nwaving-hand_1f44b.webp,waving hand\n"
    prompts = (tmp_path / still.folder / "prompts.csv").read_text()
    assert prompts == "prompt,picture\nrocket,rocket_1f680.webp\n"
    assert "smile.webp,its name is not made of code points" in (tmp_path / "unused.csv").read_text().replace(
        '"', ""
    )
    assert "MIT License" in (tmp_path / "licenses" / "MIT.txt").read_text()
