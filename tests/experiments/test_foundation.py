"""A text-to-image model's folder becomes a foundation, once."""

from pathlib import Path

import pytest
import torch

from experiments import foundation
from stickers.export import check_fit
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.models.weights import inflate, load_image_model
from tests.conftest import byte_tokenizer
from tests.support.text_to_image import save_pipeline


def test_a_foundation_is_written_once_and_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, base = (
        str(save_pipeline(tmp_path / "model", byte_tokenizer(tmp_path), square=False)),
        tmp_path / "out",
    )
    foundation.main(model, base, name="start", latent_channels=4)
    assert "it predicts epsilon" in capsys.readouterr().out
    start = load_image_model(model, latent_channels=4)
    again = load_unet(base / "video_unets" / "start")
    torch.manual_seed(0)
    for name, weight in inflate(start.unet).state_dict().items():
        assert torch.equal(again.state_dict()[name], weight)
    check_fit(again, load_autoencoder(base))
    assert torch.equal(load_text_encoder(base).encode(["a cat"]), start.text.encode(["a cat"]))
    with pytest.raises(ValueError, match="exists; give another --name or --out"):
        foundation.main(model, base, name="start", latent_channels=4)
