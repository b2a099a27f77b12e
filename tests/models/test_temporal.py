"""Temporal layers start as the identity, and text is projected once a clip (paper section 3.3.1)."""

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch.utils.flop_counter import FlopCounterMode

from stickers.models.temporal import TemporalConv, TemporalTransformer, TextAttention
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
    """Once for all steps and guidance passes, the empty prompt together with the others."""
    pipeline = AnimationPipeline.load(student_folder)
    rows: list[int] = []
    layers = [layer for name, layer in pipeline.unet.named_modules() if name.endswith("attn2.to_k")]
    hooks = [
        layer.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0]))) for layer in layers
    ]
    picture = torch.zeros(pipeline.picture_size, pipeline.picture_size, 4, dtype=torch.uint8).numpy()
    pipeline.animate(pictures=[picture] * 2, prompts=["a cat", "a dog"], seeds=[1, 2])
    for hook in hooks:
        hook.remove()
    assert rows == [3] * len(layers) and layers


@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_new_temporal_layers_change_nothing_and_trained_ones_mix_frames(num_frames: int) -> None:
    torch.manual_seed(0)
    conv, transformer = TemporalConv(C), TemporalTransformer(C, heads=4, context_dim=D, depth=1, groups=8)
    x = torch.randn(B * num_frames, C, 2, 2)
    text = transformer.project_text(torch.randn(B, L, D))
    with torch.no_grad():
        assert torch.equal(conv(x, num_frames), x) and torch.equal(transformer(x, text, num_frames), x)
        transformer.proj_out.weight.normal_()
        changed = x.clone()
        changed[0] += torch.randn_like(x[0])
        effect = (
            (transformer(changed, text, num_frames) - transformer(x, text, num_frames)).abs().amax((1, 2, 3))
        )
    assert (effect[:num_frames] > 0).all() and not effect[num_frames:].any(), "frames of one clip, no other"
