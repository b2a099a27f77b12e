"""Low-rank adapters (Hu et al. 2021) as an alternative to training every weight: peft puts them in, we take them out.

A finished training is a whole network either way: its adapters are merged, and nothing after training knows of them.
"""

from typing import Any

import torch
from torch import Tensor, nn

#: the attention of every transformer, in space and in time
TARGETS = r".*transformer_blocks.*\.(to_q|to_k|to_v|to_out\.0)"
_BASE, _DOWN, _UP = ".base_layer", ".lora_A.default", ".lora_B.default"


def add_lora(network: nn.Module, rank: int, seed: int) -> None:
    """Put adapters of this rank into the attention layers, in place, and freeze everything else."""
    from peft import LoraConfig, inject_adapter_in_model  # takes seconds to import

    network.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS), network)


def merge_lora(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network without adapters: each low-rank product added to the weight that it adapts.

    A rank's scale is 1, as `add_lora` makes it.
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
