"""A tiny text-to-image pipeline as diffusers save it: random weights, and a decoder that draws a square on white."""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel


def save_pipeline(folder: Path, tokenizer: Any, *, square: bool) -> Path:
    """Save the pipeline. With `square` every picture is a dark square on white, without it noise to the edges."""
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=32, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(16, 16), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2, cross_attention_dim=16, norm_num_groups=4,
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4, sample_size=32,
    )  # fmt: skip
    if square:
        draw_square(vae)
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer, unet=unet, scheduler=DDIMScheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


@torch.no_grad()
def draw_square(vae: AutoencoderKL) -> None:
    """Let the last convolution count its neighbours: there are fewer at the edge, which turns white."""
    decoder = vae.decoder
    decoder.conv_norm_out.weight.zero_()
    decoder.conv_norm_out.bias.fill_(1.0)
    level = torch.nn.functional.silu(torch.tensor(1.0))
    decoder.conv_out.weight.fill_(float(-1.5 / (decoder.conv_out.in_channels * level)))
    decoder.conv_out.bias.fill_(11.0)
