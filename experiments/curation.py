"""What the commands of `curate.py` share: they hash files, ask models about what is new, and say what came of it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.curator import REASON, VideoCaptioner, VideoEmbedder, ask
from stickers.curation.parts import Parts
from stickers.curation.videos import (
    Unread,
    VideoTable,
    beside,
    content_of,
    table_place,
    with_column,
    write_videos,
)

console = Console()
#: of the videos that cannot be read, so many are printed; all of them stand in a table
SHOWN = 10


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


def collect(
    rows: list[dict[str, str]],
    parts: Parts,
    actor: type[VideoEmbedder] | type[VideoCaptioner],
    *settings: Any,
) -> dict[str, str]:
    """Ask about rows and keep each block as it comes. Returns the reasons for files that cannot be read."""
    unread: dict[str, str] = {}
    with connect(), tqdm(total=len(rows), desc="model", unit="video") as bar:
        for block in ask(rows, actor, *settings):
            parts.add([{name: row[name] for name in parts.schema.names} for row in block if not row[REASON]])
            unread |= {row["file"]: row[REASON] for row in block if row[REASON]}
            bar.update(len(block))
    return unread


def check_out(out: Path, *inputs: Path) -> None:
    """ValueError when a table would be written over what it is made of, or has no known ending."""
    place = table_place(out)
    for each in inputs:
        if each.expanduser().resolve() == place:
            raise ValueError(f"{place} is read by this command; write to another table")


def check_positive(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {number}")


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
    show(f"{title}: {out}", ("", ""), [*lines, ("cannot be read", len(unread))])
    for reason in list(unread.values())[:SHOWN]:
        console.print(f"[yellow]unread[/] {reason}", highlight=False, soft_wrap=True)
    if len(unread) > SHOWN:
        console.print(f"{len(unread) - SHOWN} more; {place} has those of the table", highlight=False)


def show(title: str, columns: tuple[str, ...], lines: Iterable[tuple[Any, ...]]) -> None:
    table = Table(*columns, title=title)
    for line in lines:
        table.add_row(*(f"{each:,}" if isinstance(each, int) else str(each) for each in line))
    console.print(table)
