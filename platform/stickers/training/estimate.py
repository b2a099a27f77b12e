"""The memory a worker and the cost of a recipe, counted before it starts and without allocating weights.

Activations are the tensors that autograd itself reports as kept for the backward pass; nothing is fitted.
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
H100_PEAK_FLOPS, UTILISATION = 989e12, 0.4
SECONDS_AN_HOUR = 3600
#: bytes of a weight
BF16_BYTES, FP32_BYTES = 2, 4
#: bytes of AdamW's state of a weight: two fp32 moments, and with bf16 an fp32 master weight
ADAM_BYTES, ADAM_MASTER_BYTES = 8, 12
#: a backward pass costs two forward passes; with checkpointing each forward pass runs twice
TRAIN_PASSES, CHECKPOINTED_PASSES = 3, 4
#: from these ZeRO stages on, each worker holds a share of the optimiser's state, the gradients and the weights
SHARDED_OPTIMIZER, SHARDED_GRADIENTS, SHARDED_WEIGHTS = 1, 2, 3
#: memory besides tensors: libraries, the allocator's slack, communication buffers
OVERHEAD_BYTES = {"cuda": 4 * GIB, "cpu": GIB // 2}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Numbers of weights, bytes a worker by their use, and FLOPs of the full training."""

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
        tensors = self.weights + self.gradients + self.optimizer + self.average + self.activations
        return tensors + OVERHEAD_BYTES[device]

    @property
    def gpu_hours(self) -> float:
        """Hours on H100s at `UTILISATION` of their peak."""
        return self.flops / (H100_PEAK_FLOPS * UTILISATION) / SECONDS_AN_HOUR

    def __str__(self) -> str:
        parts = {
            name: getattr(self, name)
            for name in ("weights", "gradients", "optimizer", "average", "activations")
        }
        uses = ", ".join(f"{name} {value / GIB:.2f}" for name, value in parts.items() if value)
        return (
            f"{self.parameters / 1e6:,.1f} million weights, {self.trained / 1e6:,.1f} trained; "
            f"{self.bytes_a_worker('cuda') / GIB:.1f} GiB a GPU ({uses}); "
            f"{self.flops:.2e} FLOPs, {self.gpu_hours:,.2f} H100-hours at {UTILISATION:.0%} of peak"
        )


def estimate(recipe: Recipe, config: Mapping[str, Any], factor: int) -> Estimate:
    """The estimate of a training.

    Args:
        config: the network's `config.json`.
        factor: pixels along one side of a latent pixel.
    """
    from stickers.models.unet import VideoUNet

    with torch.device("meta"):
        unet = VideoUNet.from_config(config).train()
        prepare_network(unet, recipe)
    parameters = sum(p.numel() for p in unet.parameters())
    trained = sum(p.numel() for p in unet.parameters() if p.requires_grad)
    low, workers, zero = recipe.precision == "bf16", recipe.num_workers, recipe.zero_stage
    weight_bytes = BF16_BYTES if low else FP32_BYTES
    adam_bytes = ADAM_MASTER_BYTES if low else ADAM_BYTES
    sides = {stage.resolution: stage.resolution // factor for stage in recipe.stages}
    flops = {resolution: _flops(unet, recipe, side) for resolution, side in sides.items()}
    passes = CHECKPOINTED_PASSES if recipe.gradient_checkpointing else TRAIN_PASSES
    in_host = recipe.offload != "none"

    def share(first_stage: int) -> int:
        """Workers over which ZeRO divides, from `first_stage` on."""
        return workers if zero >= first_stage else 1

    return Estimate(
        parameters=parameters,
        trained=trained,
        weights=0 if recipe.offload == "weights" else weight_bytes * parameters // share(SHARDED_WEIGHTS),
        gradients=weight_bytes * trained // share(SHARDED_GRADIENTS),
        optimizer=0 if in_host else adam_bytes * trained // share(SHARDED_OPTIMIZER),
        average=FP32_BYTES * trained // share(SHARDED_WEIGHTS) if recipe.ema_decay else 0,
        activations=_activations(unet, recipe, max(sides.values())) * weight_bytes // FP32_BYTES,
        flops=float(sum(passes * workers * stage.steps * flops[stage.resolution] for stage in recipe.stages)),
    )


def _forward(unet: Any, recipe: Recipe, side: int) -> None:
    """One worker's pass over its share of a batch, with `side` latent pixels a side."""
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
    """Bytes, in float32, that a pass keeps for its backward pass.

    The network's tensors become fake ones, which attend as real tensors do; meta tensors would keep a matrix of all
    pairs.
    """
    kept: dict[int, Tensor] = {}
    with FakeTensorMode():
        for module in unet.modules():
            for name, weight in module.named_parameters(recurse=False):
                fake = nn.Parameter(torch.empty(weight.shape), requires_grad=weight.requires_grad)
                module.register_parameter(name, fake)
        parameters = {p.untyped_storage()._cdata for p in unet.parameters()}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.untyped_storage()._cdata not in parameters:
                kept[tensor.untyped_storage()._cdata] = tensor
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            _forward(unet, recipe, side)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
