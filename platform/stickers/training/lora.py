"""Low-rank adapters (Hu et al. 2021) instead of training all weights: peft inserts them, `merge_lora` merges them.

A finished training is a plain network either way: its adapters are merged, and later stages do not notice them.
"""

from typing import Any

import torch
from torch import Tensor, nn

#: the attention of every transformer, in space and in time
TARGETS = r".*transformer_blocks.*\.(to_q|to_k|to_v|to_out\.0)"
_BASE, _DOWN, _UP = ".base_layer", ".lora_A.default", ".lora_B.default"


def add_lora(network: nn.Module, rank: int, seed: int) -> None:
    """Insert adapters of this rank into the attention layers, in place, and freeze all other weights."""
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds to import

    network.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS), network)


def merge_lora(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network without adapters: each low-rank product added to the weight that it adapts.

    The product's scale is 1, as in `add_lora`.
    """
    merged: dict[str, Any] = {}
    for name, value in weights.items():
        if _DOWN in name or _UP in name:
            continue
        if _BASE in name and name.endswith(".weight"):
            stem = name.removesuffix(f"{_BASE}.weight")
            value = value + weights[f"{stem}{_UP}.weight"] @ weights[f"{stem}{_DOWN}.weight"]
        merged[name.replace(_BASE, "")] = value
    return merged
