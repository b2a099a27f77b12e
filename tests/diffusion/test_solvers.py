"""Solvers against a field whose exact solution is known, and against diffusers."""

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from stickers.diffusion.schedule import NoiseSchedule
from stickers.diffusion.solvers import ddim, dpm_solver_2m

MEAN, SPREAD = 0.7, 0.3


def gaussian(schedule):
    """The exact denoiser of data drawn from N(MEAN, SPREAD^2)."""

    def denoise(z, _index, timestep):
        alpha, sigma = schedule.alpha[timestep], schedule.sigma[timestep]
        gain = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)
        return MEAN + gain * (z - alpha * MEAN)

    return denoise


def exact(schedule, z, timestep):
    """The probability-flow ODE moves every quantile of the marginal to the same quantile of the data."""
    alpha, sigma = schedule.alpha[timestep], schedule.sigma[timestep]
    return MEAN + SPREAD * (z - alpha * MEAN) / (alpha**2 * SPREAD**2 + sigma**2).sqrt()


@pytest.mark.parametrize("zero_terminal_snr", [False, True])
def test_solvers_reach_the_exact_solution_of_a_gaussian(zero_terminal_snr):
    schedule = NoiseSchedule.make(zero_terminal_snr=zero_terminal_snr)
    z = torch.randn(256, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth = exact(schedule, z, 999)
    fine = ddim(gaussian(schedule), z, schedule, schedule.uniform_timesteps(500))
    assert (fine - truth).abs().max() < 0.02
    fast = dpm_solver_2m(gaussian(schedule), z, schedule, schedule.log_snr_timesteps(15))
    assert (fast - truth).abs().max() < 0.005


def test_second_order_beats_first_order_at_the_same_number_of_steps():
    schedule = NoiseSchedule.make(zero_terminal_snr=False)
    z = torch.randn(256, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    steps, truth = schedule.log_snr_timesteps(15), exact(schedule, z, 999)
    first = (ddim(gaussian(schedule), z, schedule, steps) - truth).abs().mean()
    second = (dpm_solver_2m(gaussian(schedule), z, schedule, steps) - truth).abs().mean()
    assert second < first / 3


def _diffusers_run(scheduler, schedule, z, timesteps):
    """Drive a diffusers scheduler with the Gaussian's exact noise prediction."""
    denoise = gaussian(schedule)
    for t in timesteps:
        alpha, sigma = schedule.alpha[t], schedule.sigma[t]
        z = scheduler.step((z - alpha * denoise(z, 0, t)) / sigma, t, z).prev_sample
    return z


BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def test_ddim_equals_diffusers():
    schedule = NoiseSchedule.make(zero_terminal_snr=False)
    scheduler = DDIMScheduler(**BETAS, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(20)
    timesteps = schedule.uniform_timesteps(20)
    assert timesteps == scheduler.timesteps.tolist()
    z = torch.randn(64, generator=torch.Generator().manual_seed(0))
    ours = ddim(gaussian(schedule), z, schedule, timesteps)
    assert (ours - _diffusers_run(scheduler, schedule, z, timesteps)).abs().max() < 1e-4


def test_ddim_from_zero_terminal_snr_equals_diffusers():
    """By velocity, since noise prediction is useless at pure noise."""
    schedule = NoiseSchedule.make(zero_terminal_snr=True)
    settings = {"clip_sample": False, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    scheduler = DDIMScheduler(**BETAS, **settings, rescale_betas_zero_snr=True)
    scheduler.set_timesteps(20)
    denoise, z = gaussian(schedule), torch.randn(64, generator=torch.Generator().manual_seed(0))
    ours, theirs = ddim(denoise, z, schedule, schedule.uniform_timesteps(20)), z
    for t in scheduler.timesteps.tolist():
        alpha, sigma = schedule.alpha[t], schedule.sigma[t]
        clean = denoise(theirs, 0, t)
        velocity = (alpha * theirs - clean) / sigma
        theirs = scheduler.step(velocity, t, theirs).prev_sample
    assert (ours - theirs).abs().max() < 1e-4


def test_dpm_solver_equals_diffusers():
    schedule = NoiseSchedule.make(zero_terminal_snr=False)
    scheduler = DPMSolverMultistepScheduler(
        **BETAS,
        timestep_spacing="trailing",
        final_sigmas_type="zero",
        lower_order_final=True,
        euler_at_final=True,
    )
    scheduler.set_timesteps(20)
    timesteps = scheduler.timesteps.tolist()
    z = torch.randn(64, generator=torch.Generator().manual_seed(0))
    ours = dpm_solver_2m(gaussian(schedule), z, schedule, timesteps)
    assert (ours - _diffusers_run(scheduler, schedule, z, timesteps)).abs().max() < 1e-4
