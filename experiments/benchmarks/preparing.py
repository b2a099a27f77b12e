"""What preparing and sampling data cost: `python experiments/benchmarks/preparing.py {cache,plan}`.

`cache` compares batches from the frame-latent cache with online decoding and encoding, and a training step on each;
all take turns in one run. `plan` prepares a table of many rows, kills the process halfway, gives the command again, and
prints how much memory the driver took.
"""

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from rich.table import Table

from actors.screen import console, track
from experiments.benchmarks.reading import draw_frames
from experiments.cli.options import run_script
from recipes.toy.projects import TINY
from stickers import storage
from stickers.data.cache import CollectionEncoder, FrameCache
from stickers.data.collections import Listed
from stickers.data.latents import LatentSet
from stickers.data.mixture import Mixture
from stickers.data.sets import SetBuilder
from stickers.errors import UserError
from stickers.evaluation.latency import time_in_turns
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.training.objective import RecipeTask
from stickers.training.recipe import sized
from stickers.video.codec import write_video

SCRIPT = Path(__file__).parents[1] / "prepare.py"
VIDEO_SIDE, VIDEO_FRAMES, VIDEO_FPS = 256, 120, 24
(SIZE,) = TINY.teacher_sizes


def write_videos(folder: Path, count: int) -> list[tuple[str, Listed]]:
    """Write H.264 videos of 256 pixels and five seconds."""
    rng = np.random.default_rng(0)
    paths = []
    for number in track(range(count), "draw", unit="videos"):
        rgb = draw_frames(rng, VIDEO_SIDE, VIDEO_FRAMES)
        alpha = np.full((*rgb.shape[:3], 1), 255, np.uint8)
        path = folder / f"{number:03d}.mp4"
        write_video(str(path), np.concatenate([rgb, alpha], axis=-1), VIDEO_FPS)
        paths.append((f"{number:03d}", Listed(str(path), f"video {number}", "artist")))
    return paths


def make_set(cache: FrameCache, videos: list[tuple[str, Listed]]) -> LatentSet:
    """The videos as a set, cached or decoded online."""
    autoencoder = load_autoencoder(TINY.foundation.place)
    encoder = CollectionEncoder(cache, autoencoder, load_text_encoder(TINY.foundation.place))
    builder = SetBuilder(cache, SIZE)
    for row in encoder.encode(videos):
        builder.add(row)
    return builder.build(autoencoder)


def measure_cache(videos: int, repeats: int) -> None:
    """Time batches of eight clips, and training steps on them."""
    with tempfile.TemporaryDirectory() as folder:
        listed = write_videos(Path(folder), videos)
        cached = FrameCache(runs=folder, autoencoder="a", text="t", sizes=(SIZE,))
        sets = {
            "cache": make_set(cached, listed),
            "online": make_set(replace(cached, with_frames=False), listed),
        }
        recipe = TINY.teachers[0]
        unet = load_unet(Path(TINY.foundation.place) / recipe.foundation).train()
        null = load_text_encoder(TINY.foundation.place).encode([""])[0]
        names = {sized(name, SIZE) for stage in recipe.stages for name, _ in stage.datasets}
        tasks = {
            kind: RecipeTask(recipe, unet, Mixture(dict.fromkeys(names, latents)), null)
            for kind, latents in sets.items()
        }

        def step(task: RecipeTask) -> None:
            with torch.enable_grad():
                task.loss_at(0).backward()

        runs: dict[str, Callable[[], object]] = {
            f"batch, {kind}": partial(task.batch_at, 0) for kind, task in tasks.items()
        }
        runs |= {f"training step, {kind}": partial(step, task) for kind, task in tasks.items()}
        timings = time_in_turns(runs, device=torch.device("cpu"), repeats=repeats)
    table = Table(
        "what",
        "ms",
        "to the cache",
        title=f"{recipe.batch_size} clips, {VIDEO_SIDE} pixels",
    )
    for name, timing in timings.items():
        base = timings[f"{name.partition(',')[0]}, cache"].p50
        table.add_row(name, f"{timing.p50:.2f}", f"{timing.p50 / base:.1f}")
    console.print(table)


def start_prepare(table: Path, runs: Path) -> subprocess.Popen[bytes]:
    """Start `experiments/prepare.py` as a process of its own."""
    command = [sys.executable, str(SCRIPT), "--videos", str(table), "--runs", str(runs)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> int:
    """Bytes that a process took at its peak. UserError when it failed."""
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise UserError(f"{' '.join(map(str, process.args))} failed")  # type: ignore[arg-type]
    return usage.ru_maxrss * 1024


def measure_plan(rows: int) -> None:
    """Prepare a table of one video and many absent files twice: killed halfway, and to the end."""
    result = Table("rows", "killed with", "driver's peak, MiB", "seconds", "in the manifest")
    for count in sorted({max(2, rows // 10), rows}):
        with tempfile.TemporaryDirectory() as name:
            folder, runs = Path(name), Path(name, "runs")
            write_videos(folder, 1)
            with (folder / "table.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerows([("file", "caption"), ("000.mp4", "a texture")])
                writer.writerows(
                    (f"absent-{number:07d}.mp4", f"number {number}") for number in range(count - 1)
                )
            start, victim = time.monotonic(), start_prepare(folder / "table.csv", runs)
            while victim.poll() is None and not any(runs.glob("latents/*/rows/*.parquet")):
                time.sleep(0.2)
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            committed = sum(
                storage.read_table(str(p)).num_rows for p in runs.glob("latents/*/rows/*.parquet")
            )
            peak = finish(start_prepare(folder / "table.csv", runs))
            done = sum(storage.read_table(str(p)).num_rows for p in runs.glob("latents/*/clips/*.parquet"))
            seconds = time.monotonic() - start
            result.add_row(
                f"{count:,}", f"{committed:,}", f"{peak / 2**20:.0f}", f"{seconds:.0f}", f"{done:,}"
            )
            shutil.rmtree(runs)
    console.print(result)


def main(
    measurement: Annotated[Literal["cache", "plan"], tyro.conf.Positional],
    videos: int = 24,
    repeats: int = 5,
    rows: int = 100_000,
) -> None:
    """Measure what preparing or sampling costs.

    Args:
        measurement: cache or plan.
        videos: for cache, how many videos are drawn.
        repeats: for cache, repeats of each figure.
        rows: for plan, rows of the table; a tenth as many are prepared for comparison.
    """
    if measurement == "cache":
        measure_cache(videos, repeats)
    else:
        measure_plan(rows)


if __name__ == "__main__":
    run_script(main)
