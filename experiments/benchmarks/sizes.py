"""Weights and FLOPs of the paper's four UNets beside the paper's figures: `python experiments/benchmarks/sizes.py`.

Nothing is allocated: the networks exist, and a pass is counted, on torch's meta device. A FLOP is half a multiply-add.
Convolutions, matrix products and attention count; element-wise work does not, and neither does the projection of the
text, which happens once a clip. The text is 77 tokens of CLIP, and 77 of T5 where a size has it.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated

import torch
import tyro
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from actors.screen import console
from experiments.cli.options import run_script
from recipes.paper import PAPER_TEACHERS
from stickers.errors import UserError
from stickers.models.sizes import LATENT_256, LATENT_512, NUM_TOKENS, SIZES, Size
from stickers.models.unet import VideoUNet
from stickers.training.estimate import estimate

NUM_FRAMES = 8
#: pixels a latent pixel
FACTOR = 8


@dataclass(frozen=True)
class Row:
    """A size as measured: weights, and FLOPs per pass of one clip of `NUM_FRAMES` frames."""

    size: str
    spatial: int
    temporal: int
    parameters: int
    paper_parameters: float
    flops_256p: int
    flops_512p: int
    paper_flops_512p: float | None


@cache
def measure(size: Size) -> Row:
    """Count a size on the meta device; counting takes seconds, so a size is counted once a process."""
    with torch.device("meta"):
        unet = VideoUNet(**size.config()).eval()
    temporal = sum(p.numel() for name, p in unet.named_parameters() if "temporal" in name)
    num_weights = sum(p.numel() for p in unet.parameters())
    return Row(
        size=size.name,
        spatial=num_weights - temporal,
        temporal=temporal,
        parameters=num_weights,
        paper_parameters=size.paper_parameters,
        flops_256p=flops(unet, LATENT_256),
        flops_512p=flops(unet, LATENT_512),
        paper_flops_512p=size.paper_flops,
    )


@torch.no_grad()
def flops(unet: VideoUNet, side: int) -> int:
    """FLOPs of one pass over one clip with latents of `side` pixels."""
    features = unet.config.cross_attention_dim + (unet.config.t5_dim or 0)
    text = unet.project_text(torch.empty(1, NUM_TOKENS, features, device="meta"))
    noisy = torch.empty(1, NUM_FRAMES, unet.config.out_channels, side, side, device="meta")
    with FlopCounterMode(display=False) as counter:
        unet(noisy, torch.empty(1, device="meta"), text, noisy[:, 0])
    return int(counter.get_total_flops())


def table(rows: list[Row]) -> Table:
    """The sizes beside the paper's figures, in billions of weights and TFLOPs."""
    shown = Table(
        *("size", "spatial B", "temporal B", "total B", "paper B"),
        *("TFLOPs 256p", "TFLOPs 512p", "paper 512p"),
        title=f"a pass of one clip of {NUM_FRAMES} frames",
    )
    for row in rows:
        paper_flops = f"{row.paper_flops_512p / 1e12:.1f}" if row.paper_flops_512p else ""
        shown.add_row(
            row.size,
            *(f"{count / 1e9:.2f}" for count in (row.spatial, row.temporal, row.parameters)),
            f"{row.paper_parameters / 1e9:.1f}",
            *(f"{count / 1e12:.2f}" for count in (row.flops_256p, row.flops_512p)),
            paper_flops,
        )
    return shown


def main(
    only: str | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
    training: bool = False,
) -> None:
    """Print weights and FLOPs of each size.

    Args:
        only: the name of one size.
        as_json: print JSON instead of a table.
        training: print instead what a teacher of `recipes/paper.py` takes at each size.
    """
    if only is not None and only not in SIZES:
        raise UserError(f"there is no size {only!r}; sizes: {', '.join(SIZES)}")
    if training:
        for name, size in SIZES.items():
            if only in (None, name):
                memory = estimate(PAPER_TEACHERS[0], size.config(), FACTOR)
                console.print(f"{name}: {memory}", highlight=False, soft_wrap=True)
        return
    rows = [measure(size) for name, size in SIZES.items() if only in (None, name)]
    if as_json:
        console.out(json.dumps([asdict(row) for row in rows], indent=2), highlight=False)
    else:
        console.print(table(rows))


if __name__ == "__main__":
    run_script(main)
