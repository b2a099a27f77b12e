"""Frames made from videos on demand: the requested ones, in the model's form, and rebuilt from a set's file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stickers.data.encoding import canonical, encode_frames
from stickers.data.online import OnlineFrames
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.folders import load_autoencoder
from stickers.video.codec import write_video

LENGTHS = (5, 9)


@pytest.fixture(scope="module")
def autoencoder(tiny_foundations: Path) -> RGBAAutoencoder:
    return load_autoencoder(tiny_foundations)


@pytest.fixture
def videos(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two lossless videos of noise, by path."""
    dice = np.random.default_rng(0)
    frames = {
        str(tmp_path / f"{n}.mov"): dice.integers(0, 256, (n, 40, 40, 4), dtype=np.uint8) for n in LENGTHS
    }
    for path, pixels in frames.items():
        write_video(path, pixels, 8)
    return frames


def online_frames(videos: dict[str, np.ndarray], autoencoder: RGBAAutoencoder) -> OnlineFrames:
    """The second video's rows come first."""
    first = torch.tensor([LENGTHS[1], 0])
    return OnlineFrames(list(videos), first, torch.tensor([False, False]), 32, 256, autoencoder)


def test_rows_are_the_latents_of_their_frames(
    videos: dict[str, np.ndarray], autoencoder: RGBAAutoencoder
) -> None:
    online = online_frames(videos, autoencoder)
    for pixels, rows in zip(videos.values(), ([9, 12, 11], [0, 8]), strict=True):
        indices = [row - (LENGTHS[1] if row >= LENGTHS[1] else 0) for row in rows]
        expected = encode_frames(autoencoder, canonical(pixels[indices], 32, cut=False))
        assert torch.equal(online[torch.tensor(rows)], expected)
    assert online.shape() == (0, 8, 8, 8)


def test_frames_are_rebuilt_from_a_sets_tensors(
    videos: dict[str, np.ndarray], autoencoder: RGBAAutoencoder
) -> None:
    online = online_frames(videos, autoencoder)
    tensors = {**online.tensors(), "first": torch.tensor([LENGTHS[1], 0])}
    again = OnlineFrames.of_tensors(tensors, autoencoder)
    assert set(tensors) == {"first"} and again.uris == online.uris
    assert torch.equal(again[torch.tensor([10])], online[torch.tensor([10])])
