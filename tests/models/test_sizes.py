"""The paper's sizes as arguments of the network; what they weigh and take is counted beside their benchmark."""

import pytest
import torch

from stickers.models.sizes import CLIP_DIM, SIZES, T5_DIM, Size
from stickers.models.unet import VideoUNet


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_size_is_the_networks_configuration(size: Size) -> None:
    config = size.config()
    assert config["block_out_channels"] == size.widths and config["layers_per_block"] == size.layers
    assert config["cross_attention_dim"] == CLIP_DIM and config["t5_dim"] == (T5_DIM if size.t5 else None)
    assert [heads * 64 for heads in config["attention_head_dim"]] == list(size.widths)


def test_a_size_makes_a_network() -> None:
    with torch.device("meta"):
        unet = VideoUNet(**SIZES["sm"].config())
    assert unet.config.block_out_channels == SIZES["sm"].widths


def test_the_smaller_ones_drop_what_the_paper_names() -> None:
    """Section 3.3.2: T5 and residual blocks, then channels, then more of all."""
    large, large_efficient, medium, small = SIZES.values()
    assert large.t5 and not any(size.t5 for size in (large_efficient, medium, small))
    assert large_efficient.widths == large.widths and sum(large_efficient.layers) < sum(large.layers)
    assert sum(small.widths) < sum(medium.widths) < sum(large.widths) and small.depth < medium.depth
