"""Finished trainings with random weights, for tests of what is done with teachers."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from stickers import storage
from stickers.data.latents import weights_digest
from stickers.diffusion.sampling import SamplerSettings
from stickers.models.unet import VideoUNet

#: what teachers sample with
SETTINGS = SamplerSettings(num_steps=3, guided_steps=1, solver="ddim", num_frames=6, fps=6)
#: pixels a side of what they draw
SIZE = 32


def save_teacher(
    runs: Path, name: str, seed: int, like: Path, *, channels: int = 8, num_frames: int = 6, **unlike: Any
) -> storage.Artifact:
    """Save a teacher whose network is laid out as the one in the folder `like`, for latents of `channels`."""
    torch.manual_seed(seed)
    folder = runs / "teachers" / f"{name}-{seed}"
    config = VideoUNet.load_config(like) | {"in_channels": 2 * channels, "out_channels": channels}
    VideoUNet.from_config(config).save_pretrained(folder / "checkpoint")
    settings = asdict(replace(SETTINGS, num_frames=num_frames))
    record = {"prediction": "v_prediction", "settings": settings, "picture_size": SIZE} | unlike
    storage.write_record(
        str(folder), {"name": name, "weights": weights_digest(folder / "checkpoint"), **record}
    )
    return storage.Artifact(str(folder), storage.read_record(str(folder)))
