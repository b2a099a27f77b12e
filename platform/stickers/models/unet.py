"""The video UNet of paper section 2.1: an image UNet with temporal layers, for every size.

The spatial part has the layout, the parameter names and the configuration keys of diffusers'
`UNet2DConditionModel`, so image weights load as they are (see `weights.py`); what is new carries `temporal` in its
name. Shapes: B clips, T frames, C channels, H x W latent pixels, L text tokens of size D, N = B x T.
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TextTimeEmbedding, TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from stickers.models.temporal import SpatialTransformer, TemporalTransformer, VideoResnetBlock


class _Stage(nn.Module):
    """One resolution level on the way down or up: residual blocks, transformers after each, then a resampler."""

    def __init__(
        self,
        *,
        widths: list[tuple[int, int]],
        attention: bool,
        config: "StageConfig",
        resampler: nn.Module | None,
        upward: bool,
    ) -> None:
        super().__init__()
        self.upward = upward
        self.resnets = nn.ModuleList(config.resnet(i, o) for i, o in widths)
        if attention:
            self.attentions = nn.ModuleList(config.spatial(o) for _, o in widths)
            self.temporal_attentions = nn.ModuleList(config.temporal(o) for _, o in widths)
        self.has_attention = attention
        if resampler is not None:
            setattr(self, "upsamplers" if upward else "downsamplers", nn.ModuleList([resampler]))

    def forward(
        self, x_NCHW: Tensor, emb_NC: Tensor, context_BLD: Tensor, num_frames: int, skips: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Features, and the skips with those of this level put on (down) or taken off (up).

        The given list stays as it is: hooks of sharded training (ZeRO-3) hand a module a copy of its arguments.
        """
        skips = list(skips)
        for i, resnet in enumerate(self.resnets):
            if self.upward:
                x_NCHW = torch.cat([x_NCHW, skips.pop()], dim=1)
            x_NCHW = resnet(x_NCHW, emb_NC, num_frames)
            if self.has_attention:
                x_NCHW = self.attentions[i](x_NCHW, context_BLD)
                x_NCHW = self.temporal_attentions[i](x_NCHW, context_BLD, num_frames)
            if not self.upward:
                skips.append(x_NCHW)
        for resample in getattr(self, "upsamplers", []):
            x_NCHW = resample(x_NCHW, skips[-1].shape[-2:] if skips else None)
        for resample in getattr(self, "downsamplers", []):
            x_NCHW = resample(x_NCHW)
            skips.append(x_NCHW)
        return x_NCHW, skips


class _MidStage(nn.Module):
    def __init__(self, width: int, config: "StageConfig") -> None:
        super().__init__()
        self.resnets = nn.ModuleList(config.resnet(width, width) for _ in range(2))
        self.attentions = nn.ModuleList([config.spatial(width)])
        self.temporal_attentions = nn.ModuleList([config.temporal(width)])

    def forward(self, x_NCHW: Tensor, emb_NC: Tensor, context_BLD: Tensor, num_frames: int) -> Tensor:
        x_NCHW = self.resnets[0](x_NCHW, emb_NC, num_frames)
        x_NCHW = self.attentions[0](x_NCHW, context_BLD)
        x_NCHW = self.temporal_attentions[0](x_NCHW, context_BLD, num_frames)
        return self.resnets[1](x_NCHW, emb_NC, num_frames)


class StageConfig:
    """Makes the layers of one level; `heads` and `depth` may differ between levels, as they do in SDXL."""

    def __init__(
        self, *, emb: int, groups: int, eps: float, heads: int, context: int, depth: int, linear: bool
    ) -> None:
        self.emb, self.groups, self.eps = emb, groups, eps
        self.heads, self.context, self.depth, self.linear = heads, context, depth, linear

    def resnet(self, in_channels: int, out_channels: int) -> VideoResnetBlock:
        return VideoResnetBlock(
            in_channels=in_channels,
            out_channels=out_channels,
            temb_channels=self.emb,
            groups=self.groups,
            eps=self.eps,
        )

    def spatial(self, width: int) -> SpatialTransformer:
        return SpatialTransformer(width, self.heads, self.context, self.depth, self.groups, self.linear)

    def temporal(self, width: int) -> TemporalTransformer:
        return TemporalTransformer(width, self.heads, self.context, 1, self.groups)


def _per_level(value: int | list[int] | tuple[int, ...], levels: int) -> list[int]:
    return [value] * levels if isinstance(value, int) else list(value)


class VideoUNet(ModelMixin, ConfigMixin):
    """Predicts from a noisy latent clip, its conditioning latent and a text.

    Configuration keys are `UNet2DConditionModel`'s. `attention_head_dim` is the *number* of heads, an old slip of
    diffusers' that all published checkpoints rely on. `addition_embed_type="text"` adds the pooled text to the time
    embedding. `in_channels` counts the noisy latent and the image latent appended to it (InstructPix2Pix style).
    """

    @register_to_config
    def __init__(
        self,
        *,
        in_channels: int = 16,
        out_channels: int = 8,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        layers_per_block: int = 2,
        transformer_layers_per_block: int | tuple[int, ...] = 1,
        attention_head_dim: int | tuple[int, ...] = 8,
        cross_attention_dim: int = 768,
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        use_linear_projection: bool = False,
        addition_embed_type: str | None = None,
        addition_embed_type_num_heads: int = 64,
    ) -> None:
        super().__init__()
        widths, levels = list(block_out_channels), len(block_out_channels)
        emb = widths[0] * 4
        heads, depths = (
            _per_level(attention_head_dim, levels),
            _per_level(transformer_layers_per_block, levels),
        )

        def level(i: int) -> StageConfig:
            return StageConfig(
                emb=emb,
                groups=norm_num_groups,
                eps=norm_eps,
                heads=heads[i],
                context=cross_attention_dim,
                depth=depths[i],
                linear=use_linear_projection,
            )

        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(widths[0], emb)
        if addition_embed_type == "text":
            self.add_embedding = TextTimeEmbedding(cross_attention_dim, emb, addition_embed_type_num_heads)
        elif addition_embed_type is not None:
            raise ValueError(
                f"addition_embed_type {addition_embed_type!r} is not supported; accepted: 'text' or none"
            )
        self.down_blocks = nn.ModuleList(
            _down_stage(i, widths, layers_per_block, "CrossAttn" in down_block_types[i], level(i))
            for i in range(levels)
        )
        self.mid_block = _MidStage(widths[-1], level(levels - 1))
        self.up_blocks = nn.ModuleList(
            _up_stage(i, widths, layers_per_block, "CrossAttn" in up_block_types[i], level(levels - 1 - i))
            for i in range(levels)
        )
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, widths[0], eps=norm_eps)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], out_channels, 3, padding=1)

    def forward(
        self, z_BTCHW: Tensor, timestep_B: Tensor, context_BLD: Tensor, image_BCHW: Tensor | None
    ) -> Tensor:
        """One network pass.

        Args:
            z_BTCHW: noisy latents.
            timestep_B: training timestep of each clip, 0 .. 999, fractions allowed.
            context_BLD: text hidden states.
            image_BCHW: conditioning latent, cloned over time here; None for a model without image conditioning.

        Returns:
            The prediction, `[B, T, out_channels, H, W]`.
        """
        batch, num_frames = z_BTCHW.shape[:2]
        if image_BCHW is not None:
            image_BTCHW = image_BCHW[:, None].expand(-1, num_frames, -1, -1, -1)
            z_BTCHW = torch.cat([z_BTCHW, image_BTCHW], dim=2)
        if z_BTCHW.shape[2] != self.config.in_channels:
            raise ValueError(
                f"the UNet takes {self.config.in_channels} input channels (noisy and image latent together), "
                f"got {z_BTCHW.shape[2]}"
            )
        x = z_BTCHW.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        emb_BC = self.time_embedding(self.time_proj(timestep_B.expand(batch)).to(x.dtype))
        if self.config.addition_embed_type == "text":
            emb_BC = emb_BC + self.add_embedding(context_BLD)
        emb_NC = emb_BC.repeat_interleave(num_frames, dim=0)
        x = self.conv_in(x)
        skips = [x]
        for stage in self.down_blocks:
            x, skips = stage(x, emb_NC, context_BLD, num_frames, skips)
        x = self.mid_block(x, emb_NC, context_BLD, num_frames)
        for stage in self.up_blocks:
            x, skips = stage(x, emb_NC, context_BLD, num_frames, skips)
        x = self.conv_out(self.conv_act(self.conv_norm_out(x)))
        return x.unflatten(0, (batch, num_frames))


def _down_stage(i: int, widths: list[int], layers: int, attention: bool, config: StageConfig) -> _Stage:
    before, width = widths[max(0, i - 1)], widths[i]
    pairs = [(before if j == 0 else width, width) for j in range(layers)]
    last = i == len(widths) - 1
    sampler = None if last else Downsample2D(width, use_conv=True, out_channels=width, padding=1, name="op")
    return _Stage(widths=pairs, attention=attention, config=config, resampler=sampler, upward=False)


def _up_stage(i: int, widths: list[int], layers: int, attention: bool, config: StageConfig) -> _Stage:
    mirrored = widths[::-1]
    width, before = mirrored[i], mirrored[max(0, i - 1)]
    below = mirrored[min(i + 1, len(widths) - 1)]
    pairs = []
    for j in range(layers + 1):
        skip = below if j == layers else width
        pairs.append(((before if j == 0 else width) + skip, width))
    last = i == len(widths) - 1
    sampler = None if last else Upsample2D(width, use_conv=True, out_channels=width)
    return _Stage(widths=pairs, attention=attention, config=config, resampler=sampler, upward=True)
