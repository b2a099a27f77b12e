"""Latent sets and batches: what is stored comes back, and seed and step decide a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stickers.data.encoding import canonical, to_tensor
from stickers.data.latents import LatentSet
from stickers.data.mixture import Mixture
from stickers.pipeline import to_pixels


@pytest.fixture(scope="module")
def latents():
    """Three videos whose latents say which frame they are: value = 100 x video + frame."""
    lengths = torch.tensor([10, 24, 8])
    values = torch.cat([100 * i + torch.arange(int(n)) for i, n in enumerate(lengths)])
    return LatentSet(
        frames=values[:, None, None, None].expand(-1, 8, 2, 2).half(),
        first=torch.cumsum(lengths, 0) - lengths,
        length=lengths,
        fps=torch.tensor([8.0, 24.0, 8.0]),
        texts=torch.randn(2, 4, 16).half(),
        text_of=torch.tensor([0, 1, 0]),
    )


def test_clips_are_sampled_at_the_asked_rate(latents):
    assert latents.clip(0, fps=8, num_frames=8, start_fraction=0.0)[:, 0, 0, 0].tolist() == list(range(8))
    assert latents.clip(1, fps=8, num_frames=8, start_fraction=0.99)[:, 0, 0, 0].tolist() == list(
        range(102, 124, 3)
    )
    assert latents.clip(2, fps=4, num_frames=8, start_fraction=0.5)[:, 0, 0, 0].tolist() == list(
        range(200, 208)
    )


def test_videos_are_drawn_evenly_or_by_caption(latents):
    """Two of the three videos bear one caption."""
    rng = np.random.default_rng(0)
    for balance, shares in (("clips", (1 / 3, 1 / 3, 1 / 3)), ("captions", (1 / 4, 1 / 2, 1 / 4))):
        drawn = np.bincount([latents.draw(rng, balance) for _ in range(4000)], minlength=3) / 4000
        assert np.abs(drawn - shares).max() < 0.03


def test_sets_survive_saving_and_joining(latents, tmp_path):
    latents.save(tmp_path / "one.safetensors")
    again = LatentSet.join([LatentSet.load(tmp_path / "one.safetensors"), latents])
    assert len(again) == 6
    for i in range(3):
        for j in (i, i + 3):
            clip = again.clip(j, fps=8, num_frames=8, start_fraction=0.3)
            assert torch.equal(clip, latents.clip(i, fps=8, num_frames=8, start_fraction=0.3))
            assert torch.equal(again.text(j), latents.text(i))


def _batch(mixture, **changes):
    asked = {
        "datasets": [("a", 3.0), ("b", 1.0)],
        "fps": 8,
        "num_frames": 8,
        "conditioning_frame": "middle",
        "batch_size": 400,
        "seed": 1,
        "step": 2,
    }
    return mixture.batch(**{**asked, **changes})


def test_batches_depend_on_seed_and_step_alone_and_follow_the_weights(latents):
    low = replace(latents, frames=latents.frames - 1000)
    mixture = Mixture({"a": latents, "b": low})
    one, same, other = _batch(mixture), _batch(mixture), _batch(mixture, step=3)
    assert torch.equal(one.z_BTCHW, same.z_BTCHW) and not torch.equal(one.z_BTCHW, other.z_BTCHW)
    share = (one.z_BTCHW[:, 0, 0, 0, 0] >= 0).float().mean()
    assert 0.65 < share < 0.85
    assert torch.equal(one.image_BCHW, one.z_BTCHW[:, 3])


@pytest.mark.parametrize(("kind", "index"), [("first", 0), ("middle", 3), ("last", 7)])
def test_the_conditioning_frame_is_the_one_asked_for(latents, kind, index):
    batch = _batch(Mixture({"a": latents}), datasets=[("a", 1.0)], conditioning_frame=kind)
    assert torch.equal(batch.image_BCHW, batch.z_BTCHW[:, index])


def test_an_unknown_dataset_is_named(latents):
    with pytest.raises(ValueError, match="dataset 'b' is unknown; available: a"):
        _batch(Mixture({"a": latents}))


def test_pixels_survive_the_tensor_form():
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 4)).astype(np.uint8)
    assert np.array_equal(to_pixels(to_tensor(frames)[None])[0], frames)


def test_canonical_clips_are_cut_out_over_white():
    frames = np.full((2, 40, 60, 4), 255, np.uint8)
    frames[..., :3] = (200, 220, 240)
    frames[:, 10:30, 20:40, :3] = (90, 20, 10)
    clip = canonical(frames, 32)
    assert clip.shape == (2, 32, 32, 4) and (clip[:, 0, 0] == (255, 255, 255, 0)).all()
    assert (clip[:, 16, 16] == (90, 20, 10, 255)).all()
