"""Exports a trained UNet for serving: one folder with everything the pipeline needs, safetensors and JSON alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stickers import storage
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.pipeline import AnimationPipeline

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.unet import VideoUNet


def assemble(
    record_folder: str | Path, foundations: str | Path, *, with_text: bool = True
) -> AnimationPipeline:
    """The pipeline of a finished training: its UNet with the autoencoder and text encoder of its foundations.

    Args:
        record_folder: a run's folder with `record.json`, weights in it or in its `checkpoint/`.
        foundations: the folder that holds `autoencoder/`, `text_encoder/` and `tokenizer/`.
        with_text: load the text encoder too; without it the pipeline takes encoded texts.

    Raises:
        UserError: the folder holds no finished run, or the latents of UNet and autoencoder differ.
    """
    root = Path(record_folder)
    if not (root / storage.RECORD).exists():
        raise UserError(f"{root} holds no finished training: {storage.RECORD} is missing")
    record = storage.read_record(str(root.absolute()))
    weights = root / "checkpoint" if (root / "checkpoint").is_dir() else root
    unet, autoencoder = load_unet(weights), load_autoencoder(foundations)
    check_fit(unet, autoencoder)
    return AnimationPipeline(
        unet=unet.to(memory_format=torch.channels_last),
        autoencoder=autoencoder,
        text=load_text_encoder(foundations) if with_text else None,
        prediction=record["prediction"],
        settings=SamplerSettings.of(record["settings"], str(root / storage.RECORD)),
        picture_size=record["picture_size"],
    )


def check_fit(unet: "VideoUNet", autoencoder: "RGBAAutoencoder") -> None:
    """Refuse a UNet and an autoencoder whose latents differ.

    Raises:
        UserError: their channel counts differ.
    """
    encoded, predicted = int(autoencoder.config.latent_channels), int(unet.config.out_channels)
    if encoded != predicted:
        raise UserError(
            f"the autoencoder makes {encoded} latent channels, the UNet predicts {predicted}; they must be equal"
        )
