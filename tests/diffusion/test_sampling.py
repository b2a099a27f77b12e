"""The sampling loop: the paper's numbers of passes, and which passes run at which step."""

import pytest
import torch
from torch import Tensor

from stickers.diffusion.guidance import Condition
from stickers.diffusion.sampling import DISTILLED, NAIVE, TRAINING_FREE, SamplerSettings, sample


def test_pass_counts_are_the_papers() -> None:
    assert (NAIVE.num_passes(), TRAINING_FREE.num_passes(), DISTILLED.num_passes()) == (150, 31, 8)


@pytest.mark.parametrize("settings", [TRAINING_FREE, DISTILLED], ids=["dpm", "ddim"])
def test_guided_steps_come_first_and_a_motionless_network_draws_its_image(settings: SamplerSettings) -> None:
    runs: list[tuple[int, tuple[Condition, ...]]] = []

    def no_motion(z: Tensor, timestep: int, passes: tuple[Condition, ...]) -> dict[Condition, Tensor]:
        runs.append((timestep, passes))
        return {condition: torch.zeros_like(z) for condition in passes}

    noise, image = torch.randn(1, 3, 4, 2, 2), torch.randn(1, 1, 4, 2, 2)
    clip = sample(no_motion, noise, image, "sample_residual", settings)
    timesteps, passes = zip(*runs, strict=True)
    assert len(runs) == settings.num_steps and timesteps[0] == 999
    assert list(timesteps) == sorted(timesteps, reverse=True)
    assert sum(map(len, passes)) == settings.num_passes()
    assert all(conditions == ("full",) for conditions in passes[settings.guided_steps :])
    assert torch.allclose(clip, image.expand_as(clip), atol=1e-5)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("solver", "euler", "unknown solver 'euler'; accepted: ddim, dpm"),
        ("num_steps", 0, "num_steps must be at least 1, got 0"),
        ("fps", 0, "fps must be at least 1, got 0"),
        ("temperature", -1.0, "temperature must not be negative, got -1.0"),
    ],
)
def test_impossible_settings_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplerSettings(**{field: value})  # type: ignore[arg-type]
