"""A finished run becomes a pipeline; what does not fit together is refused."""

import json
from dataclasses import asdict
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from stickers import storage
from stickers.export import assemble, check_fit, model_card
from stickers.models.unet import VideoUNet
from stickers.pipeline import AnimationPipeline


@pytest.fixture
def finished(student_folder: Path, tmp_path: Path) -> Path:
    """A run whose checkpoint is the exported student's network."""
    student = AnimationPipeline.load(student_folder)
    copytree(student_folder / "unet", tmp_path / "checkpoint")
    record = {
        "prediction": student.prediction,
        "settings": asdict(student.settings),
        "picture_size": student.picture_size,
    }
    (tmp_path / storage.RECORD).write_text(json.dumps(record))
    return tmp_path


def test_an_assembled_pipeline_draws_what_the_exported_one_draws(
    student_folder: Path, finished: Path
) -> None:
    picture = np.full((32, 32, 4), 200, np.uint8)
    clips = [
        pipeline.animate(pictures=[picture], prompts=["a cat"], seeds=[1])
        for pipeline in (AnimationPipeline.load(student_folder), assemble(finished, student_folder))
    ]
    assert np.array_equal(*clips)


def test_a_pipeline_without_text_takes_encoded_texts(student_folder: Path, finished: Path) -> None:
    pipeline = assemble(finished, student_folder, with_text=False)
    with pytest.raises(ValueError, match="no text encoder; give it encoded texts"):
        pipeline.encode_texts(["a cat"])


def test_unfinished_runs_and_unequal_latents_are_refused(student_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no finished training: record.json is missing"):
        assemble(tmp_path, student_folder)
    student = AnimationPipeline.load(student_folder)
    config = {**student.unet.config, "out_channels": 4}
    with pytest.raises(ValueError, match="makes 8 latent channels, the UNet predicts 4; they must be equal"):
        check_fit(VideoUNet.from_config(config), student.autoencoder)


def test_the_model_card_names_every_licence_and_who_brought_it(finished: Path) -> None:
    record = storage.read_record(str(finished)) | {"name": "distilled"}
    licences = {"foundation": "Apache-2.0", "collection artist": "CC-BY-4.0", "stickers": ""}
    facts = {"trained": "distilled-abc", "simulated": True, "licences": licences}
    card = model_card("cats", record, facts)
    assert card.startswith("# distilled of project cats\n") and "simulated people kept" in card
    for line in (
        "| Apache-2.0 | foundation |",
        "| CC-BY-4.0 | collection artist |",
        "| not stated | stickers |",
    ):
        assert line in card.splitlines()
