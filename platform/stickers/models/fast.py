"""Makes a UNet fast for inference (paper section 3.3.1): better layers for the machine, then its forward as a graph.

Parameters keep their names, except fused projections; nothing here is for training. Graphs are cached by input shape
and never written to disk.
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_flatten, tree_unflatten

from stickers.errors import UserError
from stickers.models.temporal import SelfAttention
from stickers.models.unet import ProjectedText, VideoUNet

#: `script` is the paper's TorchScript, frozen with its numerics preserved; `compile` is torch.compile, with CUDA graphs
#: on a GPU, and needs a C++ compiler on a CPU
Graph = Literal["none", "script", "compile"]
GRAPHS: tuple[str, ...] = get_args(Graph)
#: TorchScript's executor profiles its first call and optimises in its second
WARM_UP_CALLS = 2
#: (noisy latents, timestep, projected text, image latents) -> prediction, as `VideoUNet.forward`
Network = Callable[[Tensor, Tensor, ProjectedText, Tensor], Tensor]


class PointwiseLinear(nn.Linear):
    """A linear layer as a 1 x 1 convolution, for CPUs.

    torch runs linear layers with MKL and convolutions with oneDNN. On processors that are not Intel's, oneDNN alone
    uses AVX-512: it is twice as fast in float32 and a fifth faster in bfloat16 (`docs/log/speed.md`).
    """

    def forward(self, x: Tensor) -> Tensor:
        """As `nn.Linear`: `[..., in_features]` to `[..., out_features]`."""
        x_NCHW = x.reshape(1, -1, 1, self.in_features).permute(0, 3, 1, 2)
        y_NCHW = functional.conv2d(x_NCHW, self.weight[:, :, None, None], self.bias)
        return y_NCHW.permute(0, 2, 3, 1).reshape(*x.shape[:-1], self.out_features)


class ChunkedFeedForward(FeedForward):
    """diffusers' GEGLU feed-forward in chunks of rows, so that values between its layers stay in the CPU's cache."""

    ROWS = 1024

    def forward(self, x: Tensor) -> Tensor:
        """As `FeedForward`: the shape stays."""
        return torch.cat([self._rows(rows) for rows in x.flatten(0, -2).split(self.ROWS)]).view_as(x)

    def _rows(self, x_MC: Tensor) -> Tensor:
        value, gate = self.net[0].proj(x_MC).chunk(2, dim=-1)
        return self.net[2](functional.gelu(gate).mul_(value))


def improve_layers(unet: VideoUNet) -> None:
    """Replace layers, in place, by those that are fast on the UNet's device; the result is for inference and not saved.

    On every device, queries, keys and values of each self-attention become one product.
    """
    for module in [*unet.modules()]:
        if isinstance(module, SelfAttention):
            module.fuse()
    if unet.device.type != "cpu":
        return
    for module in unet.modules():
        if type(module) is nn.Linear:
            module.__class__ = PointwiseLinear
        elif type(module) is FeedForward:
            module.__class__ = ChunkedFeedForward


def as_graph(unet: VideoUNet, graph: Graph) -> Network:
    """The UNet's forward as a graph of this kind, with the UNet's arguments.

    Raises:
        UserError: the kind is unknown.
    """
    if graph == "none":
        return unet
    if graph == "script":
        return _Scripted(unet)
    if graph == "compile":
        mode = "max-autotune" if unet.device.type == "cuda" else "default"
        compiled: Network = torch.compile(unet, mode=mode, dynamic=False)
        return compiled
    raise UserError(f"unknown graph {graph!r}; accepted: {', '.join(GRAPHS)}")


class _Flat(nn.Module):
    """The UNet with the text's tensors as separate arguments, as tracing requires."""

    def __init__(self, unet: VideoUNet, structure: Any) -> None:
        super().__init__()
        self.unet, self.structure = unet, structure

    def forward(self, z: Tensor, timestep: Tensor, image: Tensor, *text: Tensor) -> Tensor:
        return self.unet(z, timestep, tree_unflatten(list(text), self.structure), image)


class _Scripted:
    """TorchScript graphs of a UNet; each is traced and frozen when its shape first occurs."""

    def __init__(self, unet: VideoUNet) -> None:
        self.unet = unet
        self.graphs: dict[tuple[torch.Size, ...], Any] = {}

    def __call__(self, z: Tensor, timestep: Tensor, text: ProjectedText, image: Tensor) -> Tensor:
        tensors, structure = tree_flatten(text)
        inputs = (z, timestep, image, *tensors)
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self.graphs:
            with warnings.catch_warnings():
                # TorchScript is deprecated, and tracing warns of constant shapes; our graphs are keyed by shape.
                warnings.simplefilter("ignore")
                traced = torch.jit.trace(_Flat(self.unet, structure).eval(), inputs, check_trace=False)
                graph = torch.jit.freeze(traced, optimize_numerics=False)
            for _ in range(WARM_UP_CALLS):
                graph(*inputs)
            self.graphs[shapes] = graph
        return self.graphs[shapes](*inputs)
