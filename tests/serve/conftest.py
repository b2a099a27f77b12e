"""A student with random weights: everything round the model is real, only the animation means nothing."""

import json
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from stickers.diffusion.sampling import SamplerSettings
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.text import TextEncoder
from stickers.models.unet import VideoUNet
from stickers.pipeline import AnimationPipeline


def byte_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's tokenizer with single bytes as its whole vocabulary."""
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=32)


@pytest.fixture(scope="session")
def student_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported model of 32 pixels and 6 frames at 6 fps."""
    folder = tmp_path_factory.mktemp("student")
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    AnimationPipeline(
        unet=VideoUNet(
            block_out_channels=(16, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            cross_attention_dim=16,
            norm_num_groups=4,
        ),
        autoencoder=RGBAAutoencoder(
            block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, patch_size=2
        ),
        text=TextEncoder(tokenizer, CLIPTextModel(text)),
        prediction="v_prediction",
        settings=SamplerSettings(num_steps=2, guided_steps=0, solver="ddim", num_frames=6, fps=6),
        picture_size=32,
    ).save(folder)
    return folder
