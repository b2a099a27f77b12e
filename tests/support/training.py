"""A tiny network, clips that drift, and recipes of a few steps, for tests of trainings."""

from typing import Any

import torch

from stickers.data.latents import LatentSet
from stickers.data.mixture import Mixture
from stickers.models.unet import VideoUNet
from stickers.training.loop import PlainEngine, Task, train
from stickers.training.recipe import Recipe, Stage

#: the layout of the network
TINY = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 8,
}


class Losses:
    """A tracker that keeps the losses."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Keep the mean loss; `step` is not used."""
        del step
        self.losses.append(metrics["train/loss"])


def tiny_unet() -> VideoUNet:
    """The same random network each time."""
    torch.manual_seed(0)
    return VideoUNet(**TINY)


def drifting_mixture() -> Mixture:
    """Six videos of twelve frames whose values rise steadily from a random still."""
    dice = torch.Generator().manual_seed(0)
    still = torch.randn(6, 1, 8, 4, 4, generator=dice)
    drift = torch.linspace(-1, 1, 12)[None, :, None, None, None]
    return Mixture(
        {
            "kept@16": LatentSet(
                frames=(still + drift).flatten(0, 1).half(),
                first=torch.arange(6) * 12,
                length=torch.full((6,), 12),
                fps=torch.full((6,), 8.0),
                texts=torch.randn(6, 4, 16, generator=dice).half(),
                text_of=torch.arange(6),
            )
        }
    )


def stage(**changes: Any) -> Stage:
    """Four steps of noise prediction."""
    settings = {
        "steps": 4,
        "resolution": 16,
        "fps": 8,
        "prediction": "epsilon",
        "datasets": (("kept", 1.0),),
        "lr": 1e-3,
    }
    return Stage(**{**settings, **changes})


def recipe(**changes: Any) -> Recipe:
    """A teacher of six steps."""
    settings = {
        "name": "t",
        "role": "teacher",
        "foundation": "x",
        "stages": (stage(steps=6, prediction="sample_residual", lr=2e-3),),
        "batch_size": 4,
        "precision": "fp32",
    }
    return Recipe(**{**settings, **changes})


def run(task: Task, network: VideoUNet, weight_decay: float = 0.0) -> Losses:
    """Train all steps of a task, saving nothing."""
    tracker = Losses()
    engine = PlainEngine(network, weight_decay=weight_decay, gradient_clip=1.0)
    train(task, engine, tracker, save=lambda _: None, save_every=task.num_steps)
    return tracker
