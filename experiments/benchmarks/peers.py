"""Our video UNet beside diffusers' at about 100 million weights.

`python experiments/benchmarks/peers.py {forward,pipelines}`.

The same latents, channels, text length and random weights in float32, taking turns in one run; peak memory in a process
each. Needs what `latency.py` needs.
"""

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    I2VGenXLPipeline,
    I2VGenXLUNet,
    TextToVideoSDPipeline,
    UNet3DConditionModel,
    UNetMotionModel,
)
from diffusers.utils import logging
from PIL import Image
from torch import Tensor
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModelWithProjection

from experiments.benchmarks.latency import (
    MEDIUM,
    PROMPT,
    SEED,
    animate,
    make_order,
    make_text,
    say,
    show_row,
)
from stickers.diffusion.sampling import SamplerSettings
from stickers.evaluation.latency import count_flops, peak_memory, time_in_turns
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.fast import improve_layers
from stickers.models.sizes import NUM_TOKENS
from stickers.models.unet import VideoUNet
from stickers.pipeline import AnimationPipeline

#: our UNet's size by name: about 100 million weights for figures, few for a trial
CONFIGS = {
    "100m": MEDIUM,
    "trial": {
        **MEDIUM,
        "block_out_channels": (64, 64, 128, 128),
        "attention_head_dim": (1, 1, 2, 2),
        "cross_attention_dim": 64,
    },
}
#: channels of the autoencoder's blocks; it has 8 pixels to a latent pixel
AUTOENCODER = (64, 128, 256, 256)
OURS, FAST = "ours", "ours, fast"
Run = Callable[[], object]


def make_unet(name: str, size: str, *, image_channels: int) -> Any:
    """A UNet with random weights; it takes `image_channels` beside the 4 channels of its noisy latent."""
    config = CONFIGS[size]
    widths, heads = config["block_out_channels"], config["attention_head_dim"]
    common = {
        "out_channels": 4,
        "block_out_channels": widths,
        "cross_attention_dim": config["cross_attention_dim"],
    }
    taken = 4 + image_channels
    motion = {
        "num_attention_heads": heads,
        "motion_num_attention_heads": heads,
        "use_linear_projection": True,
    }
    make: dict[str, Callable[[], Any]] = {
        OURS: lambda: VideoUNet(**{**config, "in_channels": 8, "out_channels": 4}),
        "UNet3DConditionModel": lambda: UNet3DConditionModel(
            in_channels=taken, attention_head_dim=64, **common
        ),
        "I2VGenXLUNet": lambda: I2VGenXLUNet(in_channels=4, attention_head_dim=64, **common),
        "UNetMotionModel": lambda: UNetMotionModel(in_channels=taken, **motion, **common),
    }
    return make[OURS if name == FAST else name]()


def call(name: str, network: Any, args: argparse.Namespace, where: str) -> Run:
    """Run one forward of one clip."""
    side = args.picture // 8
    noisy = torch.randn(1, args.frames, 4, side, side, device=where)
    image, text = (
        noisy[:, 0],
        torch.randn(1, NUM_TOKENS, CONFIGS[args.size]["cross_attention_dim"], device=where),
    )
    step = torch.full((1,), 500.0, device=where)
    if name in (OURS, FAST):
        return partial(network, noisy, step, text, image)
    noisy = noisy.transpose(1, 2)
    both = torch.cat([noisy, image[:, :, None].expand_as(noisy)], dim=1)
    if name == "I2VGenXLUNet":
        fps = torch.tensor([8], device=where)
        return partial(
            network, noisy, step, fps, noisy, image_embeddings=text[:, 0], encoder_hidden_states=text
        )
    # this one takes its text expanded over the frames, as its pipeline gives it
    embeddings = text.repeat_interleave(args.frames, 0) if name == "UNetMotionModel" else text
    return partial(network, both, step, encoder_hidden_states=embeddings)


def forward(name: str, args: argparse.Namespace) -> Run:
    """A function that runs one forward of one clip."""
    network = make_unet(name, args.size, image_channels=4).eval().requires_grad_(False).to(args.device)
    if name in (OURS, FAST):
        network = network.to(memory_format=torch.channels_last)
    if name == FAST:
        improve_layers(network)
    return call(name, network, args, args.device)


def pipelines(name: str, args: argparse.Namespace) -> Run:
    """A function that makes a clip from a prompt, and from a picture where the pipeline takes one.

    Each step has two passes, as diffusers guides.
    """
    return our_pipeline(name, args) if name in (OURS, FAST) else their_pipeline(name, args)


def our_pipeline(name: str, args: argparse.Namespace) -> Run:
    """Our pipeline, guided by text alone."""
    settings = SamplerSettings(
        num_steps=args.steps, num_frames=args.frames, guidance_image=1.0, guided_steps=args.steps
    )
    assert settings.num_passes() == 2 * args.steps
    scale = {"latent_mean": (0.0,) * 4, "latent_std": (1.0,) * 4}
    autoencoder = RGBAAutoencoder(block_out_channels=AUTOENCODER, latent_channels=4, **scale)
    ours = AnimationPipeline(
        unet=make_unet(name, args.size, image_channels=4).eval().to(memory_format=torch.channels_last),
        autoencoder=autoencoder.eval(),
        text=make_text(CONFIGS[args.size]["cross_attention_dim"], None),
        prediction="epsilon",
        settings=settings,
        picture_size=args.picture,
    ).to(args.device)
    if name == FAST:
        ours.accelerate()
    return partial(animate, ours, make_order(ours, settings))


def their_pipeline(name: str, args: argparse.Namespace) -> Run:
    """The pipeline that diffusers gives this UNet."""
    tokenizer, text_encoder = make_text(CONFIGS[args.size]["cross_attention_dim"], None).towers[0]
    levels = len(AUTOENCODER)
    common = {
        "vae": AutoencoderKL(
            block_out_channels=AUTOENCODER,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=2,
        ).eval(),
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "unet": make_unet(name, args.size, image_channels=0).eval(),
        "scheduler": DDIMScheduler(clip_sample=False),
    }
    call_options: dict[str, Any] = {
        "prompt": PROMPT,
        "height": args.picture,
        "width": args.picture,
        "num_frames": args.frames,
        "num_inference_steps": args.steps,
        "output_type": "np",
    }
    peer: Any
    if name == "UNet3DConditionModel":
        peer = TextToVideoSDPipeline(**common)
    elif name == "I2VGenXLUNet":
        vision = CLIPVisionModelWithProjection(
            CLIPVisionConfig(projection_dim=text_encoder.config.hidden_size, patch_size=32)
        ).eval()
        peer = I2VGenXLPipeline(**common, image_encoder=vision, feature_extractor=CLIPImageProcessorPil())
        grey = np.full((args.picture, args.picture, 3), 128, np.uint8)
        call_options |= {"image": Image.fromarray(grey), "target_fps": 8, "clip_skip": None}
    else:
        peer = AnimateDiffPipeline(**common, motion_adapter=None)
    peer.set_progress_bar_config(disable=True)
    return partial(peer.to(args.device), **call_options)


COMMANDS = {"forward": forward, "pipelines": pipelines}
NAMES = (OURS, FAST, "UNet3DConditionModel", "I2VGenXLUNet", "UNetMotionModel")


class Count(NamedTuple):
    """Weights, and FLOPs of one forward."""

    weights: int
    flops: int


def count(name: str, args: argparse.Namespace) -> Count:
    """Count weights and FLOPs without holding a weight."""
    with torch.device("meta"):
        twin = make_unet(name, args.size, image_channels=4).eval()
    weights = sum(parameter.numel() for parameter in twin.parameters())
    return Count(weights, count_flops(call(name, twin, args, "meta")))


def memory_of(name: str, args: argparse.Namespace) -> int:
    """Bytes that the first run takes beyond the weights, in a process that has held no other network."""
    command = [sys.executable, __file__, args.what, "--only", name, "--device", args.device]
    command += [
        "--size",
        args.size,
        "--picture",
        str(args.picture),
        "--frames",
        str(args.frames),
        "--steps",
        str(args.steps),
    ]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return int(json.loads(done.stdout))


def compare(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time all networks in turns, and compare the best of the others with ours."""
    runs: dict[str, Run] = {}
    for name in args.networks:
        torch.manual_seed(SEED)
        runs[name] = COMMANDS[args.what](name, args)
    memory = {name: memory_of(name, args) for name in args.networks}
    counted = {name: count(name, args) for name in args.networks}
    timings = time_in_turns(runs, device=torch.device(args.device), repeats=args.repeats)
    rows: list[dict[str, Any]] = []
    for name, timing in timings.items():
        rows.append(
            {
                "network": name,
                "weights_m": counted[name].weights / 1e6,
                "gflops_a_pass": counted[name].flops / 1e9,
                "ms": timing.p50,
                "ms_a_gflop": timing.p50 / counted[name].flops * 1e9,
                "memory_mib": memory[name] / 2**20,
            }
        )
        show_row(rows[-1])
    others = [row for row in rows if row["network"] not in (OURS, FAST)]
    for our_row in (row for row in rows if row not in others and others):
        ratios = (
            f"{title} {our_row[key] / min(row[key] for row in others):.2f}"
            for title, key in (("time", "ms"), ("time a FLOP", "ms_a_gflop"), ("peak memory", "memory_mib"))
        )
        say(f"{our_row['network']} to the best of the others: {', '.join(ratios)}")
    return rows


def main() -> None:
    """Read the command line, time ours and the peers in turns and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    helps = (f"{name}: {(make.__doc__ or '').splitlines()[0]}" for name, make in COMMANDS.items())
    parser.add_argument("what", choices=COMMANDS, help=" ".join(helps))
    parser.add_argument("--size", default="100m", choices=CONFIGS)
    parser.add_argument("--picture", type=int, default=256, help="pixels a side, 8 a latent pixel")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="of a whole pipeline")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--networks", nargs="+", default=NAMES, choices=NAMES, help="all by default")
    parser.add_argument("--only", choices=NAMES, help="print the peak memory in bytes of one network")
    args = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # diffusers', of what it deprecates
    logging.set_verbosity_error()
    if args.only:
        torch.manual_seed(SEED)
        run: Callable[[], Tensor] = COMMANDS[args.what](args.only, args)  # type: ignore[assignment]
        print(peak_memory(run, torch.device(args.device)))
        return
    machine = (
        torch.cuda.get_device_name() if args.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    )
    say(
        f"{args.what}: {args.size}, {args.picture} pixels, {args.frames} frames, {machine}, torch {torch.__version__}"
    )
    rows = compare(args)
    if args.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
