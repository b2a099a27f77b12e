"""The RGBA autoencoder: its shapes, its scaling and its refusals."""

import pytest
import torch

from stickers.models.autoencoder import RGBAAutoencoder


@pytest.fixture(scope="module")
def autoencoder() -> RGBAAutoencoder:
    """Factor 4: patches of two pixels and one halving; latents with a mean and a spread of their own."""
    torch.manual_seed(0)
    return RGBAAutoencoder(
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        patch_size=2,
        latent_mean=tuple(range(8)),
        latent_std=tuple(range(1, 9)),
    ).eval()


def test_frames_become_latents_and_frames_again(autoencoder: RGBAAutoencoder) -> None:
    frames = torch.rand(2, 3, 4, 16, 24) * 2 - 1
    latents = autoencoder.encode(frames)
    assert autoencoder.factor == 4 and latents.shape == (2, 3, 8, 4, 6)
    decoded = autoencoder.decode(latents)
    assert decoded.shape == frames.shape and decoded.abs().max() <= 1
    assert torch.allclose(autoencoder.encode(frames[:, 1:2]), latents[:, 1:2], atol=1e-5), (
        "frames are independent"
    )


def test_latents_are_scaled_by_the_measured_mean_and_spread(autoencoder: RGBAAutoencoder) -> None:
    frames = torch.rand(1, 1, 4, 16, 16) * 2 - 1
    with torch.no_grad():
        unscaled = autoencoder.distribution(frames[0]).mode()
        picture = autoencoder.reconstruct(unscaled).clamp(-1, 1)
    mean, std = torch.arange(8.0).view(-1, 1, 1), torch.arange(1.0, 9).view(-1, 1, 1)
    scaled = autoencoder.encode(frames)
    assert torch.allclose(scaled[0, 0], (unscaled[0] - mean) / std, atol=1e-5)
    assert torch.allclose(autoencoder.decode(scaled)[0], picture, atol=1e-4)


def test_sides_that_are_no_multiples_of_the_factor_are_refused(autoencoder: RGBAAutoencoder) -> None:
    with pytest.raises(ValueError, match=r"multiples of 4 pixels, got \(16, 18\)"):
        autoencoder.encode(torch.zeros(1, 1, 4, 16, 18))
