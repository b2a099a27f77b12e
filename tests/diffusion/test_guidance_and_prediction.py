"""Equations 1-3 and the forms of prediction."""

import pytest
import torch

from stickers.diffusion.distillation import merged_target, teacher_rollout
from stickers.diffusion.guidance import combine, needed
from stickers.diffusion.prediction import PREDICTIONS, target, to_sample
from stickers.diffusion.sampling import DISTILLED, NAIVE, TRAINING_FREE
from stickers.diffusion.schedule import NoiseSchedule
from stickers.diffusion.solvers import ddim_step


def _random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("scales", [(7.5, 2.0), (1.0, 2.0), (3.0, 3.0), (3.0, 1.0), (1.0, 1.0), (0.0, 1.5)])
def test_combine_is_the_papers_formula_with_only_the_needed_passes(scales):
    image_scale, text_scale = scales
    none, image, full = _random(2, 3), _random(2, 4)[:, :3], _random(2, 5)[:, :3]
    outputs = {"none": none, "image": image, "full": full}
    formula = none + image_scale * (image - none) + text_scale * (full - image)
    passes = needed(*scales)
    assert torch.allclose(combine({name: outputs[name] for name in passes}, *scales), formula)


def test_redundant_passes_are_not_run():
    assert needed(7.5, 2.0) == ("none", "image", "full")
    assert needed(1.0, 2.0) == ("image", "full")
    assert needed(1.0, 1.0) == ("full",)
    assert needed(3.0, 3.0) == ("none", "full")


def test_pass_counts_are_the_papers():
    assert (NAIVE.passes(), TRAINING_FREE.passes(), DISTILLED.passes()) == (150, 31, 8)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_every_prediction_gives_back_the_clean_sample(kind):
    clean, noise, image = _random(2, 3, 4), _random(2, 3, 5)[..., :4], _random(2, 1, 4)
    schedule = NoiseSchedule.make(zero_terminal_snr=kind != "epsilon")
    timestep = torch.tensor([10, 900])
    alpha, sigma = schedule.at(timestep, clean)
    z = schedule.add_noise(clean, noise, timestep)
    output = target(kind, clean, noise, alpha, sigma, image)
    assert torch.allclose(to_sample(kind, output, z, alpha, sigma, image), clean)


def test_one_merged_step_lands_where_the_teachers_steps_landed():
    schedule = NoiseSchedule.make(zero_terminal_snr=True)
    z = _random(3, 4)
    steps = schedule.uniform_timesteps(32)
    for first in (0, 12, 28):
        sub, end = steps[first : first + 4], steps[first + 4] if first + 4 < 32 else -1
        landed = teacher_rollout(lambda z_t, i, t: z_t.tanh() * 0.5, schedule, z, sub, end)
        merged = merged_target(schedule, z, landed, sub[0], end)
        assert torch.allclose(ddim_step(schedule, z, merged, sub[0], end), landed, atol=1e-9)
