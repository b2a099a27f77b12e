"""Adapters change nothing when they are new, train alone, and merge into plain weights."""

import torch
from torch import nn

from stickers.training.lora import add_lora, merge_lora
from tests.support.training import tiny_unet


def test_merged_weights_draw_what_the_adapted_network_draws() -> None:
    network, plain = tiny_unet().eval(), tiny_unet().eval()
    names = set(plain.state_dict())
    add_lora(network, rank=2, seed=1)
    z = torch.randn(1, 2, 8, 4, 4)
    inputs = (z, torch.tensor([5]), torch.randn(1, 3, 16), z[:, 0])
    with torch.no_grad():
        assert torch.allclose(network(*inputs), plain(*inputs), atol=1e-6), "new adapters change nothing"
        for name, parameter in network.named_parameters():
            assert parameter.requires_grad == ("lora_" in name)
            if parameter.requires_grad:
                nn.init.normal_(parameter, std=0.3)
        merged = merge_lora(network.state_dict())
        assert set(merged) == names
        adapted = network(*inputs)
        assert not torch.allclose(adapted, plain(*inputs), atol=1e-4)
        plain.load_state_dict(merged)
        assert torch.allclose(plain(*inputs), adapted, atol=1e-4)


def test_the_seed_decides_the_adapters_and_leaves_the_callers_generator_alone() -> None:
    first, same, other = (tiny_unet() for _ in range(3))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    for network, seed in ((first, 1), (same, 1), (other, 2)):
        add_lora(network, rank=2, seed=seed)
    assert torch.equal(torch.rand(1), expected)
    adapters = [
        torch.cat([p.flatten() for name, p in network.named_parameters() if "lora_A" in name])
        for network in (first, same, other)
    ]
    assert torch.equal(adapters[0], adapters[1]) and not torch.equal(adapters[0], adapters[2])
