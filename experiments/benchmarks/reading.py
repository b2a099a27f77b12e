"""Our video reading beside the alternatives: `python experiments/benchmarks/reading.py {clips,motion}`.

`clips` reads eight frames of 256-pixel H.264, by their position in the video, with ours, torchcodec, decord and plain
PyAV (decode from the start, keep the wanted frames). `motion` compares our vmafmotion with FFmpeg's filter on the same
planes; both must print the same two decimals. All take turns in one run, so their ratios mean something. torchcodec and
decord are no dependencies of ours: a missing one is named and left out.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch
from av.filter import Graph
from PIL import Image
from tqdm import tqdm

from stickers.evaluation.latency import time_in_turns
from stickers.video.motion import luma_motion
from stickers.video.reading import read_frames, read_luma, read_video

SIZE, FPS, SECONDS = 256, 24, 5
#: encoder settings by name: x264's own, a key frame every half second, no bidirectional frames
ENCODINGS: dict[str, dict[str, str]] = {"default": {}, "gop12": {"g": "12"}, "no-b": {"bf": "0"}}
#: pixels a side of the clips that are scored; odd chroma, odd luma and the usual
SIZES = (32, 64, 96, 256, 256, 256, 258, 512)
Run = Callable[[], object]


def say(text: str) -> None:
    """Print progress to stderr; stdout is for the rows."""
    print(text, file=sys.stderr, flush=True)


def draw_frames(rng: np.random.Generator, size: int, num_frames: int) -> np.ndarray:
    """A soft texture that drifts, with a disc that swings across it and some grain: uint8 RGB `[T, H, W, 3]`."""
    small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    texture = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC)).astype(np.int16)
    y, x = np.mgrid[:size, :size]
    drift, swing, grain = rng.integers(-3, 4, 2), rng.uniform(4, 12), int(rng.integers(1, 20))
    frames = []
    for t in range(num_frames):
        frame = np.roll(texture, tuple(drift * t), (0, 1))
        frame[np.hypot(y - size / 2, x - size * (0.5 + 0.3 * np.sin(t / swing))) < size / 5] = (200, 30, 60)
        frame = frame + rng.integers(-grain, grain + 1, frame.shape)
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return np.stack(frames)


def write_h264(path: Path, frames: np.ndarray, options: dict[str, str], pix_fmt: str = "yuv420p") -> str:
    """Encode uint8 RGB frames `[T, H, W, 3]` as H.264; returns the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return str(path)


def plain_pyav(path: str, indices: list[int], num_threads: int) -> np.ndarray:
    """The first version that one writes: decode from the start, keep the wanted frames, stop after the last."""
    kept = []
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "AUTO", num_threads
        for number, frame in enumerate(container.decode(stream)):
            if number in indices:
                kept.append(frame.to_ndarray(format="rgb24"))
            if number == indices[-1]:
                break
    return np.stack(kept)


def torchcodec_clip(
    path: str, indices: list[int], num_threads: int, mode: Literal["exact", "approximate"]
) -> np.ndarray:
    """The frames `indices` of a video by torchcodec, uint8 RGB `[T, H, W, 3]`."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, seek_mode=mode, num_ffmpeg_threads=num_threads)
    return decoder.get_frames_at(indices).data.permute(0, 2, 3, 1).numpy()


def decord_clip(path: str, indices: list[int], num_threads: int) -> np.ndarray:
    """The frames `indices` of a video by decord, uint8 RGB `[T, H, W, 3]`."""
    from decord import VideoReader

    return VideoReader(path, num_threads=num_threads).get_batch(indices).asnumpy()


def our_clip(path: str, indices: list[int], num_threads: int) -> np.ndarray:
    """The frames `indices` of a video by `stickers.video.reading`."""
    return read_frames(path, indices, num_threads=num_threads)


def readers(path: str) -> dict[str, Callable[..., np.ndarray]]:
    """Every way of reading clips that works on this machine. All open the file anew, as a data loader does."""
    candidates: dict[str, Callable[..., np.ndarray]] = {
        "ours": our_clip,
        "plain PyAV": plain_pyav,
        "torchcodec, exact": partial(torchcodec_clip, mode="exact"),
        "torchcodec, approximate": partial(torchcodec_clip, mode="approximate"),
        "decord": decord_clip,
    }
    available = {}
    for name, read in candidates.items():
        try:
            read(path, [0, 1], num_threads=1)
        except (ImportError, OSError, RuntimeError) as error:
            say(f"{name} is left out: {str(error).strip().splitlines()[-1]}")
        else:
            available[name] = read
    return available


def clips(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Milliseconds for a clip by encoding, threads and reader, and our speed beside the fastest other's."""
    rows: list[dict[str, Any]] = []
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        for name, options in ENCODINGS.items():
            indices = {}
            for number in range(args.videos):
                path = write_h264(
                    Path(folder) / f"{name}-{number}.mp4", draw_frames(rng, SIZE, SECONDS * FPS), options
                )
                # a clip of one second at 8 frames a second, anywhere in the video
                indices[path] = (int(rng.integers(0, SECONDS * FPS - 22)) + 3 * np.arange(8)).tolist()
                assert (read_frames(path, indices[path]) == read_video(path)[0][indices[path]]).all(), path
            for num_threads in (1, 0):
                rows.append(
                    {"encoding": name, "threads": num_threads or "all", **_timed(indices, num_threads, args)}
                )
                say(str(rows[-1]))
    shares = [row["ours, speed to the fastest other"] for row in rows]
    say(
        f"ours, speed to the fastest other: {min(shares):.2f} to {max(shares):.2f}, median {np.median(shares):.2f}"
    )
    return rows


def _timed(clips: dict[str, list[int]], num_threads: int, args: argparse.Namespace) -> dict[str, float]:
    """Mean milliseconds for a clip. Each clip counts with its fastest turn, which other work disturbed least."""
    available = readers(next(iter(clips)))
    ms = dict.fromkeys(available, 0.0)
    for path, indices in clips.items():
        runs: dict[str, Run] = {
            name: partial(read, path, indices, num_threads=num_threads) for name, read in available.items()
        }
        for name, timing in time_in_turns(runs, device=torch.device("cpu"), repeats=args.repeats).items():
            ms[name] += min(timing.milliseconds) / len(clips)
    fastest = min(value for name, value in ms.items() if name != "ours")
    return {
        **{f"{name}, ms": round(value, 2) for name, value in ms.items()},
        "ours, speed to the fastest other": round(fastest / ms["ours"], 3),
    }


def filter_scores(frames: list[av.VideoFrame]) -> list[str]:
    """The scores that FFmpeg's filter prints for each frame."""
    graph, first = Graph(), frames[0]
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=Fraction(1, FPS)
    )
    motion, sink = graph.add("vmafmotion"), graph.add("buffersink")
    source.link_to(motion)
    motion.link_to(sink)
    graph.configure()
    scores = []
    for number, frame in enumerate(frames):
        frame.pts = number
        graph.push(frame)
        scores.append(str(graph.pull().metadata["lavfi.vmafmotion.score"]))
    return scores


def motion(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Whether our scores print as FFmpeg's do on every frame of synthetic clips, and our speed beside its filter's."""
    rng = np.random.default_rng(args.seed)
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in tqdm(range(args.videos), desc="scored", mininterval=5):
            size, pix_fmt = SIZES[number % len(SIZES)], "yuv420p10le" if number % 8 > 5 else "yuv420p"
            drawn = draw_frames(rng, size, 16)
            path = write_h264(Path(folder) / "clip.mp4", drawn, {"preset": "veryfast"}, pix_fmt)
            luma_THW, bits = read_luma(path)
            with av.open(path) as container:
                frames = list(container.decode(video=0))
            row = rows.setdefault(
                (size, bits), {"size": size, "bits": bits, "clips": 0, "unequal": 0, "ours": 0, "filter": 0}
            )
            printed = [f"{score:.2f}" for score in luma_motion(luma_THW, bits)]
            row["clips"] += 1
            row["unequal"] += sum(a != b for a, b in zip(printed, filter_scores(frames), strict=True))
            runs: dict[str, Run] = {
                "ours": partial(luma_motion, luma_THW, bits),
                "filter": partial(filter_scores, frames),
            }
            for name, timing in time_in_turns(runs, device=torch.device("cpu"), repeats=args.repeats).items():
                row[name] += min(timing.milliseconds) / len(frames)
    return [_summed(row) for _, row in sorted(rows.items())]


def _summed(row: dict[str, Any]) -> dict[str, Any]:
    """The row with milliseconds for a frame, and the ratio."""
    ours, theirs = row.pop("ours") / row["clips"], row.pop("filter") / row["clips"]
    row |= {
        "ours, ms": round(ours, 4),
        "filter, ms": round(theirs, 4),
        "ours, speed": round(theirs / ours, 2),
    }
    say(str(row))
    return row


COMMANDS = {"clips": clips, "motion": motion}


def main() -> None:
    """Read the command line, run the chosen measurement and print its rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--videos", type=int, help="12 for clips, 200 for motion")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    args = parser.parse_args()
    args.videos = args.videos or {"clips": 12, "motion": 200}[args.what]
    torch.set_num_threads(1)
    rows = COMMANDS[args.what](args)
    if args.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
