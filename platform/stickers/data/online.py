"""Frames of collections too large to cache, decoded and encoded anew for each batch.

The rows equal the cache's bit for bit (see `encode_frames`), but take longer.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from stickers.data.collections import source_of
from stickers.data.encoding import canonical, encode_frames
from stickers.video.reading import read_frames

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder

#: a video is decoded at most so many times larger than needed: enough to cut it out cleanly, and it fits into memory
OVERSIZE = 8
#: channels of a frame, and the level of an opaque white pixel
RGBA, WHITE = 4, 255


class OnlineFrames:
    """Frame latents of videos, one video after another, indexed by a tensor of row numbers within one video.

    Args:
        uris: the videos.
        first: int64 `[N]`, the row at which each video begins.
        cut: bool `[N]`, true where a video's background is cut out.
        size: pixels a side.
        decoded_side: the most pixels of the longer side while decoding.
    """

    def __init__(
        self,
        uris: list[str],
        first: Tensor,
        cut: Tensor,
        size: int,
        decoded_side: int,
        autoencoder: "RGBAAutoencoder",
    ) -> None:
        self.uris, self.cut, self.size = uris, cut, size
        self.decoded_side, self.autoencoder = decoded_side, autoencoder
        self.begins, self.order = first.sort()

    def __getitem__(self, rows: Tensor) -> Tensor:
        position = int(torch.searchsorted(self.begins, rows[0], right=True)) - 1
        video, begin = int(self.order[position]), self.begins[position]
        uri, indices = self.uris[video], (rows - begin).tolist()
        frames = read_frames(source_of(uri), indices, max_side=self.decoded_side)
        pixels = canonical(frames, self.size, cut=bool(self.cut[video]))
        return encode_frames(self.autoencoder, pixels)

    def shape(self) -> tuple[int, ...]:
        """As of a tensor, but with 0 frames: the number is in the set's lengths."""
        probe = np.full((1, self.size, self.size, RGBA), WHITE, np.uint8)
        return 0, *encode_frames(self.autoencoder, probe).shape[1:]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that stand for these frames in a set's file."""
        names = np.frombuffer("\0".join(self.uris).encode(), np.uint8).copy()
        return {
            "online_uris": torch.from_numpy(names),
            "online_cut": self.cut,
            "online_sizes": torch.tensor([self.size, self.decoded_side]),
        }

    @classmethod
    def of_tensors(cls, tensors: dict[str, Any], autoencoder: "RGBAAutoencoder") -> "OnlineFrames":
        """Rebuild the frames from a set's tensors; those of `tensors()` are removed."""
        uris = tensors.pop("online_uris").numpy().tobytes().decode().split("\0")
        size, side = tensors.pop("online_sizes").tolist()
        return cls(uris, tensors["first"], tensors.pop("online_cut"), size, side, autoencoder)
