"""Each form of prediction gives back the clean sample."""

import pytest
import torch

from stickers.diffusion.prediction import PREDICTIONS, Prediction, target, to_sample, zero_terminal_snr
from stickers.diffusion.schedule import NoiseSchedule


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_a_perfect_prediction_gives_back_the_clean_sample(kind: Prediction) -> None:
    dice = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 2, 3, 4, generator=dice, dtype=torch.float64)
    image = torch.randn(2, 1, 4, generator=dice, dtype=torch.float64)
    schedule = NoiseSchedule.make(zero_terminal_snr=zero_terminal_snr(kind))
    timestep = torch.tensor([10, 900])
    alpha, sigma = schedule.at(timestep, clean)
    z = schedule.add_noise(clean, noise, timestep)
    output = target(kind, clean, noise, alpha, sigma, image)
    assert torch.allclose(to_sample(kind, output, z, alpha, sigma, image), clean)


def test_an_unknown_form_is_refused() -> None:
    one = torch.ones(1)
    for function in (to_sample, target):
        with pytest.raises(
            ValueError, match="unknown prediction type 'flow'; accepted: epsilon, v_prediction"
        ):
            function("flow", one, one, one, one, one)  # type: ignore[operator]
