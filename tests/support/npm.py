"""Small npm packages of emoji, packed by the real npm client, which needs no network for it."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from stickers.curation.npm_packages import NpmPackage, integrity_of

SIDE = 64
NAMES = {
    "👋": ("waving hand", "People & Body"),
    "🐱": ("cat face", "Animals & Nature"),
    "😺": ("grinning cat", "Smileys & Emotion"),
    "🚀": ("rocket", "Travel & Places"),
    "🍎": ("red apple", "Food & Drink"),
    "🍏": ("green apple", "Food & Drink"),
    "❗": ("red exclamation mark", "Symbols"),
}
needs_npm = pytest.mark.skipif(
    shutil.which("npm") is None, reason="npm is not installed; .ci/run installs it"
)


def picture(color: str, corner: int = 0, num_frames: int = 1, kind: str = "WEBP") -> bytes:
    """A bar that grows from frame to frame; stills of different `corner` differ."""
    frames = []
    for number in range(num_frames):
        frame = Image.new("RGBA", (SIDE, SIDE))
        ImageDraw.Draw(frame).rectangle((corner, 8, corner + 20 + 6 * number, 40), color)
        frames.append(frame)
    buffer = io.BytesIO()
    frames[0].save(
        buffer, kind, save_all=num_frames > 1, append_images=frames[1:], duration=50, lossless=True
    )
    return buffer.getvalue()


def names_json() -> bytes:
    return json.dumps(
        {emoji: {"name": name, "group": group} for emoji, (name, group) in NAMES.items()}
    ).encode()


def pack(folder: Path, name: str, files: dict[str, bytes], version: str = "0.0.1") -> Path:
    """The tarball of a package of these files."""
    source = folder / f"source-{name.replace('/', '-')}"
    for path, data in {"package.json": manifest(name, version), **files}.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    command = ["npm", "pack", str(source), "--pack-destination", str(folder), "--json"]
    command += ["--cache", str(folder / "cache"), "--offline"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return folder / json.loads(done.stdout)[0]["filename"]


def manifest(name: str, version: str) -> bytes:
    return json.dumps({"name": name, "version": version, "license": "MIT"}).encode()


def pinned(tarball: Path, name: str, version: str = "0.0.1") -> NpmPackage:
    return NpmPackage(name, version, integrity_of(tarball), tarball.stat().st_size)


def emoji_packages(folder: Path) -> list[Path]:
    """Names, stills and animations: of five subjects two are animated, one of them in a second skin tone, a still lies
    in both packages, and three files cannot become stickers."""
    stills = {
        "1f44b.webp": picture("orange", 0),
        "1f44b-1f3ff.webp": picture("brown", 0),
        "1f680.webp": picture("red", 30),
        "1f34e.webp": picture("purple", 4),
        "1f34f.webp": picture("green", 36),
        "2757.webp": picture("blue", 16),
    }
    animations = {
        "1f44b.webp": picture("orange", 0, 5),
        "1f44b-1f3ff.webp": picture("brown", 0, 5),
        "1f680.webp": picture("red", 30, 3),
        "1f34e.webp": stills["1f34e.webp"],
        "smile.webp": picture("pink", 7),
        "1f600.webp": picture("pink", 9),
        "1f431.webp": b"RIFF, but no picture",
        "notes.txt": b"no picture",
    }
    texts = {"README.md": b"# stickers", "LICENSE": b"MIT License"}
    return [
        pack(folder, "emoji-names", {"data-by-emoji.json": names_json(), **texts}),
        pack(folder, "emoji-stills", {f"assets/{name}": data for name, data in stills.items()} | texts),
        pack(folder, "emoji-moving", {f"assets/{name}": data for name, data in animations.items()} | texts),
    ]
