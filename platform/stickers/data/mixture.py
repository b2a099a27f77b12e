"""Training batches, which depend on seed and step alone, on any machine and after any restart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from stickers.data.latents import Balance, LatentSet, Rate
from stickers.errors import UserError
from stickers.video.clips import ConditioningKind, conditioning_index

Window = Literal["any", "halfway"]
#: a prime, so that the generators of small seeds do not meet
SEED_STRIDE = 1_000_003


@dataclass(frozen=True)
class Batch:
    """Clips `z_BTCHW`, their conditioning latents `image_BCHW` and text hidden states `context_BLD`, all float32."""

    z_BTCHW: Tensor
    image_BCHW: Tensor
    context_BLD: Tensor


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of a training step's noise."""
    return torch.Generator().manual_seed(seed * SEED_STRIDE + step)


@dataclass(frozen=True)
class Mixture:
    """Named latent sets, sampled by weight."""

    sets: Mapping[str, LatentSet]

    def batch(
        self,
        *,
        datasets: Sequence[tuple[str, float]],
        fps: Rate,
        num_frames: int,
        conditioning_frame: ConditioningKind,
        batch_size: int,
        seed: int,
        step: int,
        window: Window = "any",
        balance: Balance = "clips",
    ) -> Batch:
        """The batch of one step.

        `window` says which part of a video may become a clip, `balance` whether clips or captions are drawn evenly.

        Raises:
            UserError: a dataset is unknown.
        """
        unknown = [name for name, _ in datasets if name not in self.sets]
        if unknown:
            raise UserError(f"dataset {unknown[0]!r} is unknown; available: {', '.join(sorted(self.sets))}")
        rng = np.random.default_rng([seed, step])
        weights = np.array([weight for _, weight in datasets])
        picks = rng.choice(len(datasets), size=batch_size, p=weights / weights.sum())
        clips, images, texts = [], [], []
        for pick in picks:
            chosen = self.sets[datasets[pick][0]]
            index = chosen.draw(rng, balance)
            start = float(rng.random())
            clip = chosen.clip(
                index, fps=fps, num_frames=num_frames, start_fraction=start if window == "any" else None
            )
            clips.append(clip)
            images.append(clip[conditioning_index(conditioning_frame, num_frames, rng)])
            texts.append(chosen.text(index))
        return Batch(torch.stack(clips), torch.stack(images), torch.stack(texts))
