"""Guidance and step distillation at once: the target of a student step (paper section 3.3.3).

A student step replaces several guided teacher steps. Following progressive distillation (Salimans & Ho 2022), the
target is the clean estimate from which one DDIM step lands exactly where the teacher's steps landed.
"""

import torch
from torch import Tensor

from stickers.diffusion.schedule import NoiseSchedule
from stickers.diffusion.solvers import Denoiser, ddim_step

#: the loss weight of steps with hardly any noise, whose SNR grows without bound
MAX_WEIGHT = 5.0


def merged_target(schedule: NoiseSchedule, z: Tensor, landed: Tensor, start: int, end: int) -> Tensor:
    """The clean estimate whose one DDIM step from (z, start) to `end` gives `landed`."""
    alpha, sigma = schedule.at(torch.tensor([start]), z)
    alpha_end, sigma_end = schedule.at(torch.tensor([end]), z)
    ratio = sigma_end / sigma
    return (landed - ratio * z) / (alpha_end - ratio * alpha)


def teacher_rollout(
    teacher: Denoiser, schedule: NoiseSchedule, z: Tensor, timesteps: list[int], end: int
) -> Tensor:
    """Run the teacher through `timesteps` (falling) and on to `end` (-1: clean data)."""
    for i, start in enumerate(timesteps):
        stop = timesteps[i + 1] if i + 1 < len(timesteps) else end
        z = ddim_step(schedule, z, teacher(z, i, start), start, stop)
    return z


def step_weight(schedule: NoiseSchedule, timestep: int) -> float:
    """Truncated-SNR weight of the loss on clean estimates: max(SNR, 1), capped so that late steps do not dominate."""
    alpha, sigma = float(schedule.alpha[timestep]), float(schedule.sigma[timestep])
    return min(max(alpha**2 / sigma**2, 1.0), MAX_WEIGHT)
