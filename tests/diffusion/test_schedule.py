"""The schedule against diffusers' betas, and the spacing of its timesteps."""

import pytest
import torch
from diffusers import DDPMScheduler

from stickers.diffusion.schedule import NoiseSchedule


def test_the_schedule_is_stable_diffusions_and_ends_in_pure_noise_when_rescaled() -> None:
    scheduler = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    plain, rescaled = (NoiseSchedule.make(zero_terminal_snr=zero) for zero in (False, True))
    assert torch.equal(plain.alpha**2, scheduler.alphas_cumprod.double().sqrt() ** 2)
    for schedule in (plain, rescaled):
        assert schedule.num_timesteps == 1000
        assert torch.allclose(schedule.alpha**2 + schedule.sigma**2, torch.ones(1000, dtype=torch.float64))
    assert rescaled.alpha[0] == plain.alpha[0] and rescaled.half_log_snr.isfinite().all()


def test_timestep_minus_one_is_clean_data() -> None:
    clean, noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).double().unbind(0)
    schedule = NoiseSchedule.make(zero_terminal_snr=True)
    noisy = schedule.add_noise(clean, noise, torch.tensor([-1, 500, 999]))
    assert torch.equal(noisy[0], clean[0]) and torch.equal(noisy[2], noise[2])
    assert torch.allclose(noisy[1], schedule.alpha[500] * clean[1] + schedule.sigma[500] * noise[1])


def test_impossible_numbers_of_steps_are_refused() -> None:
    schedule = NoiseSchedule.make(zero_terminal_snr=True)
    for count in (0, 1001):
        with pytest.raises(ValueError, match=f"steps must lie between 1 and 1000, got {count}"):
            schedule.uniform_timesteps(count)


@pytest.mark.parametrize("count", [1, 2, 60, 1000])
def test_any_number_of_steps_falls_strictly(count):
    for steps in (
        NoiseSchedule.make(zero_terminal_snr=True).log_snr_timesteps(count),
        NoiseSchedule.make(zero_terminal_snr=False).uniform_timesteps(count),
    ):
        assert (
            len(steps) == count
            and steps[0] == 999
            and steps == sorted(set(steps), reverse=True)
            and steps[-1] >= 0
        )


def test_log_snr_steps_are_evenly_spaced_and_fall():
    schedule = NoiseSchedule.make(zero_terminal_snr=False)
    steps = schedule.log_snr_timesteps(15)
    assert len(steps) == 15 and steps[0] == 999 and steps == sorted(set(steps), reverse=True)
    log_snr = 2 * (schedule.alpha.log() - schedule.sigma.log())
    gaps = log_snr[steps].diff()
    assert gaps.max() / gaps.min() < 1.5


def test_zero_terminal_snr_does_not_crowd_the_steps_at_pure_noise():
    schedule = NoiseSchedule.make(zero_terminal_snr=True)
    assert schedule.alpha[-1] == 0 and torch.isclose(schedule.sigma[-1], torch.ones((), dtype=torch.float64))
    assert sum(t > 943 for t in schedule.log_snr_timesteps(15)) <= 5
