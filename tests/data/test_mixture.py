"""Batches: seed and step decide them, and weights are respected."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from stickers.data.latents import LatentSet
from stickers.data.mixture import Batch, Mixture, step_generator
from tests.support.latents import numbered


@pytest.fixture(scope="module")
def latents() -> LatentSet:
    return numbered()


def batch_of(mixture: Mixture, **changes: Any) -> Batch:
    """A batch of 400 clips, three from set `a` to one from set `b`."""
    settings = {
        "datasets": [("a", 3.0), ("b", 1.0)],
        "fps": 8,
        "num_frames": 8,
        "conditioning_frame": "middle",
        "batch_size": 400,
        "seed": 1,
        "step": 2,
    }
    return mixture.batch(**{**settings, **changes})


def test_batches_depend_on_seed_and_step_alone_and_follow_the_weights(latents: LatentSet) -> None:
    low = replace(latents, frames=latents.frames - 1000)  # type: ignore[operator]
    mixture = Mixture({"a": latents, "b": low})
    batch, same, other = batch_of(mixture), batch_of(mixture), batch_of(mixture, step=3)
    assert torch.equal(batch.z_BTCHW, same.z_BTCHW) and not torch.equal(batch.z_BTCHW, other.z_BTCHW)
    share = (batch.z_BTCHW[:, 0, 0, 0, 0] >= 0).float().mean()
    assert 0.65 < share < 0.85
    assert torch.equal(batch.image_BCHW, batch.z_BTCHW[:, 3])


@pytest.mark.parametrize(("kind", "index"), [("first", 0), ("middle", 3), ("last", 7)])
def test_the_conditioning_frame_is_the_requested_one(latents: LatentSet, kind: str, index: int) -> None:
    batch = batch_of(Mixture({"a": latents}), datasets=[("a", 1.0)], conditioning_frame=kind)
    assert torch.equal(batch.image_BCHW, batch.z_BTCHW[:, index])


def test_an_unknown_dataset_is_named(latents: LatentSet) -> None:
    with pytest.raises(ValueError, match="dataset 'b' is unknown; available: a"):
        batch_of(Mixture({"a": latents}))


def test_a_steps_noise_depends_on_seed_and_step() -> None:
    noises = [torch.randn(4, generator=step_generator(*key)) for key in ((0, 1), (0, 1), (0, 2), (1, 1))]
    assert torch.equal(noises[0], noises[1])
    assert not torch.equal(noises[0], noises[2]) and not torch.equal(noises[0], noises[3])
