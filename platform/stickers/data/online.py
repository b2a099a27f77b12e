"""Frames of collections too large to cache: decoded and encoded when a batch asks for them.

The same rows as the cache's, bit for bit (`encode_frames` sees to that); only slower.
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

#: how many times larger than needed a video is decoded: enough to cut it out cleanly, little enough for memory
OVERSIZE = 8


class OnlineFrames:
    """Frame latents of videos end to end, indexed by a tensor of row numbers that lie in one video.

    Args:
        uris: the videos.
        first: int64 `[N]`, the row at which each begins.
        cut: bool `[N]`, whether each one's background is cut out.
        size: pixels a side.
        decoded_side: pixels that the longer side is at most decoded to.
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
        """Channels and sides; how many frames there are, the set's lengths say."""
        probe = np.full((1, self.size, self.size, 4), 255, np.uint8)
        return 0, *encode_frames(self.autoencoder, probe).shape[1:]

    def tensors(self) -> dict[str, Tensor]:
        """What a set's file keeps of this."""
        names = np.frombuffer("\0".join(self.uris).encode(), np.uint8).copy()
        return {
            "online_uris": torch.from_numpy(names),
            "online_cut": self.cut,
            "online_sizes": torch.tensor([self.size, self.decoded_side]),
        }

    @classmethod
    def of_tensors(cls, found: dict[str, Any], autoencoder: "RGBAAutoencoder") -> "OnlineFrames":
        """Take what `tensors` gave out of a set's tensors."""
        uris = found.pop("online_uris").numpy().tobytes().decode().split("\0")
        size, side = found.pop("online_sizes").tolist()
        return cls(uris, found["first"], found.pop("online_cut"), size, side, autoencoder)
