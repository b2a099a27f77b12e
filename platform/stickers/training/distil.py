"""Guidance and step distillation: a student imitates several guided steps with one pass (paper section 3.3.3)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from stickers.data.mixture import Mixture, step_generator
from stickers.diffusion.distillation import merged_target, step_weight, teacher_rollout
from stickers.diffusion.guidance import Condition, combine, needed_passes
from stickers.diffusion.prediction import Prediction, to_sample, zero_terminal_snr
from stickers.diffusion.schedule import NoiseSchedule
from stickers.training.recipe import Distillation, sized

if TYPE_CHECKING:
    from stickers.models.unet import VideoUNet

#: the learning rate falls linearly, but not below this share of its peak
LOWEST_LR = 0.1


class DistillationTask:
    """A training step takes one student step; the teacher's guided sub-steps from the same start give the target.

    Both networks start with the same weights and predict the same quantity, so the student differs from its teacher
    only in the length of a step.
    """

    def __init__(
        self,
        recipe: Distillation,
        student: "VideoUNet",
        teacher: "VideoUNet",
        mixture: Mixture,
        null_text_LD: Tensor,
        kind: Prediction,
    ) -> None:
        self.recipe, self.student, self.mixture, self.kind = recipe, student, mixture, kind
        self.teacher = teacher.eval().requires_grad_(False)
        self.null_text_LD = null_text_LD
        self.schedule = NoiseSchedule.make(zero_terminal_snr=zero_terminal_snr(kind))
        self.timesteps = self.schedule.uniform_timesteps(recipe.teacher_steps)
        self.ratio = recipe.teacher_steps // recipe.student_steps

    @property
    def num_steps(self) -> int:
        """Training steps."""
        return self.recipe.steps

    def lr_at(self, step: int) -> dict[str, float]:
        """Learning rates of the two parameter groups: equal, after a warm-up falling linearly."""
        warmup = min(1.0, (step + 1) / max(1, self.recipe.warmup_steps))
        remaining = 1 - step / self.recipe.steps
        return dict.fromkeys(("spatial", "temporal"), self.recipe.lr * warmup * max(LOWEST_LR, remaining))

    def _teacher_clean(self, z: Tensor, timestep: int, image: Tensor, context: Tensor) -> Tensor:
        """The clean estimate, guided in the first steps: equations 1-3, with all passes in one batch."""
        guided = timestep in self.timesteps[: self.recipe.guided_steps]
        passes = needed_passes(self.recipe.guidance_image, self.recipe.guidance_text) if guided else ("full",)
        null = self.null_text_LD.to(context).expand_as(context)
        output = self.teacher(
            z.repeat(len(passes), 1, 1, 1, 1),
            torch.tensor([timestep], device=z.device),
            torch.cat([context if name == "full" else null for name in passes]),
            torch.cat([image * 0 if name == "none" else image for name in passes]),
        ).float()
        alpha, sigma = self.schedule.at(torch.tensor([timestep]), z)
        clean: dict[Condition, Tensor] = {}
        for name, part in zip(passes, output.chunk(len(passes)), strict=True):
            conditioning = image[:, None] * (0 if name == "none" else 1)
            clean[name] = to_sample(self.kind, part, z, alpha, sigma, conditioning)
        return combine(clean, self.recipe.guidance_image, self.recipe.guidance_text)

    def loss_at(self, step: int, rank: int = 0, world_size: int = 1) -> Tensor:
        """The weighted error of the student's clean estimate against the merged target of this step's boundary."""
        recipe = self.recipe
        batch = self.mixture.batch(
            datasets=[(sized(recipe.dataset, recipe.resolution), 1.0)],
            fps=recipe.fps,
            num_frames=recipe.num_frames,
            conditioning_frame=recipe.conditioning_frame,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
            step=step,
            balance=recipe.balance,
        )
        dice = step_generator(recipe.seed, step)
        noise = recipe.temperature * torch.randn(batch.z_BTCHW.shape, generator=dice)
        boundary = int(torch.randint(0, recipe.student_steps, (1,), generator=dice)) * self.ratio
        rows, device = slice(rank, None, world_size), next(self.student.parameters()).device
        clean, image, context, noise = (
            x[rows].to(device) for x in (batch.z_BTCHW, batch.image_BCHW, batch.context_BLD, noise)
        )
        sub_steps = self.timesteps[boundary : boundary + self.ratio]
        rest = self.timesteps[boundary + self.ratio : boundary + self.ratio + 1]
        start, end = sub_steps[0], rest[0] if rest else -1
        z = self.schedule.add_noise(clean, noise, torch.tensor([start]))
        with torch.no_grad():
            landed = teacher_rollout(
                lambda z_t, _, t: self._teacher_clean(z_t, t, image, context),
                self.schedule,
                z,
                sub_steps,
                end,
            )
        goal = merged_target(self.schedule, z, landed, start, end)
        alpha, sigma = self.schedule.at(torch.tensor([start]), z)
        output = self.student(z, torch.tensor([start], device=device), context, image).float()
        estimate = to_sample(self.kind, output, z, alpha, sigma, image[:, None])
        return step_weight(self.schedule, start) * mse_loss(estimate, goal)
