"""Estimates of recipes: weights counted, activations as autograd keeps them, and the settings that lower them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from recipes.paper import PAPER_TEACHERS
from recipes.toy.projects import TINY
from stickers.models.unet import VideoUNet
from stickers.training.estimate import Estimate, estimate
from stickers.training.job import network_config
from stickers.training.recipe import Recipe

RECIPE = TINY.teachers[0]


@pytest.fixture(scope="module")
def network(tiny_foundations: Path) -> Path:
    return tiny_foundations / RECIPE.foundation


@pytest.fixture(scope="module")
def plain(network: Path) -> Estimate:
    """The recipe as it is; others are compared with it."""
    return estimate(RECIPE, network_config(str(network)), 4)


def test_it_counts_the_tensors_that_a_real_step_keeps(network: Path, plain: Estimate) -> None:
    unet = VideoUNet.from_pretrained(network).train()
    assert plain.parameters == plain.trained == sum(p.numel() for p in unet.parameters())
    sizes = (plain.weights, plain.gradients, plain.optimizer)
    assert sizes == tuple(size * plain.parameters for size in (4, 4, 8))
    parameters = {p.untyped_storage()._cdata for p in unet.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage()._cdata not in parameters:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    z = torch.randn(RECIPE.batch_size, 8, 8, 8, 8)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        unet(z, torch.full((len(z),), 5.0), torch.randn(len(z), 77, 16), z[:, 0])
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    assert abs(plain.activations / real - 1) < 0.1


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"gradient_checkpointing": True}, "activations"),
        ({"batch_size": 4}, "activations"),
        ({"num_workers": 2}, "activations"),
        ({"zero_stage": 1, "num_workers": 2}, "optimizer"),
        ({"zero_stage": 2, "num_workers": 2}, "gradients"),
        ({"zero_stage": 3, "num_workers": 2}, "weights"),
        ({"zero_stage": 1, "offload": "optimizer"}, "optimizer"),
        ({"zero_stage": 3, "offload": "weights"}, "weights"),
        ({"zero_stage": 1, "precision": "bf16"}, "weights"),
        ({"lora_rank": 2}, "optimizer"),
    ],
)
def test_settings_that_save_memory_lower_their_part(
    network: Path, plain: Estimate, changes: dict[str, object], part: str
) -> None:
    lean = estimate(replace(RECIPE, **changes), network_config(str(network)), 4)  # type: ignore[arg-type]
    assert getattr(lean, part) < getattr(plain, part)


def test_cost_grows_with_steps_and_recomputing(network: Path, plain: Estimate) -> None:
    def flops(recipe: Recipe) -> float:
        return estimate(recipe, network_config(str(network)), 4).flops

    twice = replace(RECIPE, stages=(*RECIPE.stages, *RECIPE.stages))
    assert flops(twice) == 2 * plain.flops
    assert flops(replace(RECIPE, gradient_checkpointing=True)) == pytest.approx(plain.flops * 4 / 3)
    assert plain.gpu_hours < 1 and "H100-hours" in str(plain)


@pytest.mark.parametrize("recipe", PAPER_TEACHERS, ids=lambda recipe: recipe.name)
def test_the_papers_stages_are_its_example(recipe: Recipe) -> None:
    """Section 3.1: 256p then 512p on noise with frozen spatial layers at 4 fps, last all of it on v."""
    stages = [(stage.resolution, stage.freeze_spatial, stage.prediction) for stage in recipe.stages]
    assert stages == [(256, True, "epsilon"), (512, True, "epsilon"), (512, False, "v_prediction")]
    assert [stage.fps for stage in recipe.stages[:2]] == [4, 4] and recipe.stages[2].fps in (4, 8)
    assert 128 <= recipe.batch_size <= 512 and all(2.5e-5 <= stage.lr <= 1e-4 for stage in recipe.stages)
