"""Targets of merged steps against the teacher's own steps."""

import torch

from stickers.diffusion.distillation import MAX_WEIGHT, merged_target, step_weight, teacher_rollout
from stickers.diffusion.schedule import NoiseSchedule
from stickers.diffusion.solvers import ddim_step


def test_one_merged_step_lands_where_the_teachers_steps_landed() -> None:
    schedule = NoiseSchedule.make(zero_terminal_snr=True)
    z = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    steps = schedule.uniform_timesteps(32)
    for first in (0, 12, 28):
        sub, end = steps[first : first + 4], steps[first + 4] if first + 4 < 32 else -1
        landed = teacher_rollout(lambda z_t, _i, _t: z_t.tanh() * 0.5, schedule, z, sub, end)
        merged = merged_target(schedule, z, landed, sub[0], end)
        assert torch.allclose(ddim_step(schedule, z, merged, sub[0], end), landed, atol=1e-9)


def test_weights_are_the_snr_between_one_and_the_cap() -> None:
    schedule = NoiseSchedule.make(zero_terminal_snr=True)
    weights = [step_weight(schedule, timestep) for timestep in range(schedule.num_timesteps)]
    assert weights[0] == MAX_WEIGHT and weights[-1] == 1.0
    assert weights == sorted(weights, reverse=True)
    snr = float(schedule.alpha[300] ** 2 / schedule.sigma[300] ** 2)
    assert 1 < snr < MAX_WEIGHT and weights[300] == snr
