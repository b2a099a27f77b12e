"""A recipe's settings reach the network."""

from stickers.training.network import prepare_network
from tests.support.training import recipe, tiny_unet


def test_checkpointing_and_adapters_are_set_by_the_recipe() -> None:
    plain, prepared = tiny_unet(), tiny_unet()
    prepare_network(plain, recipe())
    prepare_network(prepared, recipe(gradient_checkpointing=True, lora_rank=2))
    assert not plain.is_gradient_checkpointing and prepared.is_gradient_checkpointing
    assert all(parameter.requires_grad for parameter in plain.parameters())
    trained = [name for name, parameter in prepared.named_parameters() if parameter.requires_grad]
    assert trained and all("lora_" in name for name in trained)
