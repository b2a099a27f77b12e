"""How the shipped tiny foundations are made: sizes, steps and the multi-stage recipes of the video UNets."""

from typing import Any

from stickers.diffusion.prediction import Prediction
from stickers.diffusion.sampling import SamplerSettings
from stickers.training.recipe import Recipe, Stage

SEED = 7
PICTURE_SIZE = 32
COLLECTION_SIZES = {"general": 2400, "artist": 480, "keyword": 240}

AUTOENCODER: dict[str, Any] = {
    "model": {
        "block_out_channels": (48, 96),
        "layers_per_block": 1,
        "latent_channels": 8,
        "norm_num_groups": 16,
        "patch_size": 2,
        "mid_block_attention": False,
    },
    "batch_size": 24,
    "steps": 2600,
    "lr": 1.5e-3,
    "kl": 1e-6,
}

CLIP: dict[str, Any] = {
    "vocabulary": 700,
    "projection": 64,
    "text": {
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 16,
    },
    "vision": {
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_channels": 32,
        "image_size": 32,
        "patch_size": 8,
    },
    "batch_size": 64,
    "steps": 1500,
    "lr": 1e-3,
}


def _image_unet(widths: tuple[int, ...], groups: int) -> dict[str, Any]:
    return {
        "sample_size": PICTURE_SIZE // 4,
        "in_channels": 8,
        "out_channels": 8,
        "block_out_channels": widths,
        "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "attention_head_dim": 4,
        "cross_attention_dim": 64,
        "norm_num_groups": groups,
        "addition_embed_type": "text",
        "addition_embed_type_num_heads": 4,
    }


IMAGE_UNETS: dict[str, dict[str, Any]] = {
    "image": {"model": _image_unet((48, 64, 96), 16), "batch_size": 48, "steps": 1200, "lr": 1e-3},
    "image-small": {"model": _image_unet((32, 48, 64), 16), "batch_size": 48, "steps": 1200, "lr": 1e-3},
}


def _stage(steps: int, fps: int, prediction: Prediction, *, frozen: bool, lr: float) -> Stage:
    return Stage(
        steps=steps,
        resolution=PICTURE_SIZE,
        fps=fps,
        prediction=prediction,
        datasets=(("general", 1.0),),
        freeze_spatial=frozen,
        lr=lr,
    )


def toy_sampler(*, fps: int) -> SamplerSettings:
    """How toy networks sample; measured on training prompts, see `docs/log/toy-training.md`."""
    return SamplerSettings(guidance_image=1.5, guidance_text=2.5, temperature=0.8, fps=fps)


def _recipe(name: str, start: str, seed: int, *stages: Stage) -> Recipe:
    return Recipe(
        name=name,
        role="foundation",
        foundation=start,
        stages=stages,
        seed=seed,
        batch_size=16,
        precision="fp32",
        sampler=toy_sampler(fps=stages[-1].fps),
    )


#: what both teacher foundations grow from; not shipped
TRUNK = _recipe(
    "trunk",
    "image_unets/image",
    11,
    _stage(200, 8, "v_prediction", frozen=True, lr=1e-3),
    _stage(7000, 8, "sample_residual", frozen=False, lr=2e-3),
)
RECIPES = (
    # for motion size (paper section 3.1): noise prediction first and 4 fps, so that frames lie far apart
    _recipe(
        "motion",
        "trunk",
        12,
        _stage(300, 4, "epsilon", frozen=False, lr=5e-4),
        _stage(1200, 4, "sample_residual", frozen=False, lr=1.2e-3),
    ),
    # for consistency: velocity first and 8 fps, the image layers frozen at first
    _recipe(
        "consistency",
        "trunk",
        13,
        _stage(300, 8, "v_prediction", frozen=True, lr=5e-4),
        _stage(1200, 8, "sample_residual", frozen=False, lr=1.2e-3),
    ),
    # the smaller student's
    _recipe(
        "student",
        "image_unets/image-small",
        14,
        _stage(200, 8, "v_prediction", frozen=True, lr=1e-3),
        _stage(10_000, 8, "sample_residual", frozen=False, lr=2e-3),
    ),
)
