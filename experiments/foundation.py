"""A foundation from a text-to-image model: `python experiments/foundation.py --image-model DIR --out DIR`.

The folder it writes is laid out as the shipped foundations are: `--foundations DIR` of other scripts takes it, and a
recipe names its network by `video_unets/NAME`. Freshly inflated it draws stills; a first stage of a recipe teaches it
motion, with its spatial layers frozen or not.
"""

from pathlib import Path

import torch

from actors.screen import console
from experiments.cli.options import run_script
from stickers.errors import UserError
from stickers.models.weights import LATENT_CHANNELS, inflate, load_image_model


def main(
    image_model: str,
    out: Path,
    name: str = "inflated",
    variant: str | None = None,
    latent_channels: int = LATENT_CHANNELS,
    seed: int = 0,
) -> None:
    """Inflate a diffusers text-to-image model.

    Args:
        image_model: its folder, or a hub name (which needs a network): Stable Diffusion 1, 2 or XL class.
        out: where the foundation goes; it must not hold one of this name yet.
        name: the network's name in `video_unets/`.
        variant: which weight files to read, for example fp16.
        latent_channels: latent channels that the model must have; 4 for Stable Diffusion.
        seed: seed of the temporal layers, which do nothing at first.
    """
    target = out / "video_unets" / name
    if target.exists():
        raise UserError(f"{target} exists; give another --name or --out")
    start = load_image_model(image_model, variant=variant, latent_channels=latent_channels)
    torch.manual_seed(seed)
    unet = inflate(start.unet)
    start.autoencoder.save_pretrained(out / "autoencoder", safe_serialization=True)
    start.text.save(out)
    unet.save_pretrained(target, safe_serialization=True)
    weights = sum(parameter.numel() for parameter in unet.parameters())
    new = sum(parameter.numel() for key, parameter in unet.named_parameters() if "temporal" in key)
    console.print(f"{target}: {weights / 1e6:,.2f} million weights, {new / 1e6:,.2f} of them new, temporal")
    console.print(f"it predicts {start.prediction}: the prediction of a recipe's first stage")


if __name__ == "__main__":
    run_script(main)
