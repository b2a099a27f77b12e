"""Exports a trained UNet for serving: one folder with everything the pipeline needs, safetensors and JSON alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from stickers import storage
from stickers.artifacts.licences import LICENCES, by_licence
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.pipeline import AnimationPipeline

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.unet import VideoUNet

#: the file beside exported weights that people read
MODEL_CARD = "README.md"


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


def model_card(project: str, trained: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The text beside exported weights: what they are, what they came from and under which licences, as Markdown.

    Args:
        project: its name.
        trained: the record of the training.
        facts: what the record of the exported folder says of its origin.
    """
    settings = SamplerSettings.of(trained["settings"], str(trained["name"]))
    people = "simulated people" if facts["simulated"] else "people"
    rows = [f"| {licence} | {', '.join(names)} |" for licence, names in by_licence(facts[LICENCES]).items()]
    lines = [
        f"# {trained['name']} of project {project}",
        "",
        f"Animates a picture of {trained['picture_size']} pixels by a prompt: {settings.num_frames} frames at "
        f"{settings.fps} fps in {settings.num_passes()} passes. It learned from clips that {people} kept. Load it with "
        "`AnimationPipeline.load`.",
        "",
        "## Licences of what it learned from",
        "",
        "| licence | brought by |",
        "|---|---|",
        *rows,
        "",
        f"Trained as `{facts['trained']}`; `{storage.RECORD}` beside this file says the same for programs.",
        "",
    ]
    return "\n".join(lines)


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
