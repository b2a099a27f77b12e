"""The video UNet: identity at birth, any number of frames, and clear refusals."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from stickers.models.unet import VideoUNet
from stickers.models.weights import inflate

IMAGE = {
    "sample_size": 8,
    "in_channels": 8,
    "out_channels": 8,
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 8,
}


@pytest.fixture(
    scope="module", params=[{}, {"addition_embed_type": "text", "addition_embed_type_num_heads": 2}]
)
def image_unet(request):
    torch.manual_seed(0)
    return UNet2DConditionModel(**IMAGE, **request.param).eval()


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("num_frames", [1, 3, 8, 16])
def test_a_new_video_model_draws_the_same_as_its_image_model(image_unet, num_frames, linear):
    if linear:
        torch.manual_seed(0)
        image_unet = UNet2DConditionModel(
            **{**IMAGE, "use_linear_projection": True, "layers_per_block": 1}
        ).eval()
    video = inflate(image_unet).eval()
    z, context = torch.randn(2, num_frames, 8, 8, 8), torch.randn(2, 5, 16)
    timestep, image = torch.tensor([5, 700]), torch.randn(2, 8, 8, 8)
    with torch.no_grad():
        ours = video(z, timestep, context, image)
        theirs = image_unet(
            z.flatten(0, 1), timestep.repeat_interleave(num_frames), context.repeat_interleave(num_frames, 0)
        ).sample.unflatten(0, (2, num_frames))
    assert (ours - theirs).abs().max() < 1e-5


def test_temporal_layers_learn_to_mix_frames(image_unet):
    """A change in one frame reaches the others once the weights have moved, and not before."""
    video = inflate(image_unet).eval()
    z, context, image = torch.randn(1, 4, 8, 8, 8), torch.randn(1, 5, 16), torch.randn(1, 8, 8, 8)
    changed = z.clone()
    changed[:, 0] += 1

    def effect():
        with torch.no_grad():
            gap = video(z, torch.tensor([500]), context, image) - video(
                changed, torch.tensor([500]), context, image
            )
        return gap[:, 1:].abs().max()

    assert effect() < 1e-6
    for name, parameter in video.named_parameters():
        if "temporal" in name:
            parameter.data += 0.05 * torch.randn_like(parameter)
    assert effect() > 1e-3


def test_wrong_channels_are_refused_in_one_sentence(image_unet):
    with pytest.raises(ValueError, match="takes 16 input channels .* got 8"):
        inflate(image_unet)(torch.randn(1, 2, 8, 8, 8), torch.tensor([1]), torch.randn(1, 5, 16), None)


def test_saved_and_loaded_models_are_equal(tmp_path, image_unet):
    video = inflate(image_unet).eval()
    video.save_pretrained(tmp_path)
    again = VideoUNet.from_pretrained(tmp_path, use_safetensors=True).eval()
    inputs = torch.randn(1, 2, 8, 8, 8), torch.tensor([1]), torch.randn(1, 5, 16), torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        assert torch.allclose(video(*inputs), again(*inputs), atol=1e-5)
    for saved, loaded in zip(video.parameters(), again.parameters(), strict=True):
        assert torch.equal(saved, loaded)


@pytest.fixture(scope="module")
def two_texts() -> VideoUNet:
    torch.manual_seed(0)
    return VideoUNet(
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=(1, 2),
        temporal_layers_per_block=(1, 2),
        attention_head_dim=2,
        cross_attention_dim=16,
        t5_dim=40,
        norm_num_groups=8,
    ).eval()


def test_clip_and_t5_are_both_attended(two_texts: VideoUNet) -> None:
    text = torch.randn(1, 5, 16 + 40)
    z, t, image = torch.randn(1, 3, 8, 8, 8), torch.tensor([500]), torch.randn(1, 8, 8, 8)
    with torch.no_grad():
        plain = two_texts(z, t, text, image)
        for features in (slice(16), slice(16, None)):
            changed = text.clone()
            changed[..., features] += 1
            assert (two_texts(z, t, changed, image) - plain).abs().max() > 1e-4
        again = two_texts(z, t, two_texts.project_text(text), image)
    assert torch.equal(again, plain)


def test_a_missing_text_is_one_sentence(two_texts: VideoUNet) -> None:
    with pytest.raises(ValueError, match=r"attends to texts of 16 features \(CLIP\) and 40 \(T5\), got 16"):
        two_texts.project_text(torch.randn(1, 5, 16))
