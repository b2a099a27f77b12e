"""Solvers of the probability-flow ODE: functions over any callable, independent of any model.

A `Denoiser` maps (z_t, step index, timestep) to an estimate of the clean latents.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stickers.diffusion.schedule import NoiseSchedule
from stickers.errors import UserError

Denoiser = Callable[[Tensor, int, int], Tensor]
#: a signal below this counts as zero: the log SNR there is no finite number
ZERO_ALPHA = 1e-12


def ddim_step(schedule: NoiseSchedule, z: Tensor, clean: Tensor, start: int, end: int) -> Tensor:
    """One deterministic DDIM step (Song et al. 2020) between timesteps; `end` = -1 is clean data."""
    alpha, sigma = schedule.at(torch.tensor([start]), z)
    alpha_end, sigma_end = schedule.at(torch.tensor([end]), z)
    return alpha_end * clean + sigma_end * (z - alpha * clean) / sigma


def ddim(denoise: Denoiser, z: Tensor, schedule: NoiseSchedule, timesteps: Sequence[int]) -> Tensor:
    """DDIM through `timesteps` (falling) to clean latents."""
    for i, start in enumerate(timesteps):
        end = timesteps[i + 1] if i + 1 < len(timesteps) else -1
        z = ddim_step(schedule, z, denoise(z, i, start), start, end)
    return z


def dpm_solver_2m(denoise: Denoiser, z: Tensor, schedule: NoiseSchedule, timesteps: Sequence[int]) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022) through `timesteps` (falling) to clean latents.

    The step that leaves zero SNR and the step to clean data are of first order: their log-SNR width is infinite.
    """
    half_log_snr = schedule.half_log_snr
    previous, previous_width = None, 0.0
    for i, start in enumerate(timesteps):
        clean = denoise(z, i, start)
        if i + 1 == len(timesteps):
            return clean
        end = timesteps[i + 1]
        width = float(half_log_snr[end] - half_log_snr[start])
        finite = float(schedule.alpha[start]) > ZERO_ALPHA
        estimate = clean
        if previous is not None:
            estimate = clean + (clean - previous) * (width / (2 * previous_width))
        z = ddim_step(schedule, z, estimate, start, end)
        previous, previous_width = (clean, width) if finite else (None, 0.0)
    raise UserError("at least one timestep is needed")
