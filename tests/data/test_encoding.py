"""Canonical frames, and latents that do not depend on their neighbours."""

from pathlib import Path

import numpy as np
import torch

from stickers.data.encoding import canonical, encode_frames, to_tensor
from stickers.models.folders import load_autoencoder
from stickers.pipeline import to_pixels


def test_pixels_survive_the_tensor_form() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 4)).astype(np.uint8)
    assert np.array_equal(to_pixels(to_tensor(frames)[None])[0], frames)


def test_canonical_clips_are_cut_out_over_white() -> None:
    frames = np.full((2, 40, 60, 4), 255, np.uint8)
    frames[..., :3] = (200, 220, 240)
    frames[:, 10:30, 20:40, :3] = (90, 20, 10)
    clip = canonical(frames, 32)
    assert clip.shape == (2, 32, 32, 4) and (clip[:, 0, 0] == (255, 255, 255, 0)).all()
    assert (clip[:, 16, 16] == (90, 20, 10, 255)).all()
    assert (canonical(frames, 32, cut=False)[..., 3] == 255).all()


def test_a_latent_does_not_depend_on_the_frames_beside_it(tiny_foundations: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (11, 32, 32, 4)).astype(np.uint8)
    autoencoder = load_autoencoder(tiny_foundations)
    threads = torch.get_num_threads()
    latents = encode_frames(autoencoder, frames)
    assert latents.dtype == torch.float16 and latents.shape == (11, 8, 8, 8)
    assert torch.equal(encode_frames(autoencoder, frames[9:10]), latents[9:10])
    assert torch.get_num_threads() == threads
