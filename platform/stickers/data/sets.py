"""Builds the sets that recipes sample from rows: only numbers are gathered, frames and texts stay in their shards."""

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from stickers import storage
from stickers.data.cache import FrameCache
from stickers.data.latents import LatentSet
from stickers.data.online import OVERSIZE, OnlineFrames
from stickers.data.shards import Shards

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder


class _Files:
    """Shards in the order of their first occurrence."""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.counts = array("q")
        self.firsts = array("q", [0])

    def row(self, file: str, count: int, row: int) -> int:
        """The number, over all shards, of one shard's row."""
        if file not in self.number:
            self.number[file] = len(self.number)
            self.counts.append(count)
            self.firsts.append(self.firsts[-1] + count)
        return self.firsts[self.number[file]] + row

    def shards(self, folder: str, name: str) -> Shards:
        return Shards([storage.join(folder, file) for file in self.number], list(self.counts), name)


class SetBuilder:
    """Gathers the usable rows of one collection and size."""

    def __init__(self, cache: FrameCache, size: int) -> None:
        self.cache, self.size, self.position = cache, size, cache.sizes.index(size)
        self.ids: list[str] = []
        self.uris: list[str] = []
        self.columns = {name: array("q") for name in ("first", "length", "text_of", "variable", "cut")}
        self.fps = array("f")
        self.frames, self.texts = _Files(), _Files()
        self.text_rows: dict[str, int] = {}

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one usable row of `ROWS`."""
        shard = row["shards"][self.position], row["shard_rows"][self.position], row["firsts"][self.position]
        if row["caption"] not in self.text_rows:
            text = self.texts.row(row["text_shard"], row["text_rows"], row["text_row"])
            self.text_rows[row["caption"]] = text
        values = {
            "first": self.frames.row(*shard),
            "length": row["num_frames"],
            "text_of": self.text_rows[row["caption"]],
            "variable": row["variable_fps"],
            "cut": row["cut_out"],
        }
        for name, value in values.items():
            self.columns[name].append(int(value))
        self.fps.append(row["fps"])
        self.ids.append(row["clip_id"])
        if not self.cache.with_frames:
            self.uris.append(row["uri"])

    def build(self, autoencoder: "RGBAAutoencoder") -> LatentSet:
        """The set with its videos in the order of their ids, whatever the order of the rows.

        `autoencoder` encodes frames that the cache does not hold.
        """
        order = torch.tensor(sorted(range(len(self.ids)), key=self.ids.__getitem__))
        columns = {name: torch.tensor(values)[order] for name, values in self.columns.items()}
        folder = self.cache.folder(self.size)
        frames: Shards | OnlineFrames = self.frames.shards(folder, "frames")
        if not self.cache.with_frames:
            uris = [self.uris[i] for i in order.tolist()]
            decoded = OVERSIZE * max(self.cache.sizes)
            frames = OnlineFrames(
                uris, columns["first"], columns["cut"].bool(), self.size, decoded, autoencoder
            )
        return LatentSet(
            frames=frames,
            first=columns["first"],
            length=columns["length"],
            fps=torch.tensor(self.fps)[order],
            texts=self.texts.shards(self.cache.texts, "texts"),
            text_of=columns["text_of"],
            track=self.frames.shards(folder, "track"),
            variable=columns["variable"].bool(),
        )
