"""From a folder of files to rows: which videos are usable, and for each other one a sentence that says why not."""

import csv
import io
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from stickers.artifacts import Clip, Refused
from stickers.data.latents import canonical
from stickers.video.motion import motion_score
from stickers.video.reading import read_video
from stickers.video.source import Source, UnreadableVideo

CAPTIONS = "captions.csv"
#: of the pictures only animated ones can be used; a still is refused with its reason, as any other file
VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".m4v", ".gif", ".webp", ".apng", ".png")
MIN_FRAMES = 8
#: how many times larger than needed a video is decoded: enough to cut it out cleanly, little enough for memory
OVERSIZE = 8


@dataclass(frozen=True)
class Listed:
    """A file that a collection names, whether or not it can be used."""

    path: str
    caption: str
    source: str


def list_collection(folder: str, source: str, *, captions: Path | None = None) -> list[Listed]:
    """The videos of one folder: the rows of its `captions.csv` (columns file, caption), then files it leaves out.

    Args:
        captions: the table of a folder further up; of that, the rows that lie in this one. Its own goes first.

    Raises:
        ValueError: there is no such folder, the table is none or lacks a column, or nothing in it is a video.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"there is no folder {folder}; --videos takes a folder of videos with a {CAPTIONS}")
    rows: list[Listed] = []
    if (root / CAPTIONS).exists():
        rows = [Listed(str(path), text, source) for path, text in _captions(root / CAPTIONS)]
    elif captions:
        said = _captions(captions)
        rows = [Listed(str(path), text, source) for path, text in said if root in path.parents]
    named = {row.path for row in rows}
    loose = sorted(p for p in root.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and str(p) not in named)
    rows += [Listed(str(path), "", source) for path in loose]
    if not rows:
        raise ValueError(f"{folder} holds no videos ({', '.join(VIDEO_SUFFIXES)}) and no {CAPTIONS}")
    return rows


def _captions(table: Path) -> list[tuple[Path, str]]:
    """Files, relative to their table, and what it says of them."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
        missing = {"file", "caption"} - set(reader.fieldnames or ())
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} is no CSV table in UTF-8: {error}") from error
    if missing:
        raise ValueError(f"{table} lacks the column {sorted(missing)[0]!r}; it needs file and caption")
    return [(table.parent / row["file"], row["caption"]) for row in rows]


def examine(listed: Listed, size: int) -> tuple[Clip, np.ndarray] | Refused:
    """Decode one file.

    Returns:
        Its manifest row and canonical frames, uint8 RGBA `[T, size, size, 4]`; or the reason it was refused.
    """
    try:
        data = Path(listed.path).read_bytes()
        frames, info = read_video(Source(listed.path, data), max_side=OVERSIZE * size)
    except FileNotFoundError:
        return Refused(uri=listed.path, source=listed.source, reason=f"{listed.path} does not exist")
    except (UnreadableVideo, OSError) as error:
        return Refused(uri=listed.path, source=listed.source, reason=str(error))
    if len(frames) < MIN_FRAMES:
        reason = f"{listed.path} has {len(frames)} frames, at least {MIN_FRAMES} are needed"
        return Refused(uri=listed.path, source=listed.source, reason=reason)
    pixels = canonical(frames, size)
    row = Clip(
        uri=listed.path,
        caption=listed.caption,
        source=listed.source,
        content=blake2b(data, digest_size=13).hexdigest(),
        num_frames=len(frames),
        fps=info.fps,
        width=info.width,
        height=info.height,
        has_alpha=info.has_alpha,
        motion_score=motion_score(pixels),
    )
    return row, pixels
