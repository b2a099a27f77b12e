"""The diffusion loss with three-way condition dropout (paper section 2.1)."""

from math import cos, pi
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from stickers.data.mixture import Batch, Mixture, step_generator
from stickers.diffusion.prediction import target, zero_terminal_snr
from stickers.diffusion.schedule import NoiseSchedule
from stickers.training.recipe import Recipe, sized

if TYPE_CHECKING:
    from stickers.models.unet import VideoUNet

#: the learning rate of the last stage falls, but not below this share of its peak
LOWEST_LR = 0.02


def lr_share(schedule: str, progress: float) -> float:
    """The share of the peak learning rate at `progress` (0 to 1) of a stage."""
    return {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + cos(pi * progress)) / 2}[schedule]


class RecipeTask:
    """The training task of a recipe; batches, noise and dropout depend on seed and step alone."""

    def __init__(self, recipe: Recipe, model: "VideoUNet", mixture: Mixture, null_text_LD: Tensor) -> None:
        self.recipe, self.model, self.mixture, self.null_text_LD = recipe, model, mixture, null_text_LD
        self.schedules = {flag: NoiseSchedule.make(zero_terminal_snr=flag) for flag in (False, True)}

    @property
    def num_steps(self) -> int:
        """Training steps of all stages."""
        return self.recipe.num_steps

    def lr_at(self, step: int) -> dict[str, float]:
        """Learning rates of the two parameter groups; that of a frozen group is zero.

        Each stage has a warm-up; in the last one the rate falls to nearly zero by the recipe's schedule.
        """
        stage, first = self.recipe.stage_at(step)
        lr = stage.lr * min(1.0, (step - first + 1) / max(1, self.recipe.warmup_steps))
        if first + stage.steps == self.num_steps:
            lr *= max(LOWEST_LR, lr_share(self.recipe.lr_schedule, (step - first) / stage.steps))
        return {"spatial": 0.0 if stage.freeze_spatial else lr, "temporal": lr}

    def batch_at(self, step: int) -> Batch:
        """The batch of a step, for all ranks together."""
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
        dice = step_generator(self.recipe.seed, step)
        noise = torch.randn(batch.z_BTCHW.shape, generator=dice)
        schedule = self.schedules[zero_terminal_snr(stage.prediction)]
        timestep = torch.randint(0, schedule.num_timesteps, (len(noise),), generator=dice)
        keep_image, keep_text = self._dropout(torch.rand(len(noise), generator=dice))
        image = batch.image_BCHW * keep_image[:, None, None, None]
        context = torch.where(keep_text[:, None, None], batch.context_BLD, self.null_text_LD)
        z, device = batch.z_BTCHW, next(self.model.parameters()).device
        alpha, sigma = schedule.at(timestep, z)
        goal = target(stage.prediction, z, noise, alpha, sigma, image[:, None])
        noisy = alpha * z + sigma * noise
        inputs = (x[rows].to(device) for x in (noisy, timestep, context, image))
        return mse_loss(self.model(*inputs).float(), goal[rows].to(device))

    def _dropout(self, dice: Tensor) -> tuple[Tensor, Tensor]:
        """Masks of the rows that keep their image and of those that keep their text, from uniform numbers.

        Text alone, image alone, or both are dropped, each with its probability.
        """
        both = self.recipe.drop_both
        text = both + self.recipe.drop_text
        image = text + self.recipe.drop_image
        drop_both, drop_text = dice < both, (dice >= both) & (dice < text)
        drop_image = (dice >= text) & (dice < image)
        return ~(drop_both | drop_image), ~(drop_both | drop_text)
