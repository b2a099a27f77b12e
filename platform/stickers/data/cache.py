"""The frame-latent cache: every file is decoded and encoded once for an autoencoder and a size, for all recipes.

Below `<runs>/cache/<key>/` lie shards of frame latents with their tracks, and an index that says which file's frames
lie where. The key holds the autoencoder's digest and the size, the index the files' content hashes: a changed file,
encoder or size is another entry, so nothing there can be stale. Texts are kept likewise, by the text encoder's digest.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import CLIPS, Clip
from stickers.artifacts.schema import versioned
from stickers.data.collections import Listed, content_of
from stickers.data.encoding import encode_frames
from stickers.data.manifest import Looked, examine, row_of
from stickers.data.shards import write_shard
from stickers.errors import UserError

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder

#: of how canonical frames and tracks are made; a change makes every entry another
VERSION = 1
#: where a clip's frames lie, a size each, and its text
PLACES = pa.schema(
    [
        pa.field("shards", pa.list_(pa.string()), nullable=False),
        pa.field("shard_rows", pa.list_(pa.int64()), nullable=False),
        pa.field("firsts", pa.list_(pa.int64()), nullable=False),
        pa.field("text_shard", pa.string(), nullable=False),
        pa.field("text_rows", pa.int64(), nullable=False),
        pa.field("text_row", pa.int64(), nullable=False),
    ]
)
#: what preparing writes of each listed video
ROWS = versioned("EncodedClip", [*CLIPS, *PLACES])
#: what is the listing's own, not the file's
OF_LISTING = ("clip_id", "uri", "caption", "source")
#: what is the file's own, whoever lists it
OF_FILE = [each.name for each in fields(Clip) if each.name not in (*OF_LISTING, "status", "reason")]
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
    """Where entries lie: folders of the cache by size, and that of the texts. `with_frames` is false where frames are
    decoded anew each time, and their tracks alone are kept."""

    place: str
    autoencoder: str
    text: str
    sizes: tuple[int, ...]
    with_frames: bool = True

    def folder(self, size: int) -> str:
        """Where the frames of this size lie."""
        key = content_id("frames", VERSION, self.autoencoder, size, self.with_frames)
        return storage.join(self.place, "cache", f"frames-{size}-{key}")

    @property
    def texts(self) -> str:
        return storage.join(self.place, "cache", f"texts-{content_id('texts', VERSION, self.text)}")

    @cached_property
    def known(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Facts and places of each file that an earlier run has finished with, by content hash and size."""
        found = {}
        for size in self.sizes:
            for part in storage.listing(storage.join(self.folder(size), "index")):
                for row in storage.read_table(part, INDEX).to_pylist():
                    found[row["content"], size] = row
        return found

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
                if (row["content"], size) not in self.known
            }
            if new:
                part = storage.join(self.folder(size), "index", f"{name}.parquet")
                storage.write_table(part, pa.Table.from_pylist([*new.values()], schema=INDEX), INDEX)


class CollectionEncoder:
    """Makes rows of listed videos, and what the cache lacks of them."""

    def __init__(self, cache: FrameCache, autoencoder: "RGBAAutoencoder", text: "TextEncoder") -> None:
        self.cache, self.autoencoder, self.text = cache, autoencoder, text
        self.decoded = 0

    def encode(self, listed: list[tuple[str, Listed]]) -> list[dict[str, Any]]:
        """Rows as `ROWS` has them, of (id, video) pairs. A video that cannot be used becomes a row with its reason."""
        found = [self._look(row_of(each, clip_id)) for clip_id, each in listed]
        rows = [asdict(each.clip if isinstance(each, Looked) else each) for each in found]
        for row in rows:
            row |= {"shards": [], "shard_rows": [], "firsts": []}
        for size in self.cache.sizes:
            self._place_frames(rows, found, size)
        self._place_texts(rows)
        return rows

    def _look(self, row: Clip) -> Looked | Clip:
        """The file's facts, from the cache when it has them for every size, else by decoding it."""
        try:
            row = replace(row, content=content_of(row.uri))
        except FileNotFoundError:
            return replace(row, reason=f"{row.uri} does not exist")
        except (OSError, UserError) as error:
            return replace(row, reason=str(error))
        entries = [self.cache.known.get((row.content, size)) for size in self.cache.sizes]
        if not all(entries):
            self.decoded += 1
            return examine(row, self.cache.sizes)
        kept = {name: getattr(row, name) for name in OF_LISTING}
        facts = {name: value for name, value in entries[0].items() if name in CLIPS.names}  # type: ignore[union-attr]
        return Clip(**{**facts, **kept, "status": "ready", "reason": ""})

    def _place_frames(self, rows: list[dict[str, Any]], found: list[Looked | Clip], size: int) -> None:
        """Write what is new of this size into one shard, and say in each row where its frames lie."""
        fresh: dict[str, int] = {}
        tracks: list[Tensor] = []
        latents: list[Tensor] = []
        for each in found:
            if not isinstance(each, Looked) or each.clip.content in fresh:
                continue
            if (each.clip.content, size) in self.cache.known:
                continue
            fresh[each.clip.content] = sum(len(track) for track in tracks)
            tracks.append(each.track)
            if self.cache.with_frames:
                latents.append(encode_frames(self.autoencoder, each.frames[size]))
        shard, total = "", sum(len(track) for track in tracks)
        if fresh:
            tensors = {"track": torch.cat(tracks)} | ({"frames": torch.cat(latents)} if latents else {})
            shard = write_shard(self.cache.folder(size), tensors)
        for row in rows:
            entry = self.cache.known.get((row["content"], size))
            if row["status"] == "refused":
                place: tuple[str, int, int] = ("", 0, 0)
            elif row["content"] in fresh:
                place = (shard, total, fresh[row["content"]])
            else:
                assert entry is not None
                place = (entry["shard"], entry["shard_rows"], entry["first"])
            for column, value in zip(("shards", "shard_rows", "firsts"), place, strict=True):
                row[column].append(value)

    def _place_texts(self, rows: list[dict[str, Any]]) -> None:
        """Write the captions' texts into one shard, and say in each row where its own lies."""
        captions = sorted({row["caption"] for row in rows if row["status"] != "refused"})
        shard = ""
        if captions:
            shard = write_shard(self.cache.texts, {"texts": self.text.encode(captions).half()})
        for row in rows:
            usable = row["status"] != "refused"
            row["text_shard"], row["text_rows"] = (shard, len(captions)) if usable else ("", 0)
            row["text_row"] = captions.index(row["caption"]) if usable else 0


def originals(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Of each file in each collection, the id under which it is used: the first, whichever was done first."""
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        if row["status"] == "ready":
            key = row["source"], row["content"]
            found[key] = min(row["clip_id"], found.get(key, row["clip_id"]))
    return found


def mark_duplicates(
    rows: Iterable[dict[str, Any]], originals: dict[tuple[str, str], str]
) -> Iterator[dict[str, Any]]:
    """Rows, those marked that name a file which their collection has under another id."""
    for row in rows:
        first = originals.get((row["source"], row["content"]))
        if row["status"] == "ready" and first != row["clip_id"]:
            row = row | {"status": "duplicate", "reason": f"{row['uri']} is the same file as clip {first}"}
        yield row
