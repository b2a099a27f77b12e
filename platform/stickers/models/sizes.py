"""The paper's four UNets (sections 2.1 and 3.3.2) as rows of numbers.

The paper gives weights and, for two of them, TFLOPs, but no layout. Ours has the four levels of its image model and
three residual blocks a level. `lg` splits into 2.7 B spatial and 1.6 B temporal weights, close to Emu Video's 2.7 B and
1.7 B, which the paper's network follows. The smaller ones drop what section 3.3.2 names: channels, transformer depth,
residual blocks, T5.
"""

from dataclasses import dataclass
from typing import Any

#: tokens of CLIP, and as many of T5
NUM_TOKENS = 77
#: width of the CLIP text features and of Flan-T5-XL's
CLIP_DIM, T5_DIM = 1024, 2048
#: channels of one attention head
HEAD_WIDTH = 64
#: latent pixels a side at 256p and 512p
LATENT_256, LATENT_512 = 32, 64


@dataclass(frozen=True, kw_only=True)
class Size:
    """The numbers of a UNet, beside those that the paper reports.

    `widths` are the channels of each level, from the finest; `layers` the residual blocks of each level; `depth` the
    transformer blocks of a layer, in space and in time, on all levels but the finest two, which have one.
    `paper_parameters` counts weights, `paper_flops` is for a pass at 512p (None where the paper gives none).
    """

    name: str
    widths: tuple[int, int, int, int]
    layers: tuple[int, int, int, int]
    depth: int
    t5: bool
    paper_parameters: float
    paper_flops: float | None = None

    def config(self) -> dict[str, Any]:
        """The arguments of `VideoUNet`."""
        deep = (1, 1, self.depth, self.depth)
        return {
            "block_out_channels": self.widths,
            "layers_per_block": self.layers,
            "transformer_layers_per_block": deep,
            "temporal_layers_per_block": deep,
            "attention_head_dim": tuple(width // HEAD_WIDTH for width in self.widths),
            "cross_attention_dim": CLIP_DIM,
            "t5_dim": T5_DIM if self.t5 else None,
            "use_linear_projection": True,
        }


SIZES = {
    size.name: size
    for size in (
        Size(
            name="lg",
            widths=(320, 896, 1536, 1792),
            layers=(3, 3, 3, 3),
            depth=3,
            t5=True,
            paper_parameters=4.3e9,
            paper_flops=23.5e12,
        ),
        Size(
            name="lg-e",
            widths=(320, 896, 1536, 1792),
            layers=(3, 2, 2, 3),
            depth=3,
            t5=False,
            paper_parameters=3.5e9,
        ),
        Size(
            name="med",
            widths=(320, 640, 1152, 1280),
            layers=(3, 3, 3, 3),
            depth=3,
            t5=False,
            paper_parameters=2.4e9,
        ),
        Size(
            name="sm",
            widths=(128, 512, 1024, 1280),
            layers=(2, 2, 2, 2),
            depth=2,
            t5=False,
            paper_parameters=1.2e9,
            paper_flops=5.6e12,
        ),
    )
}
