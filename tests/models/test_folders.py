"""Networks load from an exported folder, for inference and in the requested precision."""

from pathlib import Path

import pytest
import torch

from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.models.unet import VideoUNet


def test_networks_load_for_inference(student_folder: Path) -> None:
    unet, autoencoder = load_unet(student_folder / "unet"), load_autoencoder(student_folder)
    assert isinstance(unet, VideoUNet) and isinstance(autoencoder, RGBAAutoencoder)
    assert not unet.training and not autoencoder.training
    assert load_text_encoder(student_folder).encode(["a cat"]).shape == (1, 32, 16)


def test_a_unet_loads_in_the_requested_precision(student_folder: Path) -> None:
    half = load_unet(student_folder / "unet", torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="config.json"):
        load_unet(tmp_path)
