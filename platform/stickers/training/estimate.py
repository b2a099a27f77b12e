"""What a recipe takes, before it starts: memory a worker and cost, counted without holding a single weight.

Activations are those that the backward pass keeps, as autograd itself reports them; nothing is fitted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from stickers.training.network import prepare_network
from stickers.training.recipe import Recipe

GIB = 2**30
#: an H100's bf16 peak, dense, FLOP/s (NVIDIA's data sheet), and the share of it that trainings reach
H100_PEAK, REACHED = 989e12, 0.4
#: beside tensors: libraries, the allocator's slack, communication buffers
OVERHEAD_BYTES = {"cuda": 4 * GIB, "cpu": GIB // 2}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Weights, bytes a worker by what holds them, and FLOPs of the whole training."""

    parameters: int
    trained: int
    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int
    flops: float

    def bytes_a_worker(self, device: str) -> int:
        """Device memory that one worker takes at its peak."""
        held = self.weights + self.gradients + self.optimizer + self.average + self.activations
        return held + OVERHEAD_BYTES[device]

    @property
    def gpu_hours(self) -> float:
        """On H100s at `REACHED` of their peak."""
        return self.flops / (H100_PEAK * REACHED) / 3600

    def __str__(self) -> str:
        parts = {
            name: getattr(self, name)
            for name in ("weights", "gradients", "optimizer", "average", "activations")
        }
        said = ", ".join(f"{name} {value / GIB:.2f}" for name, value in parts.items() if value)
        return (
            f"{self.parameters / 1e6:,.1f} million weights, {self.trained / 1e6:,.1f} trained; "
            f"{self.bytes_a_worker('cuda') / GIB:.1f} GiB a GPU ({said}); "
            f"{self.flops:.2e} FLOPs, {self.gpu_hours:,.2f} H100-hours at {REACHED:.0%} of peak"
        )


def estimate(recipe: Recipe, config: Mapping[str, Any], factor: int) -> Estimate:
    """What training a network takes by a recipe.

    Args:
        config: of the network, as its `config.json` has it.
        factor: pixels a latent pixel, along one side.
    """
    from stickers.models.unet import VideoUNet

    with torch.device("meta"):
        unet = VideoUNet.from_config(config).train()
        prepare_network(unet, recipe)
    parameters = sum(p.numel() for p in unet.parameters())
    trained = sum(p.numel() for p in unet.parameters() if p.requires_grad)
    low, workers, zero = recipe.precision == "bf16", recipe.num_workers, recipe.zero_stage
    digits = 2 if low else 4
    sides = {stage.resolution: stage.resolution // factor for stage in recipe.stages}
    flops = {resolution: _flops(unet, recipe, side) for resolution, side in sides.items()}
    again = 4 if recipe.gradient_checkpointing else 3  # a backward pass costs two forward passes
    in_host = recipe.offload != "none"
    return Estimate(
        parameters=parameters,
        trained=trained,
        weights=0 if recipe.offload == "weights" else digits * parameters // (workers if zero == 3 else 1),
        gradients=digits * trained // (workers if zero >= 2 else 1),
        optimizer=0 if in_host else (12 if low else 8) * trained // (workers if zero >= 1 else 1),
        average=4 * trained // (workers if zero == 3 else 1) if recipe.ema_decay else 0,
        activations=_activations(unet, recipe, max(sides.values())) * digits // 4,
        flops=float(sum(again * workers * stage.steps * flops[stage.resolution] for stage in recipe.stages)),
    )


def _forward(unet: Any, recipe: Recipe, side: int) -> None:
    """One worker's pass over its share of a batch, at this many latent pixels a side."""
    from stickers.models.sizes import NUM_TOKENS

    config, rows = unet.config, recipe.batch_size // recipe.num_workers
    noisy = torch.empty(rows, recipe.num_frames, config.out_channels, side, side)
    text = torch.empty(rows, NUM_TOKENS, config.cross_attention_dim + (config.t5_dim or 0))
    unet(noisy, torch.empty(rows), text, noisy[:, 0])


def _flops(unet: Any, recipe: Recipe, side: int) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        _forward(unet, recipe, side)
    return int(counter.get_total_flops())


def _activations(unet: Any, recipe: Recipe, side: int) -> int:
    """Bytes, in float32, that a pass keeps for its backward pass; the network's tensors become fake ones, which unlike
    meta ones attend as real ones do, without a matrix of all pairs."""
    kept: dict[int, Tensor] = {}
    with FakeTensorMode():
        for module in unet.modules():
            for name, weight in module.named_parameters(recurse=False):
                fake = nn.Parameter(torch.empty(weight.shape), requires_grad=weight.requires_grad)
                module.register_parameter(name, fake)
        own = {p.untyped_storage()._cdata for p in unet.parameters()}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.untyped_storage()._cdata not in own:
                kept[tensor.untyped_storage()._cdata] = tensor
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            _forward(unet, recipe, side)
    return sum(each.untyped_storage().nbytes() for each in kept.values())
