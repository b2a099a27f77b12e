"""What in a model's folder is code of its own, and what is not."""

from pathlib import Path
from typing import Any

import pytest

from stickers.errors import UserError
from stickers.models.trust import refuse_own_code
from tests.support.hostile import with_own_code

MAP = {"AutoModel": "own.Model"}


@pytest.mark.parametrize(
    ("file", "entries", "reason"),
    [
        ("config.json", {"auto_map": MAP}, r'auto_map = \{"AutoModel": "own.Model"\}'),
        ("config.json", {"text_config": {"auto_map": MAP}}, "auto_map"),
        ("tokenizer_config.json", {"auto_map": ["own.Tokenizer", None]}, "auto_map"),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "theirs/repository--own.X"}}, "auto_map"),
        ("model_index.json", {"_class_name": ["own", "Pipeline"]}, r'_class_name = \["own", "Pipeline"\]'),
        ("model_index.json", {"unet": ["own", "UNet"]}, r'unet = \["own", "UNet"\]'),
        ("model_index.json", {"unet": ["..", "UNet"]}, "unet"),
        ("modular_model_index.json", {"vae": ["os.path", "VAE", {}]}, "vae"),
    ],
)  # fmt: skip
def test_code_is_refused_by_name(tmp_path: Path, file: str, entries: dict[str, Any], reason: str) -> None:
    (tmp_path / "part").mkdir()
    for folder in (tmp_path, tmp_path / "part"):
        with_own_code(folder, file, tmp_path / "marker", **entries)
        with pytest.raises(UserError, match=rf"{folder}/{file} names code to run, {reason}"):
            refuse_own_code(tmp_path)
        (folder / file).unlink()
    refuse_own_code(tmp_path)


def test_what_the_libraries_have_is_taken(tmp_path: Path) -> None:
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
    }
    with_own_code(tmp_path, "model_index.json", tmp_path / "marker", **index)
    with_own_code(tmp_path, "config.json", tmp_path / "marker", auto_map={}, architectures=["CLIPModel"])
    (tmp_path / "tokenizer_config.json").write_text("no JSON")
    refuse_own_code(tmp_path)
    refuse_own_code(tmp_path / "absent")
