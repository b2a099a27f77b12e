"""The diffusion loss with three-way condition dropout (paper section 2.1)."""

from math import cos, pi
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from stickers.data.mixture import Batch, Mixture
from stickers.diffusion.prediction import target, zero_terminal_snr
from stickers.diffusion.schedule import NoiseSchedule
from stickers.training.recipe import Recipe, sized

if TYPE_CHECKING:
    from stickers.models.unet import VideoUNet


def fall(schedule: str, done: float) -> float:
    """The share of the peak learning rate that is left when `done` (0 to 1) of a stage is."""
    return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + cos(pi * done)) / 2}[schedule]


class RecipeTask:
    """What a recipe trains at each step: batches, noise and dropout come from (seed, step) alone."""

    def __init__(self, recipe: Recipe, model: "VideoUNet", mixture: Mixture, null_text_LD: Tensor) -> None:
        self.recipe, self.model, self.mixture, self.null_text_LD = recipe, model, mixture, null_text_LD
        self.schedules = {flag: NoiseSchedule.make(zero_terminal_snr=flag) for flag in (False, True)}

    @property
    def num_steps(self) -> int:
        return self.recipe.num_steps

    def lr_at(self, step: int) -> dict[str, float]:
        """Learning rates of the two parameter groups: a frozen group's is zero.

        Every stage warms up anew; the last one falls to nearly zero as the recipe's schedule says.
        """
        stage, first = self.recipe.stage_at(step)
        lr = stage.lr * min(1.0, (step - first + 1) / max(1, self.recipe.warmup_steps))
        if first + stage.steps == self.num_steps:
            lr *= max(0.02, fall(self.recipe.lr_schedule, (step - first) / stage.steps))
        return {"spatial": 0.0 if stage.freeze_spatial else lr, "temporal": lr}

    def batch_at(self, step: int) -> Batch:
        stage, _ = self.recipe.stage_at(step)
        return self.mixture.batch(
            datasets=[(sized(name, stage.resolution), weight) for name, weight in stage.datasets],
            fps=stage.rate,
            num_frames=self.recipe.num_frames,
            conditioning_frame=self.recipe.conditioning_frame,
            batch_size=self.recipe.batch_size,
            seed=self.recipe.seed,
            step=step,
            window=stage.window,
            balance=stage.balance,
        )

    def loss_at(self, step: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """The mean squared error of this step's prediction, over this rank's share of the batch."""
        stage, _ = self.recipe.stage_at(step)
        batch = self.batch_at(step)
        rows = slice(rank, None, world_size)
        dice = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        noise = torch.randn(batch.z_BTCHW.shape, generator=dice)
        timestep = torch.randint(0, 1000, (len(noise),), generator=dice)
        keep_image, keep_text = self._dropout(torch.rand(len(noise), generator=dice))
        image = batch.image_BCHW * keep_image[:, None, None, None]
        context = torch.where(keep_text[:, None, None], batch.context_BLD, self.null_text_LD)
        schedule = self.schedules[zero_terminal_snr(stage.prediction)]
        z, device = batch.z_BTCHW, next(self.model.parameters()).device
        alpha, sigma = schedule.at(timestep, z)
        wanted = target(stage.prediction, z, noise, alpha, sigma, image[:, None])
        noisy = alpha * z + sigma * noise
        inputs = (x[rows].to(device) for x in (noisy, timestep, context, image))
        return mse_loss(self.model(*inputs).float(), wanted[rows].to(device))

    def _dropout(self, dice: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows keep their image and which their text: each is dropped alone, and both together."""
        both = self.recipe.drop_both
        text = both + self.recipe.drop_text
        image = text + self.recipe.drop_image
        drop_both, drop_text = dice < both, (dice >= both) & (dice < text)
        drop_image = (dice >= text) & (dice < image)
        return ~(drop_both | drop_image), ~(drop_both | drop_text)
