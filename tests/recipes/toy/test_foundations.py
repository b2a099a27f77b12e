"""The shipped foundations' recipes: sizes fit together, and later stages start where earlier ones ended."""

import pytest

from recipes.toy.foundations import (
    AUTOENCODER,
    CLIP,
    COLLECTION_SIZES,
    IMAGE_UNETS,
    PICTURE_SIZE,
    RECIPES,
    TRUNK,
    toy_sampler,
)
from recipes.toy.projects import FOUNDATIONS
from stickers.models.folders import network_names
from stickers.training.recipe import Recipe

ALL = (TRUNK, *RECIPES)


def test_latents_have_one_size_throughout() -> None:
    model = AUTOENCODER["model"]
    factor = model["patch_size"] * 2 ** (len(model["block_out_channels"]) - 1)
    for network in IMAGE_UNETS.values():
        assert network["model"]["sample_size"] * factor == PICTURE_SIZE
        assert network["model"]["in_channels"] == network["model"]["out_channels"] == model["latent_channels"]
        assert network["model"]["cross_attention_dim"] == CLIP["text"]["hidden_size"]
        widths, groups = network["model"]["block_out_channels"], network["model"]["norm_num_groups"]
        assert all(width % groups == 0 for width in widths)
    assert all(width % model["norm_num_groups"] == 0 for width in model["block_out_channels"])
    assert CLIP["vision"]["image_size"] % CLIP["vision"]["patch_size"] == 0


def test_the_small_network_is_smaller() -> None:
    large, small = (IMAGE_UNETS[name]["model"]["block_out_channels"] for name in ("image", "image-small"))
    assert all(narrow < wide for narrow, wide in zip(small, large, strict=True))


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
def test_every_foundation_sees_the_general_domain_alone(recipe: Recipe) -> None:
    assert recipe.role == "foundation"
    for stage in recipe.stages:
        assert stage.datasets == (("general", 1.0),) and stage.resolution == PICTURE_SIZE
    assert recipe.stages[-1].prediction == "sample_residual" and not recipe.stages[-1].freeze_spatial
    assert recipe.sampler.fps == recipe.stages[-1].fps
    assert "general" in COLLECTION_SIZES


def test_each_starts_from_what_is_trained_before_it() -> None:
    trained = [f"image_unets/{name}" for name in IMAGE_UNETS]
    for recipe in ALL:
        assert recipe.foundation in trained, recipe.name
        trained.append(recipe.name)
    assert len({recipe.seed for recipe in ALL}) == len(ALL)


def test_motion_and_consistency_differ_in_rate_and_first_prediction() -> None:
    recipes = {recipe.name: recipe for recipe in RECIPES}
    motion, consistency = recipes["motion"], recipes["consistency"]
    assert {stage.fps for stage in motion.stages} == {4} and {stage.fps for stage in consistency.stages} == {
        8
    }
    assert motion.stages[0].prediction == "epsilon" and consistency.stages[0].prediction == "v_prediction"
    assert consistency.stages[0].freeze_spatial and not motion.stages[0].freeze_spatial


def test_the_shipped_folder_has_a_network_of_each_recipe() -> None:
    assert network_names(FOUNDATIONS / "tiny") == sorted(recipe.name for recipe in RECIPES)


def test_toy_networks_sample_alike_at_any_rate() -> None:
    slow, fast = toy_sampler(fps=4), toy_sampler(fps=8)
    assert (slow.fps, fast.fps) == (4, 8) and slow.guidance_text == fast.guidance_text > 1
