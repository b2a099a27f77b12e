"""The fast path draws the same as the plain one."""

import shutil
import sysconfig
from pathlib import Path

import pytest
import torch

from stickers.diffusion.sampling import TRAINING_FREE
from stickers.models.fast import as_graph, improve_layers
from stickers.models.unet import VideoUNet
from stickers.pipeline import AnimationPipeline, Order

SMALL = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 8,
}


@pytest.fixture
def unet() -> VideoUNet:
    """A UNet whose temporal layers do something."""
    torch.manual_seed(0)
    video = VideoUNet(**SMALL).eval()
    for parameter in video.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return video.requires_grad_(False).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("graph", ["none", "script"])
def test_improved_layers_and_graphs_change_nothing(unet: VideoUNet, graph: str) -> None:
    shapes = [(2, 3, 8), (2, 8, 16), (6, 3, 8)]
    inputs = []
    for batch, frames, side in shapes:
        z, image = torch.randn(batch, frames, 8, side, side), torch.randn(batch, 8, side, side)
        inputs.append((z, torch.tensor([500]), torch.randn(batch, 5, 16), image))
    with torch.no_grad():
        plain = [unet(*arguments) for arguments in inputs]
        improve_layers(unet)
        assert not [name for name, _ in unet.named_parameters() if name.endswith("attn1.to_q.weight")]
        network = as_graph(unet, graph)  # type: ignore[arg-type]
        for expected, (z, timestep, context, image) in zip(plain * 2, inputs * 2, strict=True):
            prediction = network(z, timestep, unet.project_text(context), image)
            assert (prediction - expected).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))


COMPILES = shutil.which("g++") and (Path(sysconfig.get_path("include")) / "Python.h").exists()


@pytest.mark.long
@pytest.mark.skipif(not COMPILES, reason="torch.compile needs g++ and Python's headers")
def test_a_compiled_unet_changes_nothing(unet: VideoUNet) -> None:
    z, image = torch.randn(2, 3, 8, 8, 8), torch.randn(2, 8, 8, 8)
    with torch.no_grad():
        text = unet.project_text(torch.randn(2, 5, 16))
        plain = unet(z, torch.tensor([500]), text, image)
        compiled = as_graph(unet, "compile")(z, torch.tensor([500]), text, image)
    assert (compiled - plain).abs().max() < 1e-5 * max(1.0, float(plain.abs().max()))


def test_an_unknown_graph_is_one_sentence(unet: VideoUNet) -> None:
    with pytest.raises(ValueError, match="unknown graph 'onnx'; accepted: none, script, compile"):
        as_graph(unet, "onnx")  # type: ignore[arg-type]


def test_an_accelerated_pipeline_draws_the_same_clip(student_folder) -> None:  # type: ignore[no-untyped-def]
    """Timesteps are inputs of the graph, not constants; guided and unguided steps have a graph each."""
    plain, fast = (AnimationPipeline.load(student_folder) for _ in range(2))
    side = plain.picture_size
    picture = (
        torch.randint(0, 256, (side, side, 4), generator=torch.Generator().manual_seed(0)).byte().numpy()
    )
    order = Order([picture], ["a cat"], [1], TRAINING_FREE)
    expected = next(plain.animate_each([order]))
    fast.accelerate()
    for clip in fast.animate_each([order] * 3):
        assert abs(clip.astype(int) - expected).max() <= 1


def test_batches_come_in_order(student_folder) -> None:  # type: ignore[no-untyped-def]
    pipeline = AnimationPipeline.load(student_folder)
    side = pipeline.picture_size
    picture = torch.zeros(side, side, 4, dtype=torch.uint8).numpy()
    orders = [Order([picture], ["a cat"], [seed]) for seed in range(3)]
    alone = [pipeline.animate(pictures=[picture], prompts=["a cat"], seeds=[seed]) for seed in range(3)]
    together = list(pipeline.animate_each(orders))
    assert all((one == other).all() for one, other in zip(alone, together, strict=True))
    assert not (alone[0] == alone[1]).all() and list(pipeline.animate_each([])) == []
