"""Late context expansion (paper section 3.3.1): the text is projected once a clip and never repeated."""

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch.utils.flop_counter import FlopCounterMode

from stickers.models.temporal import TextAttention
from stickers.models.unet import VideoUNet
from stickers.pipeline import AnimationPipeline

B, T, P, L, D, C = 2, 8, 16, 5, 24, 32


@pytest.fixture(scope="module")
def attention() -> TextAttention:
    torch.manual_seed(0)
    return TextAttention(query_dim=C, cross_attention_dim=D, heads=4, dim_head=C // 4).eval()


@pytest.mark.parametrize(("rows", "sequence"), [(B * T, P), (B * P, T)], ids=["space", "time"])
def test_it_equals_the_naive_order_for_fewer_flops(
    attention: TextAttention, rows: int, sequence: int
) -> None:
    queries, context = torch.randn(rows, sequence, C), torch.randn(B, L, D)
    times = rows // B
    with torch.no_grad(), FlopCounterMode(display=False) as late:
        text = attention.project(context)
    with torch.no_grad(), FlopCounterMode(display=False) as naive:
        attention.project(context.repeat_interleave(times, 0))
    with torch.no_grad():
        ours = attention(queries.unflatten(0, (B, times)).flatten(1, 2), text).view_as(queries)
        expanded = context.repeat_interleave(times, 0)
        theirs = Attention.forward(attention, queries, encoder_hidden_states=expanded)
    assert (ours - theirs).abs().max() < 1e-6
    assert late.get_total_flops() == 2 * 2 * B * L * D * C
    assert naive.get_total_flops() == times * late.get_total_flops(), "8 x in space at 8 frames"


def test_a_clip_projects_its_text_once(student_folder) -> None:  # type: ignore[no-untyped-def]
    """Once for all steps and all guidance passes, the empty prompt's row beside the prompts'."""
    pipeline = AnimationPipeline.load(student_folder)
    rows: list[int] = []
    layers = [each for name, each in pipeline.unet.named_modules() if name.endswith("attn2.to_k")]
    hooks = [each.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0]))) for each in layers]
    picture = torch.zeros(pipeline.picture_size, pipeline.picture_size, 4, dtype=torch.uint8).numpy()
    pipeline.animate(pictures=[picture] * 2, prompts=["a cat", "a dog"], seeds=[1, 2])
    for hook in hooks:
        hook.remove()
    assert rows == [3] * len(layers) and layers


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
