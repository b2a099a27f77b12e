"""What the commands of `curate.py` share: hashing files, asking models about new ones, and printing the result."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.markup import escape
from rich.table import Table

from actors.cluster import connect
from actors.curator import REASON, VideoCaptioner, VideoEmbedder, ask
from actors.screen import Bar, console, track
from stickers import storage
from stickers.curation.keywords import tokens
from stickers.curation.parts import Parts
from stickers.curation.video_tables import (
    Unread,
    VideoTable,
    beside,
    content_of,
    table_path,
    with_column,
    write_videos,
)
from stickers.errors import UserError

#: how many unreadable videos are printed; a table names all of them
SHOWN = 10
#: seconds of work that a killed command loses; parts grow with the speed of the machine
KEEP_EVERY_S = 15


def contents_of(files: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Content hashes by file, and for each unreadable file the reason."""
    unique_files = list(dict.fromkeys(files))
    contents: dict[str, str] = {}
    unread: dict[str, str] = {}
    with ThreadPoolExecutor(4) as pool:
        hashed = track(pool.map(content_of, unique_files), "hash", len(unique_files), "videos")
        for content, file in zip(hashed, unique_files, strict=True):
            if isinstance(content, Unread):
                unread[file] = content.reason
            else:
                contents[file] = content
    return contents, unread


def parts_of(runs: str, kind: str, digest: str, schema: pa.Schema) -> Parts:
    """The stored answers of the models of that digest, in the runs folder."""
    return Parts(storage.join(storage.resolve_runs(runs), "curation", kind, digest), schema)


def collect(
    rows: list[dict[str, str]],
    parts: Parts,
    actor: type[VideoEmbedder] | type[VideoCaptioner],
    *settings: Any,
) -> dict[str, str]:
    """Ask a model about rows and store its answers in `parts`, every few seconds and at the end, even after an error.

    Returns:
        The unreadable files with their reasons.
    """
    unread: dict[str, str] = {}
    held: list[dict[str, Any]] = []
    kept_at = time.monotonic()
    with connect(), Bar("ask the model", len(rows), "videos") as bar:
        try:
            for block in ask(rows, actor, *settings):
                held += [{name: row[name] for name in parts.schema.names} for row in block if not row[REASON]]
                unread |= {row["file"]: row[REASON] for row in block if row[REASON]}
                bar.advance(len(block))
                if time.monotonic() - kept_at > KEEP_EVERY_S:
                    parts.add(held)
                    held, kept_at = [], time.monotonic()
        finally:
            parts.add(held)
    return unread


def check_out(target: Path, *inputs: Path) -> None:
    """UserError: the table to write is one of the tables read, or has no known ending."""
    target_uri = table_path(target)
    for source in inputs:
        if source.expanduser().resolve() == target_uri:
            raise UserError(f"{target_uri} is read by this command; write to another table")


def check_positive(**numbers: int | None) -> None:
    """UserError: one of the options is below 1; None stands for an option that is not used."""
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {number}")


def finish(
    target: Path, title: str, lines: list[tuple[str, Any]], table: VideoTable, unread: dict[str, str]
) -> None:
    """Print the summary, and write the unreadable rows into a table beside the one that was written."""
    unread_path, files = beside(target, "unread"), table.files
    rows = [at for at, file in enumerate(files) if file in unread]
    if rows:
        unread_rows = table.rows.take(rows)
        write_videos(unread_path, with_column(unread_rows, REASON, [unread[files[at]] for at in rows]))
    elif unread_path.exists():
        unread_path.unlink()  # an earlier run's
    show(title, ("", ""), [*lines, ("cannot be read", len(unread))])
    say_written(target)
    for reason in list(unread.values())[:SHOWN]:
        console.print(f"[yellow]unread[/] {escape(reason)}", highlight=False, soft_wrap=True)
    if len(unread) > SHOWN:
        console.print(f"{len(unread) - SHOWN} more; {unread_path} lists the table's rows", highlight=False)


def say_written(*paths: Path) -> None:
    """Print the paths that were written, one on each line."""
    for path in paths:
        console.print(f"written: {path}", highlight=False, soft_wrap=True)


def show(title: str, columns: tuple[str, ...], lines: Iterable[tuple[Any, ...]]) -> None:
    """Print a table; numbers get thousands separators."""
    table = Table(*columns, title=title, show_header=any(columns))
    for line in lines:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in line))
    console.print(table)


def mean_words(texts: list[str]) -> float:
    """The mean number of words of the texts."""
    return sum(len(tokens(text)) for text in texts) / max(1, len(texts))
