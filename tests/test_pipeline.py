"""From picture to clip: passes counted by hooks, rows independent, settings respected, refusals clear."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from stickers.diffusion.sampling import DISTILLED, NAIVE, TRAINING_FREE, SamplerSettings
from stickers.pipeline import AnimationPipeline


@pytest.fixture(scope="module")
def pipeline(student_folder):
    return AnimationPipeline.load(student_folder)


def pictures(pipeline, count=1):
    rng = np.random.default_rng(0)
    side = pipeline.picture_size
    return [rng.integers(0, 256, (side, side, 4)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize(("settings", "passes"), [(DISTILLED, 8), (TRAINING_FREE, 31), (NAIVE, 150)])
def test_network_passes_a_clip_are_the_papers(pipeline, settings, passes):
    """A pass is one clip through the UNet; guidance batches three of them into one call."""
    counted = []
    hook = pipeline.unet.register_forward_hook(
        lambda _module, inputs, _output: counted.append(len(inputs[0]))
    )
    try:
        pipeline.animate(
            pictures=pictures(pipeline, 2), prompts=["a cat waving", "a dog"], seeds=[1, 2], settings=settings
        )
    finally:
        hook.remove()
    assert sum(counted) == 2 * passes and settings.num_passes() == passes


def test_guidance_passes_drop_picture_and_text(pipeline):
    """Equations 1-3 in one call: no condition, the picture alone, both; dropped ones are zero and the empty prompt."""
    calls = []
    hook = pipeline.unet.register_forward_pre_hook(lambda _module, inputs: calls.append(inputs))
    settings = replace(TRAINING_FREE, num_steps=2, guided_steps=1)
    try:
        pipeline.animate(pictures=pictures(pipeline), prompts=["a cat waving"], seeds=[1], settings=settings)
    finally:
        hook.remove()
    (noisy, _, context, image), (_, _, last_context, last_image) = calls
    prompt, empty = pipeline.text.encode(["a cat waving"]), pipeline.text.encode([""])
    for projected, texts in ((context, [empty, empty, prompt]), (last_context, [prompt])):
        expected = pipeline.unet.project_text(torch.cat(texts))
        for ours, theirs in zip(tree_leaves(projected), tree_leaves(expected), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)
    assert not image[0].any() and torch.equal(image[1:], last_image.repeat(2, 1, 1, 1)) and last_image.any()
    assert torch.equal(noisy, noisy[:1].expand_as(noisy))


def test_a_row_does_not_depend_on_its_neighbours(pipeline):
    shown = pictures(pipeline, 3)
    together = pipeline.animate(pictures=shown, prompts=["a cat", "a dog", "a fox"], seeds=[1, 2, 3])
    alone = pipeline.animate(pictures=shown[1:2], prompts=["a dog"], seeds=[2])
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1


def test_seed_and_settings_decide_the_clip(pipeline):
    (shown,) = pictures(pipeline)

    def make(seed, **changes):
        settings = replace(pipeline.settings, **changes)
        return pipeline.animate(pictures=[shown], prompts=["a cat waving"], seeds=[seed], settings=settings)

    assert np.array_equal(make(1), make(1)) and not np.array_equal(make(1), make(2))
    assert not np.array_equal(make(1), make(1, temperature=0.5))
    assert np.array_equal(make(1, temperature=0.0), make(2, temperature=0.0)), (
        "without noise nothing is left to chance"
    )
    side = pipeline.picture_size
    assert make(1, num_frames=5).shape == (1, 5, side, side, 4) and make(1, num_frames=16).dtype == np.uint8


def test_a_saved_pipeline_draws_the_same_pixels(pipeline, tmp_path):
    pipeline.save(tmp_path)
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".bin", ".pt", ".pkl", ".ckpt")]
    (shown,) = pictures(pipeline)
    again = AnimationPipeline.load(tmp_path)
    one, two = (p.animate(pictures=[shown], prompts=["a cat"], seeds=[5]) for p in (pipeline, again))
    assert np.abs(one.astype(int) - two).max() <= 1 and again.settings == pipeline.settings


def test_bfloat16_stays_close(student_folder, pipeline):
    (shown,) = pictures(pipeline)
    half = AnimationPipeline.load(student_folder, dtype="bfloat16")
    assert half.unet.dtype == torch.bfloat16
    one, two = (p.animate(pictures=[shown], prompts=["a cat"], seeds=[5]) for p in (pipeline, half))
    assert np.abs(one.astype(int) - two).mean() < 4


def test_bad_input_is_refused_in_one_sentence(pipeline, tmp_path):
    with pytest.raises(ValueError, match="1 pictures, 2 prompts and 1 seeds"):
        pipeline.animate(pictures=pictures(pipeline), prompts=["a", "b"], seeds=[1])
    with pytest.raises(ValueError, match="must be uint8 RGBA of shape"):
        pipeline.animate(pictures=[np.zeros((5, 5, 3), np.uint8)], prompts=["a"], seeds=[1])
    with pytest.raises(ValueError, match="is no animation model: pipeline.json is missing"):
        AnimationPipeline.load(tmp_path)
    with pytest.raises(ValueError, match="unknown solver"):
        SamplerSettings(solver="euler")  # type: ignore[arg-type]
