"""Latent sets: clips at the requested rates, and a set that is saved comes back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stickers.data.latents import LatentSet, encode_clips, weights_digest
from stickers.models.folders import load_autoencoder, load_text_encoder
from tests.support.latents import numbered


@pytest.fixture(scope="module")
def latents() -> LatentSet:
    return numbered()


def test_clips_are_sampled_at_the_requested_rate(latents: LatentSet) -> None:
    for video, fps, start, frames in (
        (0, 8, 0.0, range(8)),
        (1, 8, 0.99, range(102, 124, 3)),
        (2, 4, 0.5, range(200, 208)),
    ):
        clip = latents.clip(video, fps=fps, num_frames=8, start_fraction=start)
        assert clip[:, 0, 0, 0].tolist() == list(frames)


def test_videos_are_drawn_evenly_or_by_caption(latents: LatentSet) -> None:
    """Two of the three videos have one caption."""
    rng = np.random.default_rng(0)
    for balance, shares in (("clips", (1 / 3, 1 / 3, 1 / 3)), ("captions", (1 / 4, 1 / 2, 1 / 4))):
        drawn = np.bincount([latents.draw(rng, balance) for _ in range(4000)], minlength=3) / 4000
        assert np.abs(drawn - shares).max() < 0.03


def test_sets_survive_saving_and_joining(latents: LatentSet, tmp_path: Path) -> None:
    latents.save(tmp_path / "one.safetensors")
    again = LatentSet.join([LatentSet.load(tmp_path / "one.safetensors"), latents])
    assert len(again) == 6
    for i in range(3):
        for j in (i, i + 3):
            clip = again.clip(j, fps=8, num_frames=8, start_fraction=0.3)
            assert torch.equal(clip, latents.clip(i, fps=8, num_frames=8, start_fraction=0.3))
            assert torch.equal(again.text(j), latents.text(i))


def test_a_set_without_a_track_says_so(latents: LatentSet) -> None:
    with pytest.raises(ValueError, match="knows neither times nor motion of its frames"):
        latents.tracked(0)


def test_clips_are_encoded_end_to_end_with_each_caption_once(tiny_foundations: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 4), dtype=np.uint8)
    clips = [(frames, 8.0, "a cat"), (frames[:5], 4.0, "a dog"), (frames[:3], 8.0, "a cat")]
    autoencoder, text = load_autoencoder(tiny_foundations), load_text_encoder(tiny_foundations)
    encoded = encode_clips(clips, autoencoder, text, 32)
    assert encoded.first.tolist() == [0, 9, 14] and encoded.length.tolist() == [9, 5, 3]
    assert encoded.fps.tolist() == [8, 4, 8] and encoded.text_of.tolist() == [0, 1, 0]
    assert torch.equal(encoded.frames[9:14], encoded.frames[:5]), "a latent does not depend on its neighbours"
    with pytest.raises(ValueError, match="no usable clip to encode"):
        encode_clips([], autoencoder, text, 32)


def test_a_folders_digest_follows_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    digests = [weights_digest(tmp_path)]
    (tmp_path / "notes.md").write_text("no weight")
    assert weights_digest(tmp_path) == digests[0]
    (tmp_path / "config.json").write_text("{ }")
    digests.append(weights_digest(tmp_path))
    (tmp_path / "config.json").rename(tmp_path / "other.json")
    digests.append(weights_digest(tmp_path))
    assert len(set(digests)) == 3
