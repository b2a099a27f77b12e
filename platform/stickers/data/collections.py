"""Lists collections row by row: files of a folder, rows of a table, members of WebDataset shards.

A collection may have millions of rows, so no function holds them all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b, file_digest
from pathlib import Path

from stickers import storage
from stickers.errors import UserError
from stickers.storage.outside import MEMBER, SUFFIXES, open_table, parse_json, read_member, tar_members
from stickers.video.source import Source

CAPTIONS = "captions.csv"
#: bytes of a file's hash
DIGEST_BYTES = 13
#: pictures may be animated; a still is refused later, with its reason
VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".m4v", ".gif", ".webp", ".apng", ".png")


@dataclass(frozen=True)
class Listed:
    """A video of a collection, whether or not it can be used. `path` is a file or `shard.tar::member`."""

    path: str
    caption: str
    source: str


def list_collection(uri: str, source: str, *, captions: Path | None = None) -> Iterator[Listed]:
    """The videos of a folder, of a table (CSV, JSONL or Parquet with columns file, caption) or of a tar shard.

    A folder gives the rows of its `captions.csv`, then the files that are not in it, then the members of its tar files.

    Args:
        captions: the table of a parent folder, used where the folder has none; only rows within the folder count.

    Raises:
        UserError: the collection does not exist, a table cannot be read or lacks a column, or there are no videos.
    """
    root = Path(uri)
    if root.is_file() and root.suffix.lower() in SUFFIXES:
        rows: Iterable[tuple[str, str]] = _of_table(root)
    elif root.is_file() and root.suffix == ".tar":
        rows = _of_tar(root)
    elif root.is_dir():
        rows = _of_folder(root, captions)
    else:
        raise UserError(
            f"there is no collection {uri}; accepted: a folder of videos with a {CAPTIONS}, "
            f"a table ({', '.join(SUFFIXES)}), a .tar of WebDataset"
        )
    empty = True
    for path, caption in rows:
        empty = False
        yield Listed(path, caption, source)
    if empty:
        raise UserError(f"{uri} holds no videos ({', '.join(VIDEO_SUFFIXES)}) and no {CAPTIONS}")


def _of_folder(root: Path, captions: Path | None) -> Iterator[tuple[str, str]]:
    named: set[str] = set()
    table = root / CAPTIONS if (root / CAPTIONS).exists() else captions
    if table:
        for path, caption in _of_table(table):
            if table.parent == root or root in Path(path).parents:
                named.add(path)
                yield path, caption
    tars = []
    for path_below in sorted(root.rglob("*")):
        if path_below.suffix == ".tar":
            tars.append(path_below)
        elif path_below.suffix.lower() in VIDEO_SUFFIXES and str(path_below) not in named:
            yield str(path_below), ""
    for tar in tars:
        yield from _of_tar(tar)


def _of_table(table: Path) -> Iterator[tuple[str, str]]:
    """Files, relative to the table or absolute, with their captions."""
    columns = ("file", "caption")
    for row in open_table(table, needed=columns).rows(columns):
        file = str(row.values["file"])
        yield file if "://" in file else str(table.parent / file), str(row.values["caption"] or "")


def _of_tar(tar: Path) -> Iterator[tuple[str, str]]:
    """The videos of a WebDataset shard; captions are members with the same key, `.txt` or `.json` with `caption`."""
    members = tar_members(str(tar))
    for name in members:
        key, dot, suffix = name.rpartition(".")
        if dot + suffix.lower() not in VIDEO_SUFFIXES:
            continue
        if f"{key}.txt" in members:
            caption = read_member(str(tar), f"{key}.txt").decode(errors="replace").strip()
        elif f"{key}.json" in members:
            facts = parse_json(f"{tar}{MEMBER}{key}.json", read_member(str(tar), f"{key}.json"))
            caption = str(facts.get("caption", "")) if isinstance(facts, dict) else ""
        else:
            caption = ""
        yield f"{tar}{MEMBER}{name}", caption


def content_of(uri: str) -> str:
    """Hash of the bytes of a file or tar member. OSError when it cannot be read."""
    if MEMBER not in uri and "://" not in uri:
        with open(uri, "rb") as file:
            return file_digest(file, lambda: blake2b(digest_size=DIGEST_BYTES)).hexdigest()
    return blake2b(_bytes_of(uri), digest_size=DIGEST_BYTES).hexdigest()


def _bytes_of(uri: str) -> bytes:
    if MEMBER in uri:
        return read_member(*uri.split(MEMBER, 1))
    return storage.read_bytes(uri)


def source_of(uri: str) -> Source:
    """The source for `read_video`: a local file, or the bytes of a tar member or a remote file."""
    return Source(uri, _bytes_of(uri) if MEMBER in uri or "://" in uri else None)
