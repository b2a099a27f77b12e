"""Tables of videos, in and out: what every step of curation reads and writes, and the next one reads again.

A table has the columns `file` and `caption` and any others, which travel along untouched. In memory files are
absolute; written, those below the table's own folder are relative to it, so that folder and table move together.
Everything that curation asks of the video library stands here.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from stickers import storage
from stickers.data import collections
from stickers.data.collections import list_collection, source_of
from stickers.errors import UserError
from stickers.storage.outside import SUFFIXES, open_table
from stickers.video.reading import probe, read_video
from stickers.video.source import UnreadableVideoError, VideoInfo

FILE, CAPTION = "file", "caption"
ACCEPTED = "a CSV, JSONL or Parquet table with the columns file and caption, or a folder of videos"


@dataclass(frozen=True)
class VideoTable:
    """`rows` have `file` (absolute), `caption` (empty where nothing is said) and any others; `folder` is the table's
    own, or the folder that was read."""

    folder: str
    rows: pa.Table

    @property
    def files(self) -> list[str]:
        return self.rows[FILE].to_pylist()

    @property
    def captions(self) -> list[str]:
        return self.rows[CAPTION].to_pylist()

    @property
    def names(self) -> list[str]:
        """What people's decisions call each video: its path from the table's folder, else the absolute one."""
        return [relative_to(self.folder, file) for file in self.files]


@dataclass(frozen=True)
class Unread:
    """A video that a step left out; `reason` is one sentence."""

    file: str
    reason: str


def read_videos(place: str | Path) -> VideoTable:
    """A table of videos, or a folder of them.

    Raises:
        UserError: nothing is there, it is no such table, a column is missing, or it has no rows.
    """
    path = Path(place).expanduser().resolve()
    if path.is_dir():
        listed = list(list_collection(str(path), "videos"))
        columns = {FILE: [each.path for each in listed], CAPTION: [each.caption for each in listed]}
        return _checked(path, str(path), pa.table(columns))
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise UserError(f"there is no table of videos {path}; accepted: {ACCEPTED}")
    return _checked(path, str(path.parent), open_table(path).to_arrow())


def write_videos(place: str | Path, rows: pa.Table) -> None:
    """Write rows whose files are absolute, whole or not at all; the ending of `place` decides the format.

    Raises:
        UserError: the ending is none of `SUFFIXES`, or a column does not fit into the format.
    """
    path = table_place(place)
    column = [relative_to(str(path.parent), file) for file in rows[FILE].to_pylist()]
    rows = rows.set_column(rows.column_names.index(FILE), FILE, pa.array(column, pa.string()))
    if path.suffix.lower() == ".parquet":
        storage.write_table(str(path), rows, rows.schema)
        return
    make = {".csv": _csv_text, ".jsonl": _jsonl_text}[path.suffix.lower()]
    try:
        text = make(rows)
    except TypeError as error:
        raise UserError(f"{path}: {error}; write these columns to a .parquet table") from error
    storage.write_bytes(str(path), text.encode())


def table_place(place: str | Path) -> Path:
    """Where a table is written, absolute. UserError when its ending names no format."""
    path = Path(place).expanduser().resolve()
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: a table is written as {', '.join(SUFFIXES)}")
    return path


def beside(place: str | Path, word: str) -> Path:
    """The table next to `place` that holds something else: `kept.csv` and `rejected` give `kept-rejected.csv`."""
    path = table_place(place)
    return path.with_name(f"{path.stem}-{word}{path.suffix}")


def with_column(
    rows: pa.Table, name: str, values: Sequence[object], kind: pa.DataType | None = None
) -> pa.Table:
    """`rows` with a column of that name, in place of one that is there already."""
    column = pa.array(values, kind or pa.string())
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, column)
    return rows.append_column(name, column)


def relative_to(folder: str, file: str) -> str:
    """The path from `folder` for what lies below it, else `file`."""
    return file.removeprefix(folder.rstrip("/") + "/")


def look(file: str, max_side: int) -> tuple[np.ndarray, VideoInfo] | Unread:
    """All frames, uint8 RGBA `[T, H, W, 4]` with no side above `max_side`; or why there are none."""
    try:
        return read_video(source_of(file), max_side=max_side)
    except (UnreadableVideoError, OSError) as error:
        return Unread(file, str(error))


def size_of(file: str) -> tuple[int, int] | Unread:
    """Width and height of the video itself, in pixels; or why they are not known."""
    try:
        info = probe(source_of(file))
    except (UnreadableVideoError, OSError) as error:
        return Unread(file, str(error))
    return info.width, info.height


def content_of(file: str) -> str | Unread:
    """Hash of a file's bytes, which follows a video wherever it is moved; or why there is none."""
    try:
        return collections.content_of(file)
    except OSError as error:
        return Unread(file, f"{file}: {error.strerror}" if error.strerror else str(error))
    except UserError as error:
        return Unread(file, str(error))


def evenly_spaced(frames_THWC: np.ndarray, count: int) -> np.ndarray:
    """`count` frames from the first to the last; a shorter video shows some of them twice."""
    return frames_THWC[np.linspace(0, len(frames_THWC) - 1, count).round().astype(int)]


def _checked(path: Path, folder: str, rows: pa.Table) -> VideoTable:
    if not rows.num_rows:
        raise UserError(f"{path} has no rows")
    for name in (FILE, CAPTION):
        if name not in rows.column_names:
            raise UserError(f"{path} lacks the column {name!r}; it needs file and caption")
    try:
        files, captions = (rows[name].cast(pa.string()).to_pylist() for name in (FILE, CAPTION))
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: file and caption must be text: {error}") from error
    if not all(files):
        empty = next(number for number, file in enumerate(files, 1) if not file)
        raise UserError(f"{path}: row {empty} names no file")
    files = [file if "://" in file else str(Path(folder) / file) for file in files]
    rows = with_column(rows, FILE, files)
    return VideoTable(folder, with_column(rows, CAPTION, [text or "" for text in captions]))


def _csv_text(rows: pa.Table) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(rows.column_names)
    for row in rows.to_pylist():
        writer.writerow([_plain(value) for value in row.values()])
    return buffer.getvalue()


def _plain(value: object) -> object:
    """What a CSV field can say: text, numbers, nothing; anything else as JSON."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def _jsonl_text(rows: pa.Table) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.to_pylist())
