"""GPU-hours and storage of a plan at full size, by arithmetic: `python experiments/benchmarks/costs.py`.

FLOPs are counted on torch's meta device; bytes and seconds of a strip are measured on clips of the real size. Two
figures cannot be measured here, how busy a GPU is kept and how often a spot node vanishes. They are options, printed
among the assumptions. Nothing here has been timed on a GPU.
"""

import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import tyro
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from actors.ensemble import BATCH_SIZE
from actors.screen import console
from actors.teacher import rows_per_block
from experiments.benchmarks.sizes import FACTOR, NUM_FRAMES, flops
from experiments.cli.options import run_script
from recipes.toy.projects import TINY
from recipes.toy.world import Mode, look_of, meaning, render_motion, toy_prompts
from stickers.data.encoding import to_tensor
from stickers.diffusion.sampling import TRAINING_FREE
from stickers.errors import UserError
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.folders import load_autoencoder
from stickers.models.sizes import SIZES
from stickers.models.unet import VideoUNet
from stickers.pipeline import to_bytes
from stickers.training.estimate import SECONDS_AN_HOUR
from stickers.video.clips import on_white
from stickers.video.codec import encode_strip

#: dense bf16 of an H100 SXM, by its data sheet
H100_FLOPS = 989.4e12
#: assumed bytes of a row beside its clip: ids, prompt, settings and scores, twice, since an index repeats them
ROW_BYTES = 600
#: GPUs of the cluster that the days are of
NUM_GPUS = 16
HOURS_A_DAY = 24


@dataclass(frozen=True, kw_only=True)
class Strips:
    """What an encoded clip takes: bytes as drawn, bytes as a decoder leaves it, and one core's seconds."""

    drawn_bytes: float
    decoded_bytes: float
    encode_s: float

    def sentence(self, gpu_s: float) -> str:
        """These figures in words, beside the GPU's seconds for the same clip."""
        return (
            f"a strip takes {self.drawn_bytes / 1e3:.0f} kB as drawn, {self.decoded_bytes / 1e3:.0f} kB with an "
            f"autoencoder's noise, and one core {self.encode_s:.2f} s, so {self.encode_s / gpu_s:.2f} cores a GPU keep "
            f"up; {ROW_BYTES} bytes a row come on top"
        )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A plan's candidates, GPU-hours and bytes."""

    prompts: int
    candidates: int
    gpu_hours: float
    drawn_bytes: float
    decoded_bytes: float

    def cells(self) -> tuple[str, ...]:
        """The cells of its row: prompts, candidates, GPU-hours, days, and volumes as drawn and as decoded."""
        days = self.gpu_hours / NUM_GPUS / HOURS_A_DAY
        sizes = volume(self.drawn_bytes), volume(self.decoded_bytes)
        return (f"{self.prompts:,}", f"{self.candidates:,}", f"{self.gpu_hours:,.0f}", f"{days:,.1f}", *sizes)


def clip_flops(size: str, picture: int) -> tuple[int, int]:
    """FLOPs of all UNet passes of one clip, and of decoding its frames by an autoencoder of the usual size."""
    with torch.device("meta"):
        unet = VideoUNet(**SIZES[size].config()).eval()
        autoencoder = RGBAAutoencoder(latent_channels=unet.config.out_channels).eval()
    side = picture // FACTOR
    latents = torch.empty(NUM_FRAMES, unet.config.out_channels, side, side, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        autoencoder.reconstruct(latents)
    return TRAINING_FREE.num_passes() * flops(unet, side), int(counter.get_total_flops())


def measure_strips(picture: int, num_clips: int, seed: int) -> Strips:
    """Encode toy clips of `picture` pixels a side: sharp as drawn, and with the noise of an autoencoder."""
    autoencoder, rng = load_autoencoder(TINY.foundation.place), np.random.default_rng(seed)
    drawn, decoded, seconds = [], [], 0.0
    for prompt in toy_prompts(num_clips, seed):
        times = np.arange(NUM_FRAMES) / TRAINING_FREE.fps
        motion = meaning(prompt.text).motions[0]
        clip = render_motion(look_of(prompt.text, 0), motion, Mode.draw(rng), times, picture)
        drawn.append(len(encode_strip(clip)))
        through = to_bytes(autoencoder.decode(autoencoder.encode(to_tensor(on_white(clip))[None])))[0].numpy()
        start = time.perf_counter()
        decoded.append(len(encode_strip(through)))
        seconds += time.perf_counter() - start
    return Strips(
        drawn_bytes=float(np.mean(drawn)),
        decoded_bytes=float(np.mean(decoded)),
        encode_s=seconds / num_clips,
    )


def cost(prompts: int, pictures: int, teachers: int, gpu_s: float, waste: float, strips: Strips) -> Cost:
    """A plan's cost; `gpu_s` are a clip's seconds, `waste` is the share of work that is done again."""
    candidates = prompts * pictures * teachers
    return Cost(
        prompts=prompts,
        candidates=candidates,
        gpu_hours=candidates * gpu_s * (1 + waste) / SECONDS_AN_HOUR,
        drawn_bytes=candidates * (strips.drawn_bytes + ROW_BYTES),
        decoded_bytes=candidates * (strips.decoded_bytes + ROW_BYTES),
    )


def main(
    size: str = "lg",
    picture: int = 512,
    prompts: tuple[int, ...] = (15_000, 10_000_000),
    pictures: int = 2,
    teachers: int = 4,
    utilisation: float = 0.35,
    lost_per_hour: float = 0.05,
    clips: Annotated[int, tyro.conf.arg(help="how many clips are encoded to measure strips")] = 12,
    seed: int = 1,
) -> None:
    """Print what plans take on H100s.

    Args:
        size: the teachers' size, as experiments/benchmarks/sizes.py names it.
        picture: pixels a side.
        prompts: prompts of each plan.
        pictures: pictures of each prompt.
        teachers: how many teachers animate each picture.
        utilisation: share of a GPU's peak that is reached over the whole job; good public code reaches 0.33 to 0.63.
        lost_per_hour: how often an hour a spot GPU vanishes; half a block is then made again, on average.
        seed: seed of the clips that are encoded.
    """
    if size not in SIZES:
        raise UserError(f"there is no size {size!r}; sizes: {', '.join(SIZES)}")
    if not 0 < utilisation <= 1 or lost_per_hour < 0 or min(prompts, default=0) < 1:
        raise UserError("utilisation lies in (0, 1], lost_per_hour is at least 0, prompts are at least 1")
    network, decoder = clip_flops(size, picture)
    gpu_s = (network + decoder) / (H100_FLOPS * utilisation)
    strips = measure_strips(picture, clips, seed)
    table = Table(
        *("prompts", "candidates", "H100-hours", f"days on {NUM_GPUS}", "strips as drawn", "as decoded"),
        *("rows a block", "blocks", "s a block", "done again"),
        title=f"{pictures} pictures x {teachers} teachers of size {size}, {picture} pixels, {NUM_FRAMES} frames",
    )
    for count in prompts:
        block = rows_per_block(count * pictures, BATCH_SIZE)
        waste = lost_per_hour / SECONDS_AN_HOUR * block * gpu_s / 2
        plan_cost = cost(count, pictures, teachers, gpu_s, waste, strips)
        table.add_row(*plan_cost.cells(), str(block), f"{plan_cost.candidates // block:,}",
                      f"{block * gpu_s:.0f}", f"{waste:.3%}")  # fmt: skip
    console.print(table)
    for line in (
        f"counted: {TRAINING_FREE.num_passes()} passes, {network / 1e12:.0f} TFLOPs a clip, and {decoder / 1e12:.1f} "
        "to decode it; text and pictures are encoded once for all teachers and are left out",
        f"measured on {clips} toy clips (seed {seed}): {strips.sentence(gpu_s)}",
        f"assumed: {utilisation:.0%} of {H100_FLOPS / 1e12:.0f} TFLOP/s (dense bf16), which is {gpu_s:.2f} s a clip; a "
        f"spot GPU vanishes {lost_per_hour:g} times an hour and loses half a durable block",
        "left out: starting pods and loading weights, rows that fail, checkpoints, replication by the storage",
    ):
        console.print(line, highlight=False, soft_wrap=True)


def volume(count: float) -> str:
    """Bytes in decimal units, as clouds bill them."""
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e6:.1f} MB"


if __name__ == "__main__":
    run_script(main)
