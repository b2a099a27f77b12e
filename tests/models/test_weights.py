"""Text-to-image folders as the libraries write them become video models; others are refused with one sentence."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
)

from stickers.models.weights import add_alpha, inflate, load_image_model, load_image_unet
from tests.conftest import byte_tokenizer

COMMON = {"sample_size": 8, "layers_per_block": 1, "norm_num_groups": 8, "block_out_channels": (16, 32)}
CROSS_LAST = {
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}
UNETS: dict[str, dict[str, Any]] = {
    "sd1": {
        **COMMON,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "attention_head_dim": 2,
        "cross_attention_dim": 16,
    },
    "sd2": {
        **COMMON,
        **CROSS_LAST,
        "attention_head_dim": [2, 4],
        "cross_attention_dim": 16,
        "use_linear_projection": True,
    },
    "sdxl": {
        **COMMON,
        **CROSS_LAST,
        "attention_head_dim": [2, 4],
        "transformer_layers_per_block": [1, 2],
        "cross_attention_dim": 16 + 24,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 20 + 6 * 8,
    },
}


def clip(tokenizer: Any, width: int, kind: Any = CLIPTextModel) -> Any:
    """A small CLIP text model for this tokenizer."""
    return kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=32,
            projection_dim=20,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=32,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each class of Stable Diffusion, laid out as its hub repository is."""
    torch.manual_seed(0)
    tokenizer, roots = byte_tokenizer(tmp_path_factory.mktemp("tokenizer")), {}
    for name, config in UNETS.items():
        root = roots[name] = tmp_path_factory.mktemp(name)
        UNet2DConditionModel(**config).save_pretrained(root / "unet")
        AutoencoderKL(
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            scaling_factor=0.25,
        ).save_pretrained(root / "vae")
        DDPMScheduler(prediction_type="v_prediction" if name == "sd2" else "epsilon").save_pretrained(
            root / "scheduler"
        )
        tokenizer.save_pretrained(root / "tokenizer")
        clip(tokenizer, 16).save_pretrained(root / "text_encoder")
        if name == "sdxl":
            tokenizer.save_pretrained(root / "tokenizer_2")
            clip(tokenizer, 24, CLIPTextModelWithProjection).save_pretrained(root / "text_encoder_2")
    return roots


@pytest.mark.parametrize("num_frames", [1, 3, 8])
@pytest.mark.parametrize("kind", UNETS)
def test_a_video_model_draws_what_its_image_model_draws(
    folders: dict[str, Path], kind: str, num_frames: int
) -> None:
    start = load_image_model(folders[kind], latent_channels=4)
    video, text = inflate(start.unet).eval(), start.text.encode(["a cat", "a dog waves"])
    z, timestep = torch.randn(2, num_frames, 4, 8, 8), torch.tensor([3, 800])
    added = {}
    if kind == "sdxl":
        text_only, pooled = text[:, :-1], text[:, -1, :20]
        sizes = torch.tensor([[64, 64, 0, 0, 64, 64]]).repeat(2, 1)
        added = {"added_cond_kwargs": {"text_embeds": pooled, "time_ids": sizes}}
        added["added_cond_kwargs"] = {
            key: value.repeat_interleave(num_frames, 0) for key, value in added["added_cond_kwargs"].items()
        }
    else:
        text_only = text
    with torch.no_grad():
        ours = video(z, timestep, text, torch.randn(2, 4, 8, 8))
        theirs = start.unet(
            z.flatten(0, 1),
            timestep.repeat_interleave(num_frames),
            text_only.repeat_interleave(num_frames, 0),
            **added,
        ).sample.unflatten(0, (2, num_frames))
    assert (ours - theirs).abs().max() < 1e-5
    assert start.prediction == ("v_prediction" if kind == "sd2" else "epsilon")


def test_sdxls_texts_equal_those_of_its_pipeline(folders: dict[str, Path]) -> None:
    """Last but one states of both models side by side, and the pooled text of the second."""
    from diffusers import StableDiffusionXLPipeline

    start = load_image_model(folders["sdxl"], latent_channels=4)
    (first, model), (second, projecting) = start.text.towers
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL.from_pretrained(folders["sdxl"] / "vae"),
        text_encoder=model,
        text_encoder_2=projecting,
        tokenizer=first,
        tokenizer_2=second,
        unet=start.unet,
        scheduler=DDPMScheduler(),
    )
    states, _, pooled, _ = pipeline.encode_prompt(
        prompt=["a cat"], do_classifier_free_guidance=False, device=torch.device("cpu")
    )
    ours = start.text.encode(["a cat"])
    assert torch.allclose(ours[:, :-1], states, atol=1e-6)
    assert torch.allclose(ours[:, -1, :20], pooled, atol=1e-6) and not ours[:, -1, 20:].any()


@pytest.mark.parametrize("how", ["shards", "fp16", "one file"])
def test_weights_come_in_shards_as_a_variant_or_in_one_file(
    folders: dict[str, Path], how: str, tmp_path: Path
) -> None:
    plain = load_image_unet(folders["sd1"] / "unet")
    if how == "shards":
        plain.save_pretrained(tmp_path, max_shard_size="100KB")
        assert len(list(tmp_path.glob("*.safetensors"))) > 2
        again = load_image_unet(tmp_path)
    elif how == "fp16":
        plain.half().save_pretrained(tmp_path, variant="fp16")
        again = load_image_unet(tmp_path, variant="fp16")
        with pytest.raises(ValueError, match="it has diffusion_pytorch_model.fp16.safetensors: choose"):
            load_image_unet(tmp_path)
    else:
        save_file(plain.state_dict(), tmp_path / "one.safetensors")
        again = load_image_unet(tmp_path / "one.safetensors", config=folders["sd1"] / "unet")
    for name, weight in plain.state_dict().items():
        assert torch.equal(again.state_dict()[name].float(), weight.float()), name


def test_alpha_is_added_without_changing_rgb(folders: dict[str, Path]) -> None:
    rgb = AutoencoderKL.from_pretrained(folders["sd1"] / "vae").eval()
    rgba = add_alpha(rgb).eval()
    frames = torch.rand(1, 3, 4, 16, 16) * 2 - 1
    with torch.no_grad():
        theirs = rgb.encode(frames[0, :, :3]).latent_dist.mode() * 0.25
        shown = rgb.decode(theirs / 0.25).sample.clamp(-1, 1)
    ours = rgba.encode(frames)
    assert torch.allclose(ours[0], theirs, atol=1e-6)
    drawn = rgba.decode(ours)[0]
    assert torch.allclose(drawn[:, :3], shown, atol=1e-5) and (drawn[:, 3] == 1).all()


def broken(folder: Path, tmp_path: Path, part: str, **changes: Any) -> Path:
    """A copy with changes in the configuration of one part."""
    root = tmp_path / "broken"
    copytree(folder, root)
    config = root / part / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **changes}))
    return root


def test_four_latent_channels_are_taken_only_by_name(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="4 latent channels where 8 are asked; latent_channels=4 accepts it"):
        load_image_model(folders["sd1"])


def test_folders_without_such_a_model_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no text-to-image model: unet/config.json is missing"):
        load_image_model(tmp_path)
    with pytest.raises(ValueError, match="no model: config.json is missing"):
        load_image_unet(tmp_path)
    root = broken(folders["sd1"], tmp_path, "unet", _class_name="UNet3DConditionModel")
    with pytest.raises(ValueError, match="holds UNet3DConditionModel; accepted: UNet2DConditionModel"):
        load_image_model(root, latent_channels=4)


def test_unsupported_settings_are_named() -> None:
    unet = UNet2DConditionModel(**UNETS["sd1"], time_cond_proj_dim=8)
    with pytest.raises(ValueError, match="time_cond_proj_dim=8 is not taken; accepted: None"):
        inflate(unet)
    with pytest.raises(ValueError, match="AutoencoderKL with use_quant_conv=False is not taken"):
        add_alpha(AutoencoderKL(use_quant_conv=False))
    unet = UNet2DConditionModel(**UNETS["sd1"], addition_embed_type="text_image")
    with pytest.raises(ValueError, match="addition_embed_type 'text_image' is not supported"):
        inflate(unet)


def test_broken_weights_are_refused_in_one_sentence(folders: dict[str, Path], tmp_path: Path) -> None:
    unet = load_image_unet(folders["sd1"] / "unet")
    unet.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    lost = sorted((tmp_path / "shards").glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(ValueError, match=f"shard {lost.name}, which .* names, is missing"):
        load_image_unet(tmp_path / "shards")

    unet.save_pretrained(tmp_path / "torn")
    (torn,) = (tmp_path / "torn").glob("*.safetensors")
    weights = {name: weight.clone() for name, weight in load_file(torn).items()}
    torn.write_bytes(torn.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is no safetensors file"):
        load_image_unet(tmp_path / "torn")
    for name, weight, message in (
        (
            "conv_in.bias",
            weights["conv_in.bias"].repeat(2),
            r"conv_in.bias has shape \(32,\), .* asks for \(16,\)",
        ),
        ("conv_in.bias", weights["conv_in.bias"].double(), "conv_in.bias is F64; accepted: BF16, F16, F32"),
    ):
        save_file({**weights, name: weight}, torn)
        with pytest.raises(ValueError, match=message):
            load_image_unet(tmp_path / "torn")
    del weights["conv_in.bias"]
    save_file(weights, torn)
    with pytest.raises(ValueError, match=r"lacks the weight conv_in.bias"):
        load_image_unet(tmp_path / "torn")


def test_pickles_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    unet = load_image_unet(folders["sd1"] / "unet")
    unet.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ValueError, match=r"diffusion_pytorch_model.bin is a pickle"):
        load_image_unet(tmp_path)
    with pytest.raises(ValueError, match="model.ckpt is a pickle"):
        load_image_unet(tmp_path / "model.ckpt")
