"""A Ray Data stage round `stickers.data.cache.CollectionEncoder`: listed videos in, manifest rows out, frames to the
cache."""

from typing import Any

import numpy as np
import pyarrow as pa
import torch

from stickers.data.cache import ROWS, CollectionEncoder, FrameCache
from stickers.data.collections import Listed
from stickers.models.folders import load_autoencoder, load_text_encoder

COLUMNS = ("clip_id", "path", "caption", "source")


class ClipEncoder:
    """Holds the autoencoder and text encoder; one call makes the rows of a batch of listed videos.

    `cache` has the values of a `FrameCache`. A file that cannot be used becomes a row with its reason; nothing stops
    the run.
    """

    def __init__(self, foundations: str, *cache: Any) -> None:
        torch.set_num_threads(1)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        autoencoder = load_autoencoder(foundations).to(device)
        self.encoder = CollectionEncoder(
            FrameCache(*cache), autoencoder, load_text_encoder(foundations, device)
        )

    def __call__(self, batch: dict[str, np.ndarray]) -> pa.Table:
        """Encode the listed files: columns `COLUMNS` in, a table of `ROWS` out."""
        listed = [
            (str(clip_id), Listed(str(path), str(caption), str(source)))
            for clip_id, path, caption, source in zip(*(batch[name] for name in COLUMNS), strict=True)
        ]
        return pa.Table.from_pylist(self.encoder.encode(listed), schema=ROWS)
