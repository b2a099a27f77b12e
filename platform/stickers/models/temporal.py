"""The layers that turn an image UNet into a video UNet (paper section 2.1 and Figure 3).

Two rules hold for all of them. *Identity at birth*: new layers change nothing, so that a video model with image weights
draws exactly what the image model draws, frame by frame. *No frame count*: they accept any number of frames. Tensors
are `x_NCHW`, where N = batch x frames with frames varying fastest; M rows hold sequences of length S.
"""

from collections.abc import Iterable
from typing import Any

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import get_1d_sincos_pos_embed_from_grid
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional

#: neighbouring frames that a temporal convolution sees
KERNEL_FRAMES = 3
#: of the group norms in front of transformers, as diffusers has it
NORM_EPS = 1e-6
#: query, key and value
NUM_PROJECTIONS = 3


class TemporalConv(nn.Conv2d):
    """A convolution over three neighbouring frames, initialised to the identity.

    Its kernel is (3, 1) over [frames, pixels], so that channels-last tensors need no copy.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, (KERNEL_FRAMES, 1), padding=(KERNEL_FRAMES // 2, 0))
        nn.init.dirac_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x_NCHW: Tensor, num_frames: int) -> Tensor:  # type: ignore[override]
        """Mix neighbouring frames of each clip; the shape stays."""
        n, c, h, w = x_NCHW.shape
        x_BCTP = x_NCHW.unflatten(0, (-1, num_frames)).flatten(3).transpose(1, 2)
        return super().forward(x_BCTP).transpose(1, 2).reshape(n, c, h, w)


class VideoResnetBlock(ResnetBlock2D):
    """diffusers' residual block with a temporal convolution after each of its two spatial ones."""

    def __init__(
        self, *, in_channels: int, out_channels: int, temb_channels: int, groups: int, eps: float
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            temb_channels=temb_channels,
            groups=groups,
            eps=eps,
        )
        self.temporal_conv1 = TemporalConv(out_channels)
        self.temporal_conv2 = TemporalConv(out_channels)

    def forward(self, x_NCHW: Tensor, emb_NC: Tensor, num_frames: int) -> Tensor:
        """Features of `out_channels` channels; `emb_NC` is the time embedding."""
        h = self.temporal_conv1(self.conv1(self.nonlinearity(self.norm1(x_NCHW))), num_frames)
        h = h + self.time_emb_proj(self.nonlinearity(emb_NC))[:, :, None, None]
        h = self.temporal_conv2(self.conv2(self.nonlinearity(self.norm2(h))), num_frames)
        skip = x_NCHW if self.conv_shortcut is None else self.conv_shortcut(x_NCHW)
        return skip + h


class SelfAttention(Attention):
    """diffusers' self-attention of a sequence; `fuse` merges its three projections into one product."""

    def fuse(self) -> None:
        """Merge the three weights, in place."""
        weight = torch.cat([self.to_q.weight, self.to_k.weight, self.to_v.weight])
        del self.to_q, self.to_k, self.to_v
        self.to_qkv = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], bias=False)
        self.to_qkv.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x_MSC: Tensor) -> Tensor:
        """Attend along S; the shape stays."""
        fused = hasattr(self, "to_qkv")
        projected = (
            self.to_qkv(x_MSC).chunk(NUM_PROJECTIONS, dim=-1)
            if fused
            else (self.to_q(x_MSC), self.to_k(x_MSC), self.to_v(x_MSC))
        )
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in projected)
        attended = functional.scaled_dot_product_attention(q, k, v)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))


#: a text's keys and values in one cross-attention, each `[B, heads, L, C / heads]`
KeyValue = tuple[Tensor, Tensor]


class TextAttention(Attention):
    """Cross-attention that projects the text separately (paper section 3.3.1, late context expansion).

    A clip's text is the same at every step, frame and pixel, so it is projected once and never repeated:
    cross-attention does not mix queries, so all queries of a clip attend to its one text.
    """

    def project(self, context_BLD: Tensor) -> KeyValue:
        """Keys and values of a text."""
        return self._heads(self.to_k(context_BLD)), self._heads(self.to_v(context_BLD))

    def forward(self, queries_BQC: Tensor, text: KeyValue) -> Tensor:
        """Attend to a projected text; the queries' shape stays."""
        attended = functional.scaled_dot_product_attention(self._heads(self.to_q(queries_BQC)), *text)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))

    def _heads(self, x_BSC: Tensor) -> Tensor:
        return x_BSC.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Self-attention along one axis, then cross-attention to text, then a feed-forward.

    Parameter names are those of diffusers' `BasicTransformerBlock`.
    """

    def __init__(self, dim: int, heads: int, context_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = SelfAttention(query_dim=dim, heads=heads, dim_head=dim // heads)
        self.norm2 = nn.LayerNorm(dim)
        self.attn2 = TextAttention(
            query_dim=dim, cross_attention_dim=context_dim, heads=heads, dim_head=dim // heads
        )
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim, activation_fn="geglu")

    def forward(self, x_MSC: Tensor, text: KeyValue) -> Tensor:
        """Attend along S and to the text of each clip, whose rows are neighbours in M; the shape stays."""
        x_MSC = x_MSC + self.attn1(self.norm1(x_MSC))
        queries = self.norm2(x_MSC).unflatten(0, (text[0].shape[0], -1)).flatten(1, 2)
        x_MSC = x_MSC + self.attn2(queries, text).view_as(x_MSC)
        return x_MSC + self.ff(self.norm3(x_MSC))


def _project(blocks: Iterable[Any], context_BLD: Tensor) -> list[KeyValue]:
    return [block.attn2.project(context_BLD) for block in blocks]


class SpatialTransformer(nn.Module):
    """Attention over the pixels of each frame, then over text; parameter names are `Transformer2DModel`'s."""

    def __init__(self, dim: int, heads: int, context_dim: int, depth: int, groups: int, linear: bool) -> None:
        super().__init__()
        self.linear = linear
        self.norm = nn.GroupNorm(groups, dim, eps=NORM_EPS)
        self.proj_in = nn.Linear(dim, dim) if linear else nn.Conv2d(dim, dim, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(dim, heads, context_dim) for _ in range(depth)
        )
        self.proj_out = nn.Linear(dim, dim) if linear else nn.Conv2d(dim, dim, 1)

    def project_text(self, context_BLD: Tensor) -> list[KeyValue]:
        """Keys and values of a text, one pair for each block."""
        return _project(self.transformer_blocks, context_BLD)

    def forward(self, x_NCHW: Tensor, text: list[KeyValue]) -> Tensor:
        """Attend within each frame and to its text; the shape stays."""
        shape = x_NCHW.shape
        h = self.norm(x_NCHW)
        h = h if self.linear else self.proj_in(h)
        h_NSC = h.flatten(2).transpose(1, 2)
        h_NSC = self.proj_in(h_NSC) if self.linear else h_NSC
        for block, key_value in zip(self.transformer_blocks, text, strict=True):
            h_NSC = block(h_NSC, key_value)
        h_NSC = self.proj_out(h_NSC) if self.linear else h_NSC
        h = h_NSC.transpose(1, 2).reshape(shape)
        return x_NCHW + (h if self.linear else self.proj_out(h))


class TemporalTransformer(nn.Module):
    """Attention over the frames at each pixel, then over text; its last projection is initialised to zero."""

    def __init__(self, dim: int, heads: int, context_dim: int, depth: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, dim, eps=NORM_EPS)
        self.proj_in = nn.Linear(dim, dim)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(dim, heads, context_dim) for _ in range(depth)
        )
        self.proj_out = nn.Linear(dim, dim)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def project_text(self, context_BLD: Tensor) -> list[KeyValue]:
        """Keys and values of a text, one pair for each block."""
        return _project(self.transformer_blocks, context_BLD)

    def forward(self, x_NCHW: Tensor, text: list[KeyValue], num_frames: int) -> Tensor:
        """Attend over the frames of each clip at each pixel and to its text; the shape stays."""
        n, c, h, w = x_NCHW.shape
        batch = n // num_frames
        y_BPTC = self.norm(x_NCHW).view(batch, num_frames, c, h * w).permute(0, 3, 1, 2)
        y_MTC = self.proj_in(y_BPTC.reshape(batch * h * w, num_frames, c))
        y_MTC = y_MTC + _frame_positions(num_frames, c, x_NCHW.device).to(y_MTC.dtype)
        for block, key_value in zip(self.transformer_blocks, text, strict=True):
            y_MTC = block(y_MTC, key_value)
        y_BPTC = self.proj_out(y_MTC).view(batch, h * w, num_frames, c)
        return x_NCHW + y_BPTC.permute(0, 2, 3, 1).reshape(n, c, h, w)


def _frame_positions(num_frames: int, dim: int, device: torch.device) -> Tensor:
    """Sine positions `[frames, dim]`, computed for any number of frames."""
    grid = torch.arange(num_frames, device=device)
    return get_1d_sincos_pos_embed_from_grid(dim, grid, output_type="pt").to(device)
