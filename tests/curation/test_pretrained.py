"""Pretrained models load from the user's folders, or are refused with the reason."""

from pathlib import Path
from shutil import copytree

import pytest
from safetensors.torch import load_file, save_file

from stickers.curation.pretrained import load_helper, load_model


def test_a_model_and_its_helper_load_from_one_folder(clip_folder: Path) -> None:
    model = load_model("AutoModel", clip_folder, "cpu")
    assert type(model).__name__ == "CLIPModel" and not model.training
    assert hasattr(load_helper("AutoImageProcessor", clip_folder), "image_mean")


def test_missing_folders_helpers_and_weights_are_named(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="absent cannot be loaded as AutoModel: there is no such folder"):
        load_model("AutoModel", tmp_path / "absent", "cpu")
    with pytest.raises(ValueError, match="has nothing that AutoTokenizer can load"):
        load_helper("AutoTokenizer", tmp_path)
    lame = tmp_path / "clip"
    copytree(clip_folder, lame)
    weights = load_file(lame / "model.safetensors")
    del weights["logit_scale"]
    save_file(weights, lame / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="cannot be loaded as AutoModel: its weights lack logit_scale"):
        load_model("AutoModel", lame, "cpu")
