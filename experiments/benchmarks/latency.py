"""How fast the model is: `python experiments/benchmarks/latency.py {latency,factors,graphs,frames}`.

It needs torch, diffusers, transformers and safetensors alone. The candidates of one run take turns, so on a shared
machine their ratios mean something; absolute times do on a GPU alone, whose name is printed. Weights are random except
for the tiny size, which is the shipped one: drift depends on weights, latency does not.
"""

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel

from stickers.diffusion.sampling import DISTILLED, NAIVE, TRAINING_FREE, SamplerSettings
from stickers.evaluation.latency import count_flops, matmul_peak, peak_memory, psnr, time_in_turns
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.fast import GRAPHS, Network, as_graph, improve_layers
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.models.sizes import NUM_TOKENS, SIZES
from stickers.models.temporal import TextAttention, TransformerBlock
from stickers.models.text import TextEncoder
from stickers.models.unet import VideoUNet
from stickers.pipeline import AnimationPipeline, Order

FOUNDATIONS = Path(__file__).parents[2] / "platform" / "foundations" / "tiny"
SEED = 7
PROMPT = "a cat waving hello"
#: about 100 million weights, for comparing on a CPU
MEDIUM: dict[str, Any] = {
    "block_out_channels": (128, 256, 384, 384),
    "attention_head_dim": (2, 4, 6, 6),
    "cross_attention_dim": 768,
    "use_linear_projection": True,
}
#: the paper's variants (section 3.3.3)
VARIANTS = {
    "naive": NAIVE,
    "training-free": TRAINING_FREE,
    "guidance-distilled": replace(TRAINING_FREE, guidance_image=1.0, guidance_text=1.0, guided_steps=0),
    "guidance+step": DISTILLED,
}


def make_pipeline(size: str, device: torch.device, picture: int) -> AnimationPipeline:
    """A pipeline of this size in float32: the shipped one, or the paper's with random weights."""
    torch.manual_seed(SEED)
    if size == "tiny":
        unet: VideoUNet = load_unet(FOUNDATIONS / "video_unets" / "student")
        autoencoder, text = load_autoencoder(FOUNDATIONS), load_text_encoder(FOUNDATIONS)
    else:
        config = MEDIUM if size == "100m" else SIZES[size].config()
        with torch.device(device):
            unet = VideoUNet(**config)
            autoencoder = RGBAAutoencoder(
                block_out_channels=(64, 128, 256, 256) if size == "100m" else (128, 256, 512, 512)
            )
            text = make_text(config["cross_attention_dim"], config.get("t5_dim"))
    return AnimationPipeline(
        unet=unet.eval().requires_grad_(False).to(memory_format=torch.channels_last),
        autoencoder=autoencoder.eval().requires_grad_(False),
        text=text,
        prediction="v_prediction",
        settings=DISTILLED,
        picture_size=picture,
    ).to(str(device))


def make_text(width: int, t5_dim: int | None) -> TextEncoder:
    """Text models as wide as Stable Diffusion's and Flan-T5-XL, with the shipped tokenizer."""
    tokenizer = CLIPTokenizer.from_pretrained(
        FOUNDATIONS / "tokenizer", local_files_only=True, model_max_length=NUM_TOKENS, trust_remote_code=False
    )
    clip = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=23 if width == 1024 else 12,
        num_attention_heads=width // 64,
        max_position_embeddings=NUM_TOKENS,
        eos_token_id=tokenizer.eos_token_id,
    )
    towers = [(tokenizer, CLIPTextModel(clip))]
    if t5_dim:
        t5 = T5Config(
            d_model=t5_dim, d_ff=5120, d_kv=64, num_layers=24, num_heads=32, feed_forward_proj="gated-gelu"
        )
        towers.append((tokenizer, T5EncoderModel(t5)))
    return TextEncoder(*towers)


def make_order(pipeline: AnimationPipeline, settings: SamplerSettings) -> Order:
    """One picture, one prompt and one seed, always the same."""
    side = pipeline.picture_size
    dice = torch.Generator().manual_seed(SEED)
    picture = torch.rand(1, 4, 4, 4, generator=dice)
    smooth = torch.nn.functional.interpolate(picture, (side, side), mode="bicubic").clamp(0, 1)
    pixels = (smooth[0].permute(1, 2, 0) * 255).byte().numpy()
    return Order([pixels], [PROMPT], [SEED], settings)


class NaiveText(TextAttention):
    """Cross-attention in the naive order: it keeps the text as it is."""

    def project(self, context_BLD: Tensor) -> tuple[Tensor, Tensor]:
        """The text as it is; the blocks project it."""
        return context_BLD, context_BLD


class NaiveBlock(TransformerBlock):
    """A block in the naive order: in every step it first expands the text over frames or pixels, then projects it."""

    def forward(self, x_MSC: Tensor, text: tuple[Tensor, Tensor]) -> Tensor:
        """One block, which expands and projects the text in every step."""
        x_MSC = x_MSC + self.attn1(self.norm1(x_MSC))
        expanded = text[0].repeat_interleave(len(x_MSC) // len(text[0]), 0)
        x_MSC = x_MSC + Attention.forward(self.attn2, self.norm2(x_MSC), encoder_hidden_states=expanded)
        return x_MSC + self.ff(self.norm3(x_MSC))


def in_naive_order(unet: VideoUNet) -> VideoUNet:
    """The same network, which expands its text before projecting it."""
    for module in unet.modules():
        if type(module) is TransformerBlock:
            module.__class__ = NaiveBlock
        elif type(module) is TextAttention:
            module.__class__ = NaiveText
    return unet


def with_unet(pipeline: AnimationPipeline, unet: VideoUNet) -> AnimationPipeline:
    """The same pipeline with another UNet and autoencoders of its own."""
    return replace(pipeline, unet=unet, autoencoder=copy.deepcopy(pipeline.autoencoder))


def cast(network: Any, dtype: torch.dtype) -> Any:
    """A copy of the network in this precision."""
    return torch.nn.Module.to(copy.deepcopy(network), dtype)


def latency(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time sizes and variants as in the paper's section 3.3.3: whole clips, single passes, decoding and text."""
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    plain = make_pipeline(args.size, device, args.picture)
    fast = with_unet(plain, cast(plain.unet, dtype)).accelerate(args.graph)
    peaks = {kind: matmul_peak(device, kind) for kind in (torch.float32, dtype)}
    for kind, peak in peaks.items():
        say(f"matrix products in {str(kind).removeprefix('torch.')} reach {peak / 1e12:.2f} TFLOP/s")
    flops = pass_flops(plain.unet, args.picture // plain.autoencoder.factor, args.frames)
    reference, rows = None, []
    for name, settings in VARIANTS.items():
        pipeline = plain if name == "naive" else fast
        row, clip = time_variant(pipeline, replace(settings, num_frames=args.frames), args)
        reference = clip if reference is None else reference
        rate = flops / (row["pass_ms"] / 1e3)
        of_peak = rate / peaks[pipeline.unet.dtype]
        drift = {"tflops": rate / 1e12, "of_peak": of_peak, "psnr_db": psnr(clip, reference)}
        rows.append({"variant": name, **row, **drift})
        show_row(rows[-1])
    latents = torch.zeros(1, args.frames, fast.unet.config.out_channels, *_sides(fast), device=device)
    beside: dict[str, Callable[[], object]] = {
        "text encoding": lambda: fast.unet.project_text(fast.encode_texts(["", PROMPT])),
        "VAE decoding": lambda: fast.autoencoder.decode(latents),
    }
    for name, timing in time_in_turns(beside, device=device, repeats=args.repeats).items():
        say(f"{name:24} p50_ms {timing.p50:.2f}  p99_ms {timing.p99:.2f}")
    return rows


def _sides(pipeline: AnimationPipeline) -> tuple[int, int]:
    """Height and width of latents."""
    side = pipeline.picture_size // pipeline.autoencoder.factor
    return side, side


def animate(pipeline: AnimationPipeline, order: Order) -> np.ndarray:
    """One batch from start to end: uint8 RGBA `[B, T, H, W, 4]`."""
    return next(pipeline.animate_each([order]))


def time_variant(
    pipeline: AnimationPipeline, settings: SamplerSettings, args: argparse.Namespace
) -> tuple[dict[str, Any], Tensor]:
    """Time whole clips and single passes with these settings; returns the figures and the clip."""
    order = make_order(pipeline, settings)
    (passes, noise, _), _ = pipeline._inputs(order)
    whole_clip = partial(animate, pipeline, order)
    one = partial(passes, noise, 500, ("full",))
    single = time_in_turns({"pass": one}, device=pipeline.unet.device, repeats=args.repeats, warmup=3)["pass"]
    slow = settings.num_passes() >= NAIVE.num_passes()
    few, warmup = (max(1, args.repeats // 10), 0) if slow else (args.repeats, 1)
    clips = time_in_turns({"whole": whole_clip}, device=pipeline.unet.device, repeats=few, warmup=warmup)[
        "whole"
    ]
    videos: list[Tensor] = []
    memory = peak_memory(lambda: videos.append(torch.from_numpy(whole_clip())), pipeline.unet.device)
    row = {
        "passes": settings.num_passes(),
        "whole_ms": clips.p50,
        "whole_p99_ms": clips.p99,
        "pass_ms": single.p50,
        "pass_p99_ms": single.p99,
        "memory_gib": memory / 2**30,
    }
    return row, videos[0]


def pass_flops(unet: VideoUNet, side: int, frames: int) -> int:
    """FLOPs of one pass over one clip; its text is projected already."""
    with torch.device("meta"):
        twin = VideoUNet(**{k: v for k, v in unet.config.items() if not k.startswith("_")}).eval()
        noisy = torch.empty(1, frames, unet.config.out_channels, side, side)
        features = unet.config.cross_attention_dim + (unet.config.t5_dim or 0)
        text = twin.project_text(torch.empty(1, NUM_TOKENS, features))
        return count_flops(lambda: twin(noisy, torch.empty(1), text, noisy[:, 0]))


def factors(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time the way from the naive sampler to the training-free one, with one optimisation after another added."""
    runs: dict[str, Callable[[], object]] = {}
    clips: dict[str, Tensor] = {}
    for name, (pipeline, settings) in optimisations(args).items():
        order = make_order(pipeline, replace(settings, num_frames=args.frames))
        # two steps, one guided and one not, make every graph that the timed clips need
        short = replace(settings, num_frames=args.frames, num_steps=2, guided_steps=1)
        animate(pipeline, order._replace(settings=short))

        def run(name: str = name, pipeline: AnimationPipeline = pipeline, order: Order = order) -> None:
            clips[name] = torch.from_numpy(animate(pipeline, order))

        runs[name] = run
    timings = time_in_turns(runs, device=torch.device(args.device), repeats=args.repeats, warmup=0)
    rows: list[dict[str, Any]] = []
    before = first = timings["naive"].p50
    for name, timing in timings.items():
        rows.append(
            {
                "step": name,
                "whole_ms": timing.p50,
                "factor": before / timing.p50,
                "in_all": first / timing.p50,
                "psnr_db": psnr(clips[name], clips["naive"]),
                "psnr_to_31_passes_db": psnr(clips[name], clips["fewer passes"]),
            }
        )
        before = timing.p50
        show_row(rows[-1])
    ratio = NAIVE.num_passes() / TRAINING_FREE.num_passes()
    say(f"in all {rows[-1]['in_all']:.2f} x, {rows[-1]['in_all'] / ratio:.2f} of the passes' own {ratio:.2f}")
    return rows


def optimisations(args: argparse.Namespace) -> dict[str, tuple[AnimationPipeline, SamplerSettings]]:
    """The pipelines to time, each with one optimisation more than the one before."""
    dtype = getattr(torch, args.dtype)
    plain = make_pipeline(args.size, torch.device(args.device), args.picture)

    def variant(kind: torch.dtype, *, late: bool, layers: bool) -> AnimationPipeline:
        cast_pipeline = with_unet(plain, cast(plain.unet, kind))
        cast_pipeline.autoencoder = cast(cast_pipeline.autoencoder, kind)
        if not late:
            in_naive_order(cast_pipeline.unet)
        if layers:
            improve_layers(cast_pipeline.unet)
        return cast_pipeline

    naive = variant(torch.float32, late=False, layers=False)
    half = variant(dtype, late=False, layers=False)
    late, layers = variant(dtype, late=True, layers=False), variant(dtype, late=True, layers=True)
    graph = variant(dtype, late=True, layers=False).accelerate(args.graph)
    return {
        "naive": (naive, NAIVE),
        "fewer passes": (naive, TRAINING_FREE),
        f"precision ({args.dtype})": (half, TRAINING_FREE),
        "late context expansion": (late, TRAINING_FREE),
        "layers for this device": (layers, TRAINING_FREE),
        f"graph ({args.graph})": (graph, TRAINING_FREE),
    }


def graphs(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time one pass of the UNet eagerly, as TorchScript, exported, and by torch.compile, also with constants folded."""
    unet, inputs = one_pass(args)
    kinds: dict[str, Callable[[], Network]] = {
        "none": lambda: unet,
        "script": lambda: as_graph(unet, "script"),
        "export": lambda: torch.export.export(copy.deepcopy(unet), inputs, strict=False).module(),
    }
    if args.compile:
        kinds["compile"] = lambda: as_graph(copy.deepcopy(unet), "compile")
        kinds["compile, constants folded"] = lambda: folded(copy.deepcopy(unet), inputs)
    runs: dict[str, Callable[[], object]] = {}
    prepared: dict[str, float] = {}
    drift: dict[str, float] = {}
    with torch.no_grad():
        for name, make in kinds.items():
            start = time.perf_counter()
            runs[name] = partial(make(), *inputs)
            video: Any = runs[name]()
            prepared[name] = time.perf_counter() - start
            drift[name] = float((video - unet(*inputs)).abs().max() / video.abs().max())
    timings = time_in_turns(runs, device=torch.device(args.device), repeats=args.repeats)
    rows: list[dict[str, Any]] = []
    for name, timing in timings.items():
        rows.append(
            {
                "graph": name,
                "pass_ms": timing.p50,
                "to_none": timing.p50 / timings["none"].p50,
                "prepared_s": prepared[name],
                "largest_difference": drift[name],
            }
        )
        show_row(rows[-1])
    return rows


def one_pass(args: argparse.Namespace) -> tuple[VideoUNet, tuple[Any, ...]]:
    """A UNet with the layers that are fast here, and the inputs of one pass over one clip."""
    device, dtype = torch.device(args.device), getattr(torch, args.dtype)
    pipeline = make_pipeline(args.size, device, args.picture)
    unet = cast(pipeline.unet, dtype)
    improve_layers(unet)
    torch.manual_seed(SEED)
    z = torch.randn(1, args.frames, unet.config.out_channels, *_sides(pipeline), device=device, dtype=dtype)
    with torch.no_grad():
        text = unet.project_text(pipeline.encode_texts([PROMPT]))
    return unet, (z, torch.tensor([500], device=device), text, z[:, 0])


def folded(unet: VideoUNet, inputs: tuple[Any, ...]) -> Network:
    """The network by torch.compile with weights as constants, so that the compiler can choose their layout."""
    with torch._inductor.config.patch(freezing=True):
        # a function of its own, or the compiler takes what it made of the same forward without folding
        network = torch.compile(lambda *inputs: unet(*inputs), dynamic=False)
        network(*inputs)
    return network


def frames(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time and memory of eight single passes over longer clips with the same weights."""
    device = torch.device(args.device)
    plain = make_pipeline(args.size, device, args.picture)
    fast = with_unet(plain, cast(plain.unet, getattr(torch, args.dtype))).accelerate(args.graph)
    orders = {n: make_order(fast, replace(DISTILLED, num_frames=n)) for n in (8, 16, 24, 32)}
    runs: dict[str, Callable[[], object]] = {
        str(n): partial(animate, fast, order) for n, order in orders.items()
    }
    timings = time_in_turns(runs, device=device, repeats=args.repeats)
    rows: list[dict[str, Any]] = []
    for name, timing in timings.items():
        rows.append(
            {
                "frames": int(name),
                "whole_ms": timing.p50,
                "to_8_frames": timing.p50 / timings["8"].p50,
                "memory_mib": peak_memory(runs[name], device) / 2**20,
            }
        )
        show_row(rows[-1])
    return rows


def say(line: str) -> None:
    """Print progress for people, apart from the output of `--json`."""
    print(line, file=sys.stderr, flush=True)


def show_row(row: dict[str, Any]) -> None:
    """Print a row of figures in one line."""
    say(
        "  ".join(
            f"{key} {value:.2f}"
            if isinstance(value, float)
            else f"{value:24}"
            if isinstance(value, str)
            else f"{key} {value}"
            for key, value in row.items()
        )
    )


COMMANDS = {"latency": latency, "factors": factors, "graphs": graphs, "frames": frames}


def main() -> None:
    """Read the command line, run the chosen measurement and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what",
        choices=COMMANDS,
        help="; ".join(f"{k}: {(f.__doc__ or '').splitlines()[0]}" for k, f in COMMANDS.items()),
    )
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--size", default="tiny", choices=["tiny", "100m", *SIZES])
    parser.add_argument("--picture", type=int, help="pixels a side (32 for tiny, else 256)")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu")
    # a CPU without instructions for bfloat16 emulates it, many times slower than the float32 that it serves in
    parser.add_argument(
        "--dtype",
        default="bfloat16" if has_gpu else "float32",
        choices=["float32", "bfloat16", "float16"],
    )
    parser.add_argument("--graph", default="compile" if has_gpu else "script", choices=GRAPHS)
    parser.add_argument("--repeats", type=int, default=20 if has_gpu else 5)
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="for graphs: torch.compile too; takes minutes and, on a CPU, a C++ compiler",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    args = parser.parse_args()
    args.picture = args.picture or (32 if args.size == "tiny" else 256)
    name = torch.cuda.get_device_name() if args.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    say(
        f"{args.what}: {args.size}, {args.picture} pixels, {args.frames} frames, {name}, torch {torch.__version__}"
    )
    rows = COMMANDS[args.what](args)
    if args.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
