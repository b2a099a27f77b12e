"""The whole command: on small packages packed by npm, killed, on a full disk, and on the real names package."""

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from experiments import fetch_stickers
from experiments.fetch_stickers import PACKAGES, SPLIT_SEED, alone_in, main
from stickers import storage
from stickers.curation.clusters import part_of
from stickers.curation.emoji_names import EmojiNames, caption_of
from stickers.curation.npm_packages import fetch, read_members
from stickers.data.collections import list_collection
from stickers.errors import UserError
from stickers.prompts.sticker_tables import import_stickers
from tests.support.npm import emoji_packages, names_json, needs_npm, pack, picture, pinned
from tests.support.processes import wait_for

pytestmark = needs_npm
ROOT = Path(__file__).parents[2]
NUM_FLAGS = 300
AWAY = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "network", "E404", "E403")


@pytest.fixture(scope="module")
def tarballs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return tuple(emoji_packages(tmp_path_factory.mktemp("packages")))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two packages of many small pictures: flags, which nothing else is like."""
    folder = tmp_path_factory.mktemp("flags")
    pairs = [(first, second) for first in range(18) for second in range(18)][:NUM_FLAGS]
    letters = {pair: [chr(0x1F1E6 + letter) for letter in pair] for pair in pairs}
    names = {"".join(emoji): {"name": f"flag {pair}", "group": "Flags"} for pair, emoji in letters.items()}
    stems = ["-".join(f"{ord(letter):x}" for letter in emoji) for emoji in letters.values()]
    stills = {f"a/{stem}.webp": picture(f"hsl({at}, 80%, 50%)", at % 9) for at, stem in enumerate(stems)}
    moving = {f"a/{stem}.webp": picture(f"hsl({at}, 80%, 40%)", at % 9, 2) for at, stem in enumerate(stems)}
    return (
        pack(folder, "names", {"data-by-emoji.json": json.dumps(names).encode()}),
        pack(folder, "stills", stills),
        pack(folder, "moving", moving),
    )


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as lines:
        return list(csv.DictReader(lines))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "experiments" / "fetch_stickers.py"), *map(str, arguments)]


def test_small_packages_become_folders_that_the_next_commands_read(
    tarballs: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "stickers"
    main(folder, tarballs)
    summary = capsys.readouterr().out
    rows = rows_of(folder / "stickers.csv")
    assert Counter(row["kind"] for row in rows) == {
        "animations": 3,
        "stills": 2,
        "signs": 1,
        "stills-of-animations": 3,
    }
    assert all((folder / row["file"]).stat().st_size for row in rows)
    waving = next(row for row in rows if row["codes"] == "1f44b" and row["animated"] == "True")
    assert waving["caption"] == "waving hand" and waving["num_frames"] == "5" and waving["fps"] == "20.0"
    assert waving["license"] == "MIT" and waving["package"] == "emoji-moving@0.0.1"

    clips = [clip for at in (folder / "animations").iterdir() for clip in list_collection(str(at), at.name)]
    assert {clip.caption for clip in clips} == {"waving hand", "rocket"} and len(clips) == 2
    dark = [
        clip for at in (folder / "skin-tones/animations").iterdir() for clip in list_collection(str(at), "x")
    ]
    assert [clip.caption for clip in dark] == ["waving hand, dark skin"]
    prompts = [
        prompt.text
        for table in (folder / "stills").rglob("prompts.csv")
        for prompt in import_stickers(str(table)).prompts
    ]
    assert sorted(prompts) == ["green apple", "red apple"]

    unused = {(row["package"], row["file"]): row["reason"] for row in rows_of(folder / "unused.csv")}
    moving = "emoji-moving@0.0.1"
    assert unused == {
        (moving, "assets/1f34e.webp"): "the same picture is taken from elsewhere",
        (moving, "assets/1f431.webp"): "it is no readable picture",
        (moving, "assets/1f600.webp"): "no emoji has these code points",
        (
            moving,
            "assets/smile.webp",
        ): "its name is not made of code points, hexadecimal numbers with - between",
        (moving, "assets/notes.txt"): "it is no WebP or PNG picture",
    }
    assert all(f"not used, 1 files: {reason}" in summary for reason in unused.values())
    assert (folder / "licenses/emoji-stills-0.0.1/LICENSE").read_text() == "MIT License"
    parts = defaultdict(set)
    for row in rows:
        parts[row["cluster"]].add(row["split"])
    assert all(len(names) == 1 for names in parts.values())
    assert parts.keys() >= {"1f44b", "1f680"} and sum(row["cluster"] == "1f34e" for row in rows) == 2
    assert all(tarball.exists() for tarball in tarballs)


def test_a_second_run_repeats_nothing_and_brings_back_what_is_missing(
    tarballs: tuple[Path, ...], tmp_path: Path
) -> None:
    main(tmp_path, tarballs)
    before = contents(tmp_path)
    pictures = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.webp")}
    lost, cut = sorted(pictures)[:2]
    lost.unlink()
    cut.write_bytes(b"RIFF")
    (tmp_path / ".packages" / "fetching-a" / "cache").mkdir(parents=True)
    (tmp_path / ".packages" / "fetching-a" / "cache" / "part").write_bytes(b"of a killed npm")
    (cut.parent / f"{storage.TEMPORARY}a-b.webp").write_bytes(b"of a killed writer")
    main(tmp_path, tarballs)
    assert contents(tmp_path) == before
    rewritten = {path for path, at in pictures.items() if path.stat().st_mtime_ns != at}
    assert rewritten == {lost, cut}
    shutil.rmtree(tmp_path / "licenses")
    main(tmp_path, tarballs)
    assert contents(tmp_path) == before


def test_folders_of_others_are_left_alone(
    tarballs: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is not empty, and this command did not fill it"):
        main(tmp_path, tarballs)
    with pytest.raises(UserError, match="file is a file; --folder takes a new folder"):
        main(tmp_path / "file", tarballs)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

    folder = tmp_path / "stickers"
    main(folder, tarballs)
    with pytest.raises(UserError, match="holds the stickers of other packages"):
        main(folder, tarballs[:2])
    with (
        alone_in(fetch_stickers.StickerFolder(folder)),
        pytest.raises(UserError, match="another command is filling"),
    ):
        main(folder, tarballs)
    part = part_of("1f44b", SPLIT_SEED)
    other_seed = next(seed for seed in range(1000) if part_of("1f44b", seed) != part)
    monkeypatch.setattr(fetch_stickers, "SPLIT_SEED", other_seed)
    with pytest.raises(UserError, match="was filled by another version of this command"):
        main(folder, tarballs)


def test_packages_that_are_not_what_they_say_are_refused(tarballs: tuple[Path, ...], tmp_path: Path) -> None:
    names, stills = PACKAGES[0], tarballs[1]
    forged = pack(tmp_path, names.name, {"data-by-emoji.json": names_json()}, names.version)
    with pytest.raises(UserError, match=f"the tarball of {names.spec} is not the one"):
        main(tmp_path / "a", (forged, stills))
    with pytest.raises(UserError, match="none of the packages emoji-stills@0.0.1 holds data-by-emoji.json"):
        main(tmp_path / "b", (stills,))
    with pytest.raises(UserError, match=r"there is no tarball"):
        main(tmp_path / "c", (tmp_path / "absent.tgz",))


def test_pinned_packages_come_through_npm_and_their_tarballs_go(
    tarballs: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """npm packs the fixture's folders in place of fetching; everything else is as with the registry."""

    class Folder(type(PACKAGES[0])):  # type: ignore[misc]
        @property
        def spec(self) -> str:
            return str(tarballs[0].parent / f"source-{self.name}")

    names = ("emoji-names", "emoji-stills", "emoji-moving")
    local = tuple(
        Folder(**vars(pinned(tarball, name))) for tarball, name in zip(tarballs, names, strict=True)
    )
    monkeypatch.setattr(fetch_stickers, "PACKAGES", local)
    folder = tmp_path / "stickers"
    main(folder)
    assert len(rows_of(folder / "stickers.csv")) == 9 and not list((folder / ".packages").glob("*.tgz"))
    assert not list((folder / ".packages").glob("fetching-*"))
    lost = folder / rows_of(folder / "stickers.csv")[0]["file"]
    content = lost.read_bytes()
    lost.unlink()
    main(folder)
    assert lost.read_bytes() == content and not list((folder / ".packages").glob("*.tgz"))


@pytest.mark.timeout(600)
def test_a_killed_command_goes_on_and_ends_as_if_it_had_not_been(
    many: tuple[Path, ...], tmp_path: Path
) -> None:
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "stickers"
    main(undisturbed, many)
    written: dict[Path, int] = {}
    for count in (1, 2 * NUM_FLAGS // 3, 4 * NUM_FLAGS // 3):
        kill_after(count, folder, many)
        assert all(path.stat().st_mtime_ns == at for path, at in written.items())
        written = {path: path.stat().st_mtime_ns for path in pictures_in(folder)}
    assert len(written) < 2 * NUM_FLAGS, "no kill came before the end"
    main(folder, many)
    assert all(path.stat().st_mtime_ns == at for path, at in written.items())
    assert contents(folder) == contents(undisturbed)


def kill_after(count: int, folder: Path, packages: tuple[Path, ...]) -> None:
    """Run the command, and kill -9 it as soon as it has written so many pictures."""
    process = subprocess.Popen(
        command("--folder", folder, "--packages", *packages),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: process.poll() is not None or num_pictures(folder) >= count)
    process.kill()
    process.wait()


def pictures_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.webp") if not path.name.startswith(".")]


def num_pictures(folder: Path) -> int:
    return len(pictures_in(folder))


FULL_DISK = """
set -u
mount -t tmpfs -o size=600k tmpfs "$1"
disk=$1; shift
"$@"
echo "exit $?"
mount -o remount,size=64m "$disk"
"$@"
echo "exit $?"
cat "$disk"/stickers/stickers.csv
"""


def test_a_full_disk_is_one_sentence_and_the_command_goes_on(many: tuple[Path, ...], tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk of their own")
    disk = tmp_path / "disk"
    disk.mkdir()
    arguments = command("--folder", disk / "stickers", "--packages", *many)
    done = subprocess.run(
        [*alone, "bash", "-c", FULL_DISK, "bash", disk, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    first, second = done.stdout.split("exit 1\n")
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert len(errors) == 1 and "No space left on device" in errors[0], done.stderr
    assert "Traceback" not in done.stderr and "written:" not in first
    assert second.split("exit 0\n")[1].count(".webp,") == 2 * NUM_FLAGS


def test_the_real_names_fit_the_captions_that_replace_some(tmp_path: Path) -> None:
    """The smallest pinned package, through the registry."""
    tarball = tmp_path / "names.tgz"
    try:
        fetch(PACKAGES[0], tarball, lambda num_bytes: None)
    except UserError as error:
        if any(code in str(error) for code in AWAY):
            pytest.skip(f"the registry is out of reach: {error}")
        raise
    table = next(member.data for member in read_members(tarball) if member.path == "data-by-emoji.json")
    names = EmojiNames.from_json(table, "names").by_codes
    real = {name for name, _ in names.values()}
    captions_file = ROOT / "platform" / "stickers" / "curation" / "emoji_captions.csv"
    replaced = {row["name"]: row["caption"] for row in rows_of(captions_file)}
    assert replaced.keys() <= real, replaced.keys() - real
    captions = Counter(map(caption_of, real))
    assert [caption for caption, count in captions.items() if count > 1] == []
    groups = {group for _, group in names.values()}
    assert {"Flags", "Symbols", "Animals & Nature", "People & Body", "Smileys & Emotion"} <= groups
