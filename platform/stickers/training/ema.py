"""An exponential moving average of weights, which previews, checks and exports use where a recipe sets a decay.

The average is float32 and lies beside the network. Under ZeRO-3 each worker averages its part of each weight.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn

#: steps over which the decay rises, as in TensorFlow's moving averages
RAMP_STEPS = 10


class Ema:
    """The average of a network's trainable weights: each step keeps `decay` of the old and adds the rest of the new.

    At first the decay is lower, (1 + n) / (10 + n) after n steps, so that the initial weights are forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.average = {name: part.detach().float().clone() for name, part in self._parts()}

    def _parts(self) -> list[tuple[str, Tensor]]:
        """This worker's part of each trainable weight: all of it, or under ZeRO-3 its share."""
        trained = [(name, p) for name, p in self.network.named_parameters() if p.requires_grad]
        return [(name, getattr(p, "ds_tensor", p)) for name, p in trained]

    @torch.no_grad()
    def update(self) -> None:
        """Add the weights after an optimiser step to the average."""
        decay = min(self.decay, (1 + self.steps) / (RAMP_STEPS + self.steps))
        for name, part in self._parts():
            self.average[name].lerp_(part.detach().float(), 1 - decay)
        self.steps += 1

    def state_dict(self) -> dict[str, Tensor]:
        """The full averages on the CPU; under ZeRO-3 every worker calls it."""
        averages = {}
        for name, parameter in self.network.named_parameters():
            if name in self.average:
                value = self.average[name]
                if hasattr(parameter, "ds_tensor"):  # ZeRO-3 adds these attributes to a parameter
                    size, shape = getattr(parameter, "ds_numel"), getattr(parameter, "ds_shape")  # noqa: B009
                    parts = [torch.empty_like(value) for _ in range(distributed.get_world_size())]
                    distributed.all_gather(parts, value)
                    value = torch.cat(parts)[:size].view(shape)
                averages[name] = value.cpu().clone(memory_format=torch.contiguous_format)
        return averages

    def save(self, folder: str | Path, rank: int) -> None:
        """Write this worker's averages."""
        parts = {name: value.contiguous() for name, value in self.average.items()}
        save_file(parts, _path(folder, rank), metadata={"steps": str(self.steps)})

    def load(self, folder: str | Path, rank: int, steps: int) -> None:
        """Restore the averages that `save` wrote after `steps` steps."""
        device = next(iter(self.average.values())).device
        loaded = load_file(_path(folder, rank), device=str(device))
        for name, value in loaded.items():
            self.average[name].copy_(value)
        self.steps = steps


def _path(folder: str | Path, rank: int) -> Path:
    return Path(folder) / f"ema-{rank}.safetensors"
