"""Reads and writes tables of videos, which all steps of curation share.

A table has the columns `file` and `caption`; other columns are passed on unchanged. In memory files are absolute; in a
written table, files below its folder are relative to it, so that folder and table can move together. All calls of
curation to the video library are here.
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
    """A table of videos: `rows` have `file` (absolute), `caption` (may be empty) and any others.

    `folder` is the folder of the table, or the folder that was read.
    """

    folder: str
    rows: pa.Table

    @property
    def files(self) -> list[str]:
        """The absolute file of each row."""
        files: list[str] = self.rows[FILE].to_pylist()
        return files

    @property
    def captions(self) -> list[str]:
        """The caption of each row."""
        captions: list[str] = self.rows[CAPTION].to_pylist()
        return captions

    @property
    def names(self) -> list[str]:
        """The name of each video in decisions: its path from the table's folder, or the absolute path."""
        return [relative_to(self.folder, file) for file in self.files]


@dataclass(frozen=True)
class Unread:
    """A video that a step could not use; `reason` is one sentence."""

    file: str
    reason: str


def read_videos(source: str | Path) -> VideoTable:
    """A table of videos, or a folder of them.

    Raises:
        UserError: the file is missing or no such table, a column is missing, or it has no rows.
    """
    path = Path(source).expanduser().resolve()
    if path.is_dir():
        listed = list(list_collection(str(path), "videos"))
        columns = {FILE: [video.path for video in listed], CAPTION: [video.caption for video in listed]}
        return _checked(path, str(path), pa.table(columns))
    if not path.is_file() or path.suffix.lower() not in SUFFIXES:
        raise UserError(f"there is no table of videos {path}; accepted: {ACCEPTED}")
    return _checked(path, str(path.parent), open_table(path).to_arrow())


def write_videos(target: str | Path, rows: pa.Table) -> None:
    """Write rows whose files are absolute, completely or not at all; the ending of `target` decides the format.

    Raises:
        UserError: the ending is none of `SUFFIXES`, or a column does not fit into the format.
    """
    path = table_path(target)
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


def table_path(target: str | Path) -> Path:
    """The absolute path of a table to write. UserError when its ending names no format."""
    path = Path(target).expanduser().resolve()
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: a table is written as {', '.join(SUFFIXES)}")
    return path


def beside(target: str | Path, word: str) -> Path:
    """A second table next to the first: `kept.csv` and `rejected` give `kept-rejected.csv`."""
    path = table_path(target)
    return path.with_name(f"{path.stem}-{word}{path.suffix}")


def with_column(
    rows: pa.Table, name: str, values: Sequence[object], kind: pa.DataType | None = None
) -> pa.Table:
    """`rows` with this column, which replaces an existing one of its name."""
    column = pa.array(values, kind or pa.string())
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, column)
    return rows.append_column(name, column)


def relative_to(folder: str, file: str) -> str:
    """The path of `file` from `folder` where it lies below, else `file`."""
    return file.removeprefix(folder.rstrip("/") + "/")


def look(file: str, max_side: int) -> tuple[np.ndarray, VideoInfo] | Unread:
    """All frames, uint8 RGBA `[T, H, W, 4]` with no side above `max_side`, and the info; or the reason for none."""
    try:
        return read_video(source_of(file), max_side=max_side)
    except (UnreadableVideoError, OSError) as error:
        return Unread(file, str(error))


def size_of(file: str) -> tuple[int, int] | Unread:
    """Width and height of the video, in pixels; or the reason why they are unknown."""
    try:
        info = probe(source_of(file))
    except (UnreadableVideoError, OSError) as error:
        return Unread(file, str(error))
    return info.width, info.height


def content_of(file: str) -> str | Unread:
    """Hash of a file's bytes, which stays the same when the file moves; or the reason why there is none."""
    try:
        return collections.content_of(file)
    except OSError as error:
        return Unread(file, f"{file}: {error.strerror}" if error.strerror else str(error))
    except UserError as error:
        return Unread(file, str(error))


def evenly_spaced(frames_THWC: np.ndarray, num_frames: int) -> np.ndarray:
    """`num_frames` frames from the first to the last; of a shorter video, some occur twice."""
    return frames_THWC[np.linspace(0, len(frames_THWC) - 1, num_frames).round().astype(int)]


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
    """The value of a CSV field: text, numbers and None as they are, other values as JSON."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def _jsonl_text(rows: pa.Table) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.to_pylist())
