"""One tensor in several files, which are content-addressed, written once and read a few rows at a time.

A shard is a safetensors file named by the hash of its bytes, so the content of a name never changes, and the names in a
set's file fix its content.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor

from stickers import storage

#: files that stay open at a time
OPEN_FILES = 128
#: bytes of the hash in a shard's name
DIGEST_BYTES = 13


class Shards:
    """One tensor made of several shards in a row; indexed by row number or by a tensor of row numbers.

    Args:
        files: URIs of the shards.
        counts: rows in each.
        name: the tensor's name in each.
    """

    def __init__(self, files: Sequence[str], counts: Sequence[int], name: str) -> None:
        self.files, self.counts, self.name = list(files), list(counts), name
        self.firsts = [0]
        for count in counts:
            self.firsts.append(self.firsts[-1] + count)

    def __len__(self) -> int:
        return self.firsts[-1]

    def shape(self) -> tuple[int, ...]:
        """The full tensor's shape; only a header is read."""
        return len(self), *_open(self.files[0], self.name).get_shape()[1:]

    def __getitem__(self, index: int | Tensor) -> Tensor:
        rows = torch.as_tensor(index)
        if rows.ndim == 0:
            return self[rows[None]][0]
        low, high = int(rows.min()), int(rows.max())
        shard = bisect_right(self.firsts, low) - 1
        if high < self.firsts[shard + 1]:  # a clip lies in one shard
            stored = _open(self.files[shard], self.name)
            first = self.firsts[shard]
            values: Tensor = stored[low - first : high - first + 1][rows - low]
            return values
        return torch.stack([self[int(row)] for row in rows])


def write_shard(folder: str, tensors: dict[str, Tensor]) -> str:
    """Write tensors with equal numbers of rows to `folder`; returns the file's name, a hash of its content."""
    data = save({name: value.contiguous() for name, value in tensors.items()})
    name = f"{blake2b(data, digest_size=DIGEST_BYTES).hexdigest()}.safetensors"
    uri = storage.join(folder, name)
    if not storage.exists(uri):
        storage.write_bytes(uri, data)
    return name


def blank_rows(uri: str, spans: Iterable[tuple[int, int]]) -> None:
    """Overwrite rows of a shard with zeros in all its tensors; it keeps its name, so that sets still find the others.

    This is the one way in which a shard changes: somebody withdraws the video that the rows are of.

    Args:
        spans: first row and number of rows.
    """
    tensors = load(storage.read_bytes(uri))
    for values in tensors.values():
        for first, count in spans:
            values[first : first + count] = 0
    storage.write_bytes(uri, save(tensors))
    _open.cache_clear()


@lru_cache(maxsize=OPEN_FILES)
def _open(uri: str, name: str) -> Any:
    """A tensor of a memory-mapped file; a name stands for the same content until a part of it is withdrawn."""
    return safe_open(storage.local_file(uri), "pt").get_slice(name)
