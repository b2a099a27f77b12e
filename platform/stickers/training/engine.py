"""DeepSpeed behind the loop's `Engine`: the only module that imports it.

One configuration serves a laptop (gloo, nothing compiled) and a cluster (nccl): ZeRO shards optimiser state,
gradients and weights by stage, bf16 keeps fp32 master weights. DeepSpeed's own checkpoints are for resuming alone;
a training's result is safetensors with a JSON configuration (`export_unet`).
"""

import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, distributed, nn

from stickers.errors import UserError
from stickers.training.ema import Ema
from stickers.training.loop import BETAS, parameter_groups
from stickers.training.lora import merge_lora
from stickers.training.recipe import Offload

if TYPE_CHECKING:
    from stickers.models.unet import VideoUNet

STATE = "state"
#: DeepSpeed's stages: plain data parallelism, then sharded optimiser state, gradients and weights
ZERO_STAGES = (0, 1, 2, 3)
#: the ZeRO stage that shards weights
SHARDED_WEIGHTS = 3
#: steps between two reports of DeepSpeed's on the screen: in effect none
NEVER = 2**62


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """The part of a recipe that concerns optimisation; `batch_size` is the batch of all workers together."""

    batch_size: int
    zero_stage: int = 1
    precision: Literal["fp32", "bf16"] = "bf16"
    gradient_clip: float = 1.0
    weight_decay: float = 0.01
    ema_decay: float | None = None
    offload: Offload = "none"

    def deepspeed(self, world_size: int) -> dict[str, Any]:
        """DeepSpeed's configuration.

        Raises:
            UserError: the batch is no multiple of the workers, or the ZeRO stage is unknown.
        """
        if self.batch_size % world_size:
            raise UserError(f"a batch of {self.batch_size} cannot be dealt evenly to {world_size} workers")
        if self.zero_stage not in ZERO_STAGES:
            raise UserError(f"zero_stage must be 0, 1, 2 or 3, got {self.zero_stage}")
        if self.zero_stage == 0 and self.precision == "bf16":
            raise UserError(
                "zero_stage 0 hides the fp32 master weights of bf16 training; use zero_stage 1 or more"
            )
        if self.offload == "weights" and self.zero_stage != SHARDED_WEIGHTS:
            raise UserError(f"offload of weights needs zero_stage 3, got {self.zero_stage}")
        if self.offload != "none" and self.zero_stage == 0:
            raise UserError("offload needs zero_stage 1 or more, got 0")
        zero: dict[str, Any] = {"stage": self.zero_stage}
        if self.offload != "none":
            zero["offload_optimizer"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
        if self.offload == "weights":
            zero["offload_param"] = {"device": "cpu", "pin_memory": torch.cuda.is_available()}
        return {
            "train_micro_batch_size_per_gpu": self.batch_size // world_size,
            "gradient_clipping": self.gradient_clip,
            "zero_optimization": zero,
            "bf16": {"enabled": self.precision == "bf16"},
            "zero_force_ds_cpu_optimizer": False,
            "steps_per_print": NEVER,
        }


class DeepSpeedEngine:
    """Optimises a network as `EngineSettings` say, over all processes of torch's process group.

    Call `model`, which takes float32 tensors in any precision. A parameter group is frozen in a step whose learning
    rate for it is zero.
    """

    def __init__(self, network: nn.Module, settings: EngineSettings) -> None:
        deepspeed = _deepspeed()
        if not distributed.is_initialized():
            distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
            os.environ.setdefault("LOCAL_RANK", "0")
        self.rank, self.world_size = distributed.get_rank(), distributed.get_world_size()
        self.network = network
        self.sharded = settings.zero_stage > 0
        low = settings.precision == "bf16"
        named = list(network.named_parameters())
        exact = {name: p.detach().float().clone() for name, p in named if low and p.requires_grad}
        self.frozen = {name: p.detach().float().cpu().clone() for name, p in named if not p.requires_grad}
        groups = [group for group in parameter_groups(network) if group["params"]]
        optimizer = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, weight_decay=settings.weight_decay)
        self.model = deepspeed.initialize(
            model=network,
            optimizer=optimizer,
            config=settings.deepspeed(self.world_size),
            dist_init_required=False,
        )[0]
        # Convolutions are faster in this layout; ZeRO keeps the plain one, in which DeepSpeed starts.
        if not self.sharded:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if low:
            cast_inputs(network, torch.bfloat16)
            _set_masters(network, exact)
        self.ema = Ema(network, settings.ema_decay) if settings.ema_decay else None

    def step(self, loss: Tensor, lr: dict[str, float]) -> float:
        """Backward, clip, update; returns the gradient norm before clipping."""
        for group in self.model.optimizer.param_groups:
            group["lr"] = lr[group["name"]]
        self.model.backward(loss)
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = None if self.sharded else nn.utils.get_total_norm(gradients)
        self.model.step()
        if self.ema:
            self.ema.update()
        return float(self.model.get_global_grad_norm() if norm is None else norm)

    def save(self, folder: str | Path, done_step: int) -> None:
        """Write everything that resuming needs; every worker calls it, with a private folder or a shared one."""
        self.model.save_checkpoint(str(folder), tag=STATE, client_state={"done_step": done_step})
        if self.ema:
            self.ema.save(folder, self.rank)

    def load(self, folder: str | Path) -> int:
        """Continue from the merged folders of `save`; returns the number of steps done.

        Raises:
            UserError: the folder is no checkpoint, or belongs to another number of workers.
        """
        num_writers = len(list(Path(folder, STATE).glob("*optim_states.pt")))
        if num_writers not in (0, self.world_size):
            raise UserError(
                f"{folder} was written by {num_writers} workers, it cannot be resumed by {self.world_size}"
            )
        path, client_state = self.model.load_checkpoint(str(folder), tag=STATE)
        if path is None:
            raise UserError(f"{folder} holds no checkpoint of a training")
        done = int(client_state["done_step"])
        if self.ema:
            self.ema.load(folder, self.rank, done)
        return done

    def state_dict(self) -> dict[str, Tensor]:
        """The full fp32 weights on the CPU, averaged and with adapters merged where the recipe sets them.

        Every worker calls it.
        """
        from deepspeed.utils import safe_get_full_fp32_param

        weights: dict[str, Tensor] = {}
        for name, parameter in self.network.named_parameters():
            gathered = (
                safe_get_full_fp32_param(parameter) if parameter.requires_grad else self.frozen.get(name)
            )
            value = parameter if gathered is None else gathered
            weights[name] = value.detach().float().cpu().clone(memory_format=torch.contiguous_format)
        if self.ema:
            weights |= self.ema.state_dict()
        weights |= {name: value.detach().cpu() for name, value in self.network.named_buffers()}
        return merge_lora(weights)

    def export_unet(self, folder: str | Path) -> None:
        """Write `config.json` and safetensors for `VideoUNet.from_pretrained`; every worker calls it, rank 0 writes."""
        weights = self.state_dict()
        if self.rank == 0:
            save_unet(cast("VideoUNet", self.network), weights, folder)


def save_unet(network: "VideoUNet", weights: dict[str, Tensor], folder: str | Path) -> None:
    """Write a UNet's configuration with these weights, in diffusers' file format."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    network.save_config(folder)
    save_file(weights, Path(folder) / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def cast_inputs(network: nn.Module, dtype: torch.dtype) -> None:
    """Cast a network's floating-point inputs to its precision `dtype`."""

    def cast(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)

    network.register_forward_pre_hook(cast)


def _set_masters(network: nn.Module, exact: dict[str, Tensor]) -> None:
    """Restore the digits of the fp32 master weights, which DeepSpeed makes from rounded bf16."""
    from deepspeed.utils import safe_set_full_fp32_param

    for name, parameter in network.named_parameters():
        if name in exact:
            safe_set_full_fp32_param(parameter, exact[name])


def _deepspeed() -> Any:
    """DeepSpeed, quiet and with nothing to compile."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed|deepspeed")
    import deepspeed

    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    # gloo has the same collectives; the shared-memory op needs a compiler on the user's machine.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
