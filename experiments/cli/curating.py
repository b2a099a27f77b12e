"""What the commands of `curate.py` share: they hash files, ask models about what is new, and say what came of it."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.curator import REASON, VideoCaptioner, VideoEmbedder, ask
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

console = Console()
#: of the videos that cannot be read, so many are printed; all of them stand in a table
SHOWN = 10
#: seconds of work that a killed command loses; parts grow with the speed of the machine
KEEP_EVERY_S = 15


def contents_of(files: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Content hashes by file, and for the others the reason why there is none."""
    every = list(dict.fromkeys(files))
    contents: dict[str, str] = {}
    unread: dict[str, str] = {}
    with ThreadPoolExecutor(4) as pool:
        for file, found in zip(every, tqdm(pool.map(content_of, every), "hash", len(every), unit="video")):
            if isinstance(found, Unread):
                unread[file] = found.reason
            else:
                contents[file] = found
    return contents, unread


def parts_of(runs: str, kind: str, digest: str, schema: pa.Schema) -> Parts:
    """What the models of that digest have said so far, in the runs folder."""
    return Parts(storage.join(storage.resolve_runs(runs), "curation", kind, digest), schema)


def collect(
    rows: list[dict[str, str]],
    parts: Parts,
    actor: type[VideoEmbedder] | type[VideoCaptioner],
    *settings: Any,
) -> dict[str, str]:
    """Ask about rows and keep what comes, every few seconds and when it ends, however it ends.

    Returns:
        The reasons for files that cannot be read.
    """
    unread: dict[str, str] = {}
    held: list[dict[str, Any]] = []
    kept_at = time.monotonic()
    with connect(), tqdm(total=len(rows), desc="model", unit="video") as bar:
        try:
            for block in ask(rows, actor, *settings):
                held += [{name: row[name] for name in parts.schema.names} for row in block if not row[REASON]]
                unread |= {row["file"]: row[REASON] for row in block if row[REASON]}
                bar.update(len(block))
                if time.monotonic() - kept_at > KEEP_EVERY_S:
                    parts.add(held)
                    held, kept_at = [], time.monotonic()
        finally:
            parts.add(held)
    return unread


def check_out(out: Path, *inputs: Path) -> None:
    """UserError when a table would be written over what it is made of, or has no known ending."""
    place = table_path(out)
    for each in inputs:
        if each.expanduser().resolve() == place:
            raise UserError(f"{place} is read by this command; write to another table")


def check_positive(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {number}")


def finish(
    out: Path, title: str, lines: list[tuple[str, Any]], table: VideoTable, unread: dict[str, str]
) -> None:
    """The summary, and beside the table that was written one of the rows that could not be read."""
    place, files = beside(out, "unread"), table.files
    rows = [at for at, file in enumerate(files) if file in unread]
    if rows:
        left = table.rows.take(rows)
        write_videos(place, with_column(left, REASON, [unread[files[at]] for at in rows]))
    elif place.exists():
        place.unlink()  # an earlier run's
    show(title, ("", ""), [*lines, ("cannot be read", len(unread))])
    say_written(out)
    for reason in list(unread.values())[:SHOWN]:
        console.print(f"[yellow]unread[/] {escape(reason)}", highlight=False, soft_wrap=True)
    if len(unread) > SHOWN:
        console.print(f"{len(unread) - SHOWN} more; {place} has those of the table", highlight=False)


def say_written(*places: Path) -> None:
    for place in places:
        console.print(f"written: {place}", highlight=False, soft_wrap=True)


def show(title: str, columns: tuple[str, ...], lines: Iterable[tuple[Any, ...]]) -> None:
    table = Table(*columns, title=title, show_header=any(columns))
    for line in lines:
        table.add_row(*(f"{each:,}" if isinstance(each, int) else str(each) for each in line))
    console.print(table)


def mean_words(texts: list[str]) -> float:
    return sum(len(tokens(text)) for text in texts) / max(1, len(texts))
