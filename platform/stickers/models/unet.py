"""The video UNet of paper section 2.1: an image UNet with temporal layers, for every size.

The spatial part has the layout, the parameter names and the configuration keys of diffusers'
`UNet2DConditionModel`, so image weights load unchanged (see `weights.py`); new parameters have `temporal` in their
name. Shapes: B clips, T frames, C channels, H x W latent pixels, L text tokens of size D, N = B x T.
"""

from typing import Any, NamedTuple

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TextTimeEmbedding, TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stickers.errors import UserError
from stickers.models.temporal import KeyValue, SpatialTransformer, TemporalTransformer, VideoResnetBlock

#: width of the time embedding, in widths of the finest level
EMBEDDING_FACTOR = 4
#: the text for one level: keys and values in space and in time for each of its layers; empty without attention
LevelText = list[tuple[list[KeyValue], list[KeyValue]]]


class ProjectedText(NamedTuple):
    """The texts as a UNet uses them, projected once for all steps: pooled (one or none), then by level."""

    pooled_BC: list[Tensor]
    down: list[LevelText]
    mid: LevelText
    up: list[LevelText]

    def rows(self, index: Tensor) -> "ProjectedText":
        """The texts of these rows, in this order; a row may occur several times."""

        def pick(level: LevelText) -> LevelText:
            return [tuple([(k[index], v[index]) for k, v in blocks] for blocks in layer) for layer in level]  # type: ignore[misc]

        pooled = [pooled_BC[index] for pooled_BC in self.pooled_BC]
        return ProjectedText(pooled, [*map(pick, self.down)], pick(self.mid), [*map(pick, self.up)])


def _project(stage: Any, context_BLD: Tensor) -> LevelText:
    layers = zip(stage.attentions, stage.temporal_attentions, strict=True)
    return [(space.project_text(context_BLD), time.project_text(context_BLD)) for space, time in layers]


class _Stage(nn.Module):
    """One level on the way down or up: residual blocks, transformers after each, then a resampler."""

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
        self.gradient_checkpointing = False
        self.resnets = nn.ModuleList(config.resnet(i, o) for i, o in widths)
        if attention:
            self.attentions = nn.ModuleList(config.spatial(o) for _, o in widths)
            self.temporal_attentions = nn.ModuleList(config.temporal(o) for _, o in widths)
        else:
            self.attentions = self.temporal_attentions = nn.ModuleList()
        if resampler is not None:
            setattr(self, "upsamplers" if upward else "downsamplers", nn.ModuleList([resampler]))

    def forward(
        self, x_NCHW: Tensor, emb_NC: Tensor, text: LevelText, num_frames: int, skips: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Features, and the skips with those of this level pushed (down) or popped (up).

        The list `skips` is not changed: hooks of sharded training (ZeRO-3) hand a module a copy of its arguments.
        """
        skips = list(skips)
        for i in range(len(self.resnets)):
            if self.upward:
                x_NCHW = torch.cat([x_NCHW, skips.pop()], dim=1)
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x_NCHW = checkpoint(self._layer, i, x_NCHW, emb_NC, text, num_frames, use_reentrant=False)
            else:
                x_NCHW = self._layer(i, x_NCHW, emb_NC, text, num_frames)
            if not self.upward:
                skips.append(x_NCHW)
        for resample in getattr(self, "upsamplers", []):
            x_NCHW = resample(x_NCHW, skips[-1].shape[-2:] if skips else None)
        for resample in getattr(self, "downsamplers", []):
            x_NCHW = resample(x_NCHW)
            skips.append(x_NCHW)
        return x_NCHW, skips

    def _layer(self, i: int, x_NCHW: Tensor, emb_NC: Tensor, text: LevelText, num_frames: int) -> Tensor:
        """One residual block and, on levels with attention, its transformers."""
        x_NCHW = self.resnets[i](x_NCHW, emb_NC, num_frames)
        if text:
            in_space, in_time = text[i]
            x_NCHW = self.attentions[i](x_NCHW, in_space)
            x_NCHW = self.temporal_attentions[i](x_NCHW, in_time, num_frames)
        return x_NCHW


class _MidStage(nn.Module):
    def __init__(self, width: int, config: "StageConfig") -> None:
        super().__init__()
        self.resnets = nn.ModuleList(config.resnet(width, width) for _ in range(2))
        self.attentions = nn.ModuleList([config.spatial(width)])
        self.temporal_attentions = nn.ModuleList([config.temporal(width)])

    def forward(self, x_NCHW: Tensor, emb_NC: Tensor, text: LevelText, num_frames: int) -> Tensor:
        in_space, in_time = text[0]
        x_NCHW = self.resnets[0](x_NCHW, emb_NC, num_frames)
        x_NCHW = self.attentions[0](x_NCHW, in_space)
        x_NCHW = self.temporal_attentions[0](x_NCHW, in_time, num_frames)
        return self.resnets[1](x_NCHW, emb_NC, num_frames)


class StageConfig:
    """Builds the layers of one level; `heads` and depths may differ between levels, as they do in SDXL."""

    def __init__(
        self,
        *,
        emb: int,
        groups: int,
        eps: float,
        heads: int,
        context: int,
        depth: int,
        temporal_depth: int,
        linear: bool,
    ) -> None:
        self.emb, self.groups, self.eps = emb, groups, eps
        self.heads, self.context, self.linear = heads, context, linear
        self.depth, self.temporal_depth = depth, temporal_depth

    def resnet(self, in_channels: int, out_channels: int) -> VideoResnetBlock:
        """A new residual block."""
        return VideoResnetBlock(
            in_channels=in_channels,
            out_channels=out_channels,
            temb_channels=self.emb,
            groups=self.groups,
            eps=self.eps,
        )

    def spatial(self, width: int) -> SpatialTransformer:
        """A new transformer over pixels."""
        return SpatialTransformer(width, self.heads, self.context, self.depth, self.groups, self.linear)

    def temporal(self, width: int) -> TemporalTransformer:
        """A new transformer over frames."""
        return TemporalTransformer(width, self.heads, self.context, self.temporal_depth, self.groups)


def _per_level(value: int | list[int] | tuple[int, ...], levels: int) -> list[int]:
    return [value] * levels if isinstance(value, int) else list(value)


class VideoUNet(ModelMixin, ConfigMixin):
    """Predicts from a noisy latent clip, its conditioning latent and a text.

    Configuration keys are `UNet2DConditionModel`'s. `attention_head_dim` is the *number* of heads, an old mistake of
    diffusers that all published checkpoints rely on. `in_channels` counts the noisy latent and the image latent
    appended to it (InstructPix2Pix style). `addition_embed_type` adds the pooled text to the time embedding: "text" is
    DeepFloyd's way, "text_time" is SDXL's, with `time_ids`: the picture's original height and width, the top and left
    of its crop, the target height and width. Beyond diffusers' keys, `temporal_layers_per_block` is the depth of
    the temporal transformers, and with `t5_dim` a second text sequence of that width is projected to the first one's
    and attended with it.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        *,
        in_channels: int = 16,
        out_channels: int = 8,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        layers_per_block: int | tuple[int, ...] = 2,
        transformer_layers_per_block: int | tuple[int, ...] = 1,
        temporal_layers_per_block: int | tuple[int, ...] = 1,
        attention_head_dim: int | tuple[int, ...] = 8,
        cross_attention_dim: int = 768,
        t5_dim: int | None = None,
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        use_linear_projection: bool = False,
        addition_embed_type: str | None = None,
        addition_embed_type_num_heads: int = 64,
        addition_time_embed_dim: int | None = None,
        projection_class_embeddings_input_dim: int | None = None,
        time_ids: tuple[int, ...] = (1024, 1024, 0, 0, 1024, 1024),
    ) -> None:
        super().__init__()
        del time_ids  # the decorator has put it into self.config
        widths, levels = list(block_out_channels), len(block_out_channels)
        emb = widths[0] * EMBEDDING_FACTOR
        settings = (attention_head_dim, transformer_layers_per_block, temporal_layers_per_block)
        per_level = [_per_level(value, levels) for value in settings]
        configs = [
            StageConfig(
                emb=emb,
                groups=norm_num_groups,
                eps=norm_eps,
                heads=heads,
                context=cross_attention_dim,
                depth=depth,
                temporal_depth=temporal_depth,
                linear=use_linear_projection,
            )
            for heads, depth, temporal_depth in zip(*per_level, strict=True)
        ]
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(widths[0], emb)
        self._add_pooled_text(
            addition_embed_type,
            emb,
            text_width=cross_attention_dim,
            text_heads=addition_embed_type_num_heads,
            time_width=addition_time_embed_dim,
            added_width=projection_class_embeddings_input_dim,
        )
        if t5_dim is not None:
            self.t5_proj = nn.Linear(t5_dim, cross_attention_dim)
        layers = _per_level(layers_per_block, levels)
        self._add_stages(widths, layers, down_block_types, up_block_types, configs)
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, widths[0], eps=norm_eps)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], out_channels, 3, padding=1)

    def _add_stages(
        self,
        widths: list[int],
        layers: list[int],
        down_types: tuple[str, ...],
        up_types: tuple[str, ...],
        configs: list[StageConfig],
    ) -> None:
        """Add the levels on the way down, the middle, and the levels on the way up, in mirrored order."""
        self.down_blocks = nn.ModuleList(
            _down_stage(i, widths, layers[i], "CrossAttn" in down_types[i], config)
            for i, config in enumerate(configs)
        )
        self.mid_block = _MidStage(widths[-1], configs[-1])
        self.up_blocks = nn.ModuleList(
            _up_stage(i, widths, layers[-1 - i], "CrossAttn" in up_types[i], config)
            for i, config in enumerate(reversed(configs))
        )

    def _add_pooled_text(
        self,
        kind: str | None,
        emb: int,
        *,
        text_width: int,
        text_heads: int,
        time_width: int | None,
        added_width: int | None,
    ) -> None:
        """Add the layers that turn the pooled text into a part of the time embedding of width `emb`."""
        if kind == "text":
            self.add_embedding = TextTimeEmbedding(text_width, emb, text_heads)
        elif kind == "text_time":
            assert time_width and added_width
            self.add_time_proj = Timesteps(time_width, True, 0)
            self.add_embedding = TimestepEmbedding(added_width, emb)
        elif kind is not None:
            raise UserError(
                f"addition_embed_type {kind!r} is not supported; accepted: 'text', 'text_time' or none"
            )

    def project_text(self, context_BLD: Tensor) -> ProjectedText:
        """Keys and values of texts for every cross-attention, valid for all steps of a clip.

        Args:
            context_BLD: texts from `TextEncoder`.

        Raises:
            UserError: the texts come from other text models than this UNet's.
        """
        width, t5 = self.config.cross_attention_dim, self.config.t5_dim
        if context_BLD.shape[-1] != width + (t5 or 0):
            expected = f"{width} features (CLIP)" + (f" and {t5} (T5)" if t5 else "")
            raise UserError(f"this UNet attends to texts of {expected}, got {context_BLD.shape[-1]}")
        context_BLD, pooled = context_BLD.to(self.dtype), []
        if t5:
            clip_BLD, t5_BLD = context_BLD.split([width, t5], dim=-1)
            context_BLD = torch.cat([clip_BLD, self.t5_proj(t5_BLD)], dim=1)
        if self.config.addition_embed_type == "text":
            pooled = [self.add_embedding(context_BLD)]
        elif self.config.addition_embed_type == "text_time":
            context_BLD, last_BD = context_BLD[:, :-1], context_BLD[:, -1]
            pooled = [self.add_embedding(self._text_and_size(last_BD))]
        return ProjectedText(
            pooled,
            [_project(stage, context_BLD) for stage in self.down_blocks],
            _project(self.mid_block, context_BLD),
            [_project(stage, context_BLD) for stage in self.up_blocks],
        )

    def _text_and_size(self, last_BD: Tensor) -> Tensor:
        """SDXL's added condition: the pooled text, followed by sine features of the sizes."""
        sizes = torch.tensor(self.config.time_ids, device=last_BD.device)
        size_features = self.add_time_proj(sizes).flatten().to(last_BD)
        pooled_width = self.config.projection_class_embeddings_input_dim - len(size_features)
        return torch.cat([last_BD[:, :pooled_width], size_features.expand(len(last_BD), -1)], dim=-1)

    def forward(
        self,
        z_BTCHW: Tensor,
        timestep_B: Tensor,
        context: Tensor | ProjectedText,
        image_BCHW: Tensor | None,
    ) -> Tensor:
        """One network pass.

        Args:
            z_BTCHW: noisy latents.
            timestep_B: training timestep of each clip, 0 .. 999, fractions allowed.
            context: texts from `TextEncoder`, or their projection by `project_text`.
            image_BCHW: conditioning latent, repeated over time here; None for a model without image conditioning.

        Returns:
            The prediction, `[B, T, out_channels, H, W]`.
        """
        batch, num_frames = z_BTCHW.shape[:2]
        if image_BCHW is not None:
            image_BTCHW = image_BCHW[:, None].expand(-1, num_frames, -1, -1, -1)
            z_BTCHW = torch.cat([z_BTCHW, image_BTCHW], dim=2)
        if z_BTCHW.shape[2] != self.config.in_channels:
            raise UserError(
                f"the UNet takes {self.config.in_channels} input channels (noisy and image latent together), "
                f"got {z_BTCHW.shape[2]}"
            )
        x = z_BTCHW.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        emb_BC = self.time_embedding(self.time_proj(timestep_B.expand(batch)).to(x.dtype))
        text = context if isinstance(context, ProjectedText) else self.project_text(context)
        for pooled_BC in text.pooled_BC:
            emb_BC = emb_BC + pooled_BC
        emb_NC = emb_BC.repeat_interleave(num_frames, dim=0)
        x = self.conv_in(x)
        skips = [x]
        for stage, level_text in zip(self.down_blocks, text.down, strict=True):
            x, skips = stage(x, emb_NC, level_text, num_frames, skips)
        x = self.mid_block(x, emb_NC, text.mid, num_frames)
        for stage, level_text in zip(self.up_blocks, text.up, strict=True):
            x, skips = stage(x, emb_NC, level_text, num_frames, skips)
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
