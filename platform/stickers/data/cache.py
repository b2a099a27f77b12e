"""The frame-latent cache: each file is decoded and encoded once for an autoencoder and a size, for all recipes.

`<runs>/cache/<key>/` holds shards of frame latents with their tracks, and an index from files to shards. The key
contains the autoencoder's digest and the size, the index the files' content hashes: a changed file, encoder or size is
another entry, so no entry can be stale. Texts are cached in the same way, by the text encoder's digest.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import CLIPS, Clip
from stickers.artifacts.schema import versioned, without
from stickers.data.collections import Listed, content_of
from stickers.data.encoding import encode_frames
from stickers.data.manifest import Examined, examine, row_of
from stickers.data.shards import blank_rows, write_shard
from stickers.errors import UserError

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder

#: version of canonical frames and tracks; a change invalidates all entries
VERSION = 2
#: the folder, inside one of the cache, of the tables that say where each file's frames lie
INDEX_FOLDER = "index"
#: the shards of a clip's frames, one for each size, and of its text
LOCATIONS = pa.schema(
    [
        pa.field("shards", pa.list_(pa.string()), nullable=False),
        pa.field("shard_rows", pa.list_(pa.int64()), nullable=False),
        pa.field("firsts", pa.list_(pa.int64()), nullable=False),
        pa.field("text_shard", pa.string(), nullable=False),
        pa.field("text_rows", pa.int64(), nullable=False),
        pa.field("text_row", pa.int64(), nullable=False),
    ]
)
#: the row that preparing writes for each listed video
ROWS = versioned("EncodedClip", [*CLIPS, *LOCATIONS])
#: columns that come from the listing, not from the file
OF_LISTING = ("clip_id", "uri", "caption", "source")
#: columns that come from the file, whatever the listing
OF_FILE = [field.name for field in fields(Clip) if field.name not in (*OF_LISTING, "status", "reason")]
INDEX = versioned(
    "CachedClip",
    [
        *(CLIPS.field(name) for name in OF_FILE),
        pa.field("shard", pa.string()),
        pa.field("shard_rows", pa.int64()),
        pa.field("first", pa.int64()),
    ],
)


@dataclass(frozen=True)
class FrameCache:
    """The folders of the cache: one for each size, and one for texts.

    `runs` is the runs folder; `autoencoder` and `text` are digests. Without `with_frames` only tracks are cached, and
    frames are decoded anew each time. Files whose content hash is in `withdrawn` are refused.
    """

    runs: str
    autoencoder: str
    text: str
    sizes: tuple[int, ...]
    with_frames: bool = True
    withdrawn: frozenset[str] = frozenset()

    def folder(self, size: int) -> str:
        """The folder of the frames of this size."""
        key = content_id("frames", VERSION, self.autoencoder, size, self.with_frames)
        return storage.join(self.runs, "cache", f"frames-{size}-{key}")

    @property
    def texts(self) -> str:
        """The folder of the texts."""
        return storage.join(self.runs, "cache", f"texts-{content_id('texts', VERSION, self.text)}")

    @cached_property
    def entries(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Facts and shards of the files that earlier runs finished, by content hash and size."""
        entries = {}
        for size in self.sizes:
            for part in storage.listing(storage.join(self.folder(size), INDEX_FOLDER)):
                for row in storage.read_table(part, INDEX).to_pylist():
                    entries[row["content"], size] = row
        return entries

    def remember(self, name: str, rows: Iterable[dict[str, Any]]) -> None:
        """Add a finished run's usable files to the index."""
        usable = [row for row in rows if row["status"] != "refused"]
        for i, size in enumerate(self.sizes):
            new = {
                row["content"]: {
                    **{name: row[name] for name in OF_FILE},
                    "shard": row["shards"][i],
                    "shard_rows": row["shard_rows"][i],
                    "first": row["firsts"][i],
                }
                for row in usable
                if (row["content"], size) not in self.entries
            }
            if new:
                part = storage.join(self.folder(size), INDEX_FOLDER, f"{name}.parquet")
                storage.write_table(part, pa.Table.from_pylist([*new.values()], schema=INDEX), INDEX)


def forget_files(
    folder: str, contents: Collection[str], spans: Mapping[str, Sequence[tuple[int, int]]]
) -> None:
    """Remove files from one folder of the cache: their frames and tracks are overwritten, then the index forgets them.

    Args:
        contents: the files' content hashes.
        spans: first row and number of rows of their frames, by shard.
    """
    for shard, rows in spans.items():
        blank_rows(storage.join(folder, shard), rows)
    for part in storage.listing(storage.join(folder, INDEX_FOLDER)):
        if set(storage.read_table(part, INDEX, columns=["content"])["content"].to_pylist()) & set(contents):
            storage.rewrite_table(part, lambda table: without(table, "content", contents))


def spans_of(folder: str, contents: Collection[str]) -> dict[str, list[tuple[int, int]]]:
    """Where the frames of files lie in one folder of the cache, as `forget_files` takes it."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for part in storage.listing(storage.join(folder, INDEX_FOLDER)):
        for row in storage.read_table(part, INDEX).to_pylist():
            if row["content"] in contents:
                spans.setdefault(row["shard"], []).append((row["first"], row["num_frames"]))
    return spans


class CollectionEncoder:
    """Makes rows of listed videos and the cache's missing entries."""

    def __init__(self, cache: FrameCache, autoencoder: "RGBAAutoencoder", text: "TextEncoder") -> None:
        self.cache, self.autoencoder, self.text = cache, autoencoder, text
        self.num_decoded = 0

    def encode(self, listed: list[tuple[str, Listed]]) -> list[dict[str, Any]]:
        """Rows of the schema `ROWS` from (id, video) pairs. An unusable video becomes a row with its reason."""
        results = [self._look(row_of(video, clip_id)) for clip_id, video in listed]
        rows = [asdict(result.clip if isinstance(result, Examined) else result) for result in results]
        for row in rows:
            row |= {"shards": [], "shard_rows": [], "firsts": []}
        for size in self.cache.sizes:
            self._place_frames(rows, results, size)
        self._place_texts(rows)
        return rows

    def _look(self, row: Clip) -> Examined | Clip:
        """The file's facts, from the cache where it has all sizes, else by decoding the file."""
        try:
            row = replace(row, content=content_of(row.uri))
        except FileNotFoundError:
            return replace(row, reason=f"{row.uri} does not exist")
        except (OSError, UserError) as error:
            return replace(row, reason=str(error))
        if row.content in self.cache.withdrawn:
            return replace(row, reason=f"{row.uri} was withdrawn")
        entries = [self.cache.entries.get((row.content, size)) for size in self.cache.sizes]
        if not all(entries):
            self.num_decoded += 1
            return examine(row, self.cache.sizes)
        from_listing = {name: getattr(row, name) for name in OF_LISTING}
        facts = {name: value for name, value in entries[0].items() if name in CLIPS.names}  # type: ignore[union-attr]
        return Clip(**{**facts, **from_listing, "status": "ready", "reason": ""})

    def _place_frames(self, rows: list[dict[str, Any]], results: list[Examined | Clip], size: int) -> None:
        """Write new frames of this size into one shard, and put the location of its frames into each row."""
        fresh: dict[str, int] = {}
        tracks: list[Tensor] = []
        latents: list[Tensor] = []
        for result in results:
            if not isinstance(result, Examined) or result.clip.content in fresh:
                continue
            if (result.clip.content, size) in self.cache.entries:
                continue
            fresh[result.clip.content] = sum(len(track) for track in tracks)
            tracks.append(result.track)
            if self.cache.with_frames:
                latents.append(encode_frames(self.autoencoder, result.frames[size]))
        shard, total = "", sum(len(track) for track in tracks)
        if fresh:
            tensors = {"track": torch.cat(tracks)} | ({"frames": torch.cat(latents)} if latents else {})
            shard = write_shard(self.cache.folder(size), tensors)
        for row in rows:
            entry = self.cache.entries.get((row["content"], size))
            if row["status"] == "refused":
                location: tuple[str, int, int] = ("", 0, 0)
            elif row["content"] in fresh:
                location = (shard, total, fresh[row["content"]])
            else:
                assert entry is not None
                location = (entry["shard"], entry["shard_rows"], entry["first"])
            for column, value in zip(("shards", "shard_rows", "firsts"), location, strict=True):
                row[column].append(value)

    def _place_texts(self, rows: list[dict[str, Any]]) -> None:
        """Write the captions' texts into one shard, and put the location of its text into each row."""
        captions = sorted({row["caption"] for row in rows if row["status"] != "refused"})
        shard = ""
        if captions:
            shard = write_shard(self.cache.texts, {"texts": self.text.encode(captions).half()})
        for row in rows:
            usable = row["status"] != "refused"
            row["text_shard"], row["text_rows"] = (shard, len(captions)) if usable else ("", 0)
            row["text_row"] = captions.index(row["caption"]) if usable else 0


def originals(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """For each (collection, file), the smallest of its ids, under which it is used."""
    ids: dict[tuple[str, str], str] = {}
    for row in rows:
        if row["status"] == "ready":
            key = row["source"], row["content"]
            ids[key] = min(row["clip_id"], ids.get(key, row["clip_id"]))
    return ids


def mark_duplicates(
    rows: Iterable[dict[str, Any]], originals: dict[tuple[str, str], str]
) -> Iterator[dict[str, Any]]:
    """The rows; those of a file that its collection uses under another id are marked as duplicates."""
    for row in rows:
        first = originals.get((row["source"], row["content"]))
        if row["status"] == "ready" and first != row["clip_id"]:
            row = row | {"status": "duplicate", "reason": f"{row['uri']} is the same file as clip {first}"}
        yield row
