"""A Ray Data stage round `stickers.data.manifest.examine` and the autoencoder: files in, manifest rows, latents out."""

from dataclasses import asdict

import numpy as np
import torch

from stickers.artifacts import Refused
from stickers.data.latents import encode_frames
from stickers.data.manifest import Listed, examine
from stickers.models.folders import load_autoencoder


class ClipEncoder:
    """Holds the autoencoder; one call examines and encodes a batch of files.

    A file that cannot be used becomes a row with its reason; nothing stops the run.
    """

    def __init__(self, foundations: str, size: int) -> None:
        torch.set_num_threads(1)
        self.size = size
        self.autoencoder = load_autoencoder(foundations)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list]:
        rows = [
            self.encode(str(clip_id), Listed(str(path), str(caption), str(source)))
            for clip_id, path, caption, source in zip(
                batch["clip_id"], batch["path"], batch["caption"], batch["source"], strict=True
            )
        ]
        return {key: [row[key] for row in rows] for key in rows[0]}

    def encode(self, clip_id: str, listed: Listed) -> dict:
        """One row: the manifest's columns, `reason` (empty for a usable clip) and `latents` (float16 bytes)."""
        empty = {
            "content": "",
            "num_frames": 0,
            "fps": 0.0,
            "width": 0,
            "height": 0,
            "has_alpha": False,
            "motion_score": 0.0,
        }
        row = {
            "clip_id": clip_id,
            "uri": listed.path,
            "caption": listed.caption,
            "source": listed.source,
            **empty,
        }
        found = examine(listed, self.size)
        if isinstance(found, Refused):
            return {**row, "reason": found.reason, "latents": b""}
        clip, pixels = found
        latents = encode_frames(self.autoencoder, pixels)
        return {**row, **asdict(clip), "reason": "", "latents": latents.numpy().tobytes()}
