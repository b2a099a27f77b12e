"""Applies a recipe's settings to the network before it is trained."""

from typing import TYPE_CHECKING

from stickers.training.lora import add_lora
from stickers.training.recipe import Recipe

if TYPE_CHECKING:
    from stickers.models.unet import VideoUNet


def prepare_network(network: "VideoUNet", recipe: Recipe) -> None:
    """Turn on gradient checkpointing and insert adapters, in place, where the recipe sets them."""
    if recipe.gradient_checkpointing:
        network.enable_gradient_checkpointing()
    if recipe.lora_rank:
        add_lora(network, recipe.lora_rank, recipe.seed)
