"""What the sampling of paper section 3.1 does.

`python experiments/studies/frame_sampling.py clips` shows it on clips, `... teachers` on teachers that learn from them.

It draws toy videos, a third of them slowed down and a third sped up 2.5 times. So the true motion of every sampled
frame is known: cycles times amplitude.
"""

import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from rich.table import Table

from actors.screen import console, track
from experiments.cli.options import run_script
from recipes.toy.foundations import toy_sampler
from recipes.toy.projects import TINY
from recipes.toy.world import MOTIONS, Look, Mode, ToyOracle, render_motion, words
from stickers.artifacts.ids import seed_from
from stickers.curation.bucket_page import sample_windows, suggest_edges
from stickers.data.collections import Listed
from stickers.data.encoding import encode_frames
from stickers.data.latents import TIME, LatentSet, Rate
from stickers.data.manifest import Examined, examine, row_of
from stickers.data.mixture import Mixture
from stickers.data.motion_buckets import MotionBuckets, Score
from stickers.evaluation.comparisons import interval
from stickers.evaluation.contact_sheet import contact_sheet
from stickers.metrics.consistency import consistency
from stickers.metrics.truth_error import read
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.pipeline import AnimationPipeline
from stickers.training.loop import PlainEngine, train
from stickers.training.objective import RecipeTask
from stickers.training.recipe import Recipe, Stage, sized
from stickers.video.clips import ConditioningKind, conditioning_index, on_white
from stickers.video.codec import write_video
from stickers.video.motion import motion_score

SIZE, NUM_FRAMES, SECONDS = 32, 8, 4.0
SPEEDS = (0.4, 1.0, 2.5)
FILE_FPS = (12, 24, 30)
RATES = (4, 6, 8)
KINDS: tuple[ConditioningKind, ...] = ("first", "middle", "last", "random")
RESAMPLES = 2_000
#: of the videos whose scores set the edges, and of those that are sampled
EDGES_SEED, SEED = 5, 6


@dataclass(frozen=True)
class Drawn:
    """Toy videos as training sees them, their canonical frames, and true speeds: cycles times amplitude a second."""

    latents: LatentSet
    frames: list[np.ndarray]
    speeds: np.ndarray
    captions: list[str]

    def times(self, video: int) -> np.ndarray:
        """When each frame of a video is shown, in seconds."""
        return self.latents.tracked(video)[:, TIME].numpy()


def draw_videos(count: int, seed: int, foundations: str | None = None) -> Drawn:
    """Write H.264 files and read them back as `prepare.py` does; there are no latents without foundations."""
    autoencoder = load_autoencoder(foundations) if foundations else None
    speeds, captions, looked = [], [], list[Examined]()
    with tempfile.TemporaryDirectory() as folder:
        for number in track(range(count), "draw", unit="videos"):
            rng = np.random.default_rng([seed, number])
            subject, motion = words.pairs(held=False)[int(rng.integers(len(words.pairs(held=False))))]
            mode, faster, fps = Mode.draw(rng), float(rng.choice(SPEEDS)), int(rng.choice(FILE_FPS))
            seconds = np.arange(round(SECONDS * fps)) / fps * faster
            pixels = on_white(render_motion(Look.draw(subject, rng), motion, mode, seconds, 64))
            path = Path(folder, f"{number}.mp4")
            write_video(str(path), pixels, fps)
            captions.append(words.prompt(subject, motion, rng))
            examined = examine(row_of(Listed(str(path), captions[-1], "drawn"), str(number)), (SIZE,))
            assert isinstance(examined, Examined), examined.reason
            looked.append(examined)
            speeds.append(mode.hz * mode.amplitude * faster)
    frames = [video.frames[SIZE] for video in looked]
    lengths = torch.tensor([len(video_frames) for video_frames in frames])
    text = load_text_encoder(foundations) if foundations else None
    latents = LatentSet(
        frames=torch.cat([encode_frames(autoencoder, video_frames) for video_frames in frames])
        if autoencoder
        else torch.zeros(int(lengths.sum()), 1, 1, 1),
        first=torch.cumsum(lengths, 0) - lengths,
        length=lengths,
        fps=torch.tensor([video.clip.fps for video in looked]),
        texts=text.encode(captions).half() if text else torch.zeros(count, 1, 1),
        text_of=torch.arange(count),
        track=torch.cat([video.track for video in looked]),
    )
    return Drawn(latents, frames, np.array(speeds), captions)


def windows(drawn: Drawn, rate: Rate) -> Iterator[np.ndarray]:
    """One random window of each video, at the same place whatever the rate."""
    for video in range(len(drawn.frames)):
        start = float(np.random.default_rng([SEED, video]).random())
        yield drawn.latents.indices(video, fps=rate, num_frames=NUM_FRAMES, start_fraction=start)


def spread(values: np.ndarray) -> float:
    """Standard deviation over mean."""
    return float(values.std() / values.mean())


def buckets_of(others: Drawn, score: Score, rates: tuple[int, ...]) -> MotionBuckets:
    """Buckets whose edges these videos fill evenly; nothing else is measured on them."""
    scores = sample_windows(
        others.latents,
        score,
        count=3 * len(others.frames),
        num_frames=NUM_FRAMES,
        slowest_fps=min(rates),
        seed=EDGES_SEED,
    )
    return MotionBuckets(score=score, edges=suggest_edges(scores, len(rates)), rates=rates)


def show_buckets(drawn: Drawn, others: Drawn, rates: tuple[int, ...]) -> None:
    """Print the motion between frames of sampled clips, true and by vmafmotion, at fixed rates and by buckets."""
    ways: dict[str, Rate] = {f"{rate} fps": rate for rate in rates}
    for score in ("vmaf", "vectors"):
        ways[f"buckets by {score}"] = buckets_of(others, score, rates)
    true, scored = {}, {}
    for name, rate in ways.items():
        indices = list(windows(drawn, rate))
        steps = [float(np.diff(drawn.times(i)[w]).mean()) for i, w in enumerate(indices)]
        true[name] = drawn.speeds * np.array(steps)
        scored[name] = np.array([motion_score(drawn.frames[i][w]) for i, w in enumerate(indices)])
    table = Table(
        "sampled at", "true motion a frame", "spread / mean", "of the best rate's [95 %]", "vmafmotion",
        "spread / mean", "of the best rate's [95 %]", title=f"{len(drawn.frames)} clips, rates {rates}",
    )  # fmt: skip
    even = [f"{rate} fps" for rate in rates]
    for name in ways:
        row = [name]
        for values in (true, scored):
            best = values[min(even, key=lambda rate: spread(values[rate]))]
            row += [f"{values[name].mean():.3f}", f"{spread(values[name]):.3f}", ratio(values[name], best)]
        table.add_row(*row)
    console.print(table)


def ratio(values: np.ndarray, others: np.ndarray) -> str:
    """The ratio of two spreads of the same videos, with its bootstrap interval over videos.

    Resamples in which the others have no spread, such as one video repeated, are left out.
    """
    rng = np.random.default_rng(SEED)
    picks = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = interval(
        np.array([spread(values[p]) / spread(others[p]) for p in picks if spread(others[p])])
    )
    return f"{spread(values) / spread(others):.2f} [{low:.2f}, {high:.2f}]"


def show_conditioning(drawn: Drawn, fps: int) -> None:
    """Print how far the frames of sampled clips are from the frame that the model is shown."""
    table = Table(
        "shown", "frames away", "at most", "true motion away", "its deviation", "luma away", "its deviation",
        title=f"conditioning frame of {len(drawn.frames)} clips at {fps} fps",
    )  # fmt: skip
    indices = list(windows(drawn, fps))
    for kind in KINDS:
        rng = np.random.default_rng(SEED)
        shown = [conditioning_index(kind, NUM_FRAMES, rng) for _ in indices]
        away = np.array([abs(np.arange(NUM_FRAMES) - at) for at in shown])
        seconds = np.array(
            [abs(drawn.times(i)[w] - drawn.times(i)[w][shown[i]]).mean() for i, w in enumerate(indices)]
        )
        true = drawn.speeds * seconds
        luma = np.array([luma_away(drawn.frames[i][w], shown[i]) for i, w in enumerate(indices)])
        table.add_row(
            kind,
            f"{away.mean():.2f}",
            f"{away.max()}",
            f"{true.mean():.3f}",
            f"{true.std():.3f}",
            f"{luma.mean():.2f}",
            f"{luma.std():.2f}",
        )
    console.print(table)


def luma_away(frames_THWC: np.ndarray, shown: int) -> float:
    """Mean absolute difference between a clip's frames and one of them, in grey levels."""
    grey = frames_THWC[..., :3].astype(np.float32).mean(axis=-1)
    return float(abs(grey - grey[shown]).mean())


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One teacher: its conditioning frame, the rate of its clips, and the seed of its training."""

    name: str
    kind: ConditioningKind
    rate: Rate
    seed: int

    def recipe(self, steps: int) -> Recipe:
        """The tiny project's teacher with this conditioning frame, rate and seed."""
        stage = Stage(
            steps=steps,
            resolution=SIZE,
            fps=self.rate if isinstance(self.rate, int) else max(self.rate.rates),
            buckets=None if isinstance(self.rate, int) else self.rate,
            prediction="sample_residual",
            datasets=(("drawn", 1.0),),
            lr=1.5e-3,
        )
        return Recipe(
            name=self.name,
            role="teacher",
            foundation="video_unets/motion",
            stages=(stage,),
            seed=self.seed,
            batch_size=8,
            precision="fp32",
            conditioning_frame=self.kind,
            sampler=toy_sampler(fps=8),
        )


class Silent:
    """A tracker for trainings that are measured by their clips."""

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Log nothing."""


@dataclass(frozen=True)
class Result:
    """A trained variant's clips of the same stickers, and their readings."""

    variant: Variant
    clips: np.ndarray
    distances: np.ndarray
    still_distances: np.ndarray
    consistencies: np.ndarray
    sizes: np.ndarray


def stickers_of(count: int) -> list[tuple[str, int]]:
    """Training prompts, each motion equally often, with pictures that no video shows."""
    rng = np.random.default_rng(SEED)
    pairs = words.pairs(held=False)
    by_motion = [[pair for pair in pairs if pair[1] == motion] for motion in MOTIONS]
    picked = [
        by_motion[i % len(by_motion)][int(rng.integers(len(by_motion[i % len(by_motion)])))]
        for i in range(count)
    ]
    return [(words.prompt(subject, motion, rng), 100 + i) for i, (subject, motion) in enumerate(picked)]


def train_and_look(variant: Variant, data: str, foundations: str, steps: int, stickers: int) -> Result:
    """Train one variant and make its clips, in a process of its own."""
    torch.set_num_threads(1)
    recipe = variant.recipe(steps)
    network = load_unet(Path(foundations) / recipe.foundation).train().to(memory_format=torch.channels_last)
    text = load_text_encoder(foundations)
    mixture = Mixture({sized("drawn", SIZE): LatentSet.load(data)})
    engine = PlainEngine(network, weight_decay=recipe.weight_decay, gradient_clip=recipe.gradient_clip)
    task = RecipeTask(recipe, network, mixture, text.encode([""])[0])
    train(task, engine, Silent(), save=lambda _: None, save_every=steps)
    pipeline = AnimationPipeline(
        unet=network.eval(),
        autoencoder=load_autoencoder(foundations),
        text=text,
        prediction="sample_residual",
        settings=replace(recipe.sampler, num_frames=NUM_FRAMES),
        picture_size=SIZE,
    )
    shown = "middle" if variant.kind == "random" else variant.kind
    oracle = ToyOracle(pipeline.autoencoder, SIZE, NUM_FRAMES, conditioning_frame=shown)
    clips, readings = [], []
    for prompt, image_index in stickers_of(stickers):
        picture = oracle.still(prompt, image_index)
        seeds = [seed_from("sampling", prompt, image_index)]
        clips.append(pipeline.animate(pictures=[picture], prompts=[prompt], seeds=seeds)[0])
        scale = oracle.scale(prompt, image_index, grid="coarse", with_landmarks=False)
        readings.append(read(clips[-1], scale))
    return Result(
        variant,
        np.stack(clips),
        np.array([reading.distance for reading in readings]),
        np.array([reading.still_distance for reading in readings]),
        np.array([consistency(clip) for clip in clips]),
        np.array([motion_score(clip) for clip in clips]),
    )


def variants(buckets: MotionBuckets, seeds: int) -> list[Variant]:
    """Every conditioning frame at one rate, and the middle one at every rate and by buckets."""
    rates: dict[str, Rate] = {f"{rate} fps": rate for rate in buckets.rates} | {"buckets": buckets}
    fast = f"{max(buckets.rates)} fps"
    pairs = [(kind, fast) for kind in KINDS] + [("middle", name) for name in rates if name != fast]
    return [
        Variant(name=f"{kind}, {name}", kind=kind, rate=rates[name], seed=seed)
        for seed in range(seeds)
        for kind, name in pairs
    ]


def show_teachers(results: list[Result]) -> None:
    """Print the figures of each variant over all its seeds."""
    table = Table(
        "trained on", "error", "consistency", "motion size", "its spread / mean",
        title="teachers, by clips of stickers they never saw (error: truth 0, frozen still 1)",
    )  # fmt: skip
    for name in dict.fromkeys(result.variant.name for result in results):
        of_variant = [result for result in results if result.variant.name == name]
        sizes = np.concatenate([result.sizes for result in of_variant])
        errors = [result.distances.sum() / result.still_distances.sum() for result in of_variant]
        table.add_row(
            name,
            " ".join(f"{error:.2f}" for error in errors),
            f"{np.mean([result.consistencies.mean() for result in of_variant]):.3f}",
            f"{sizes.mean():.2f}",
            f"{spread(sizes):.3f}",
        )
    console.print(table)


def compare_teachers(
    count: int, rates: tuple[int, ...], steps: int, seeds: int, stickers: int, sheet: Path
) -> None:
    """Train every variant, print the figures of their clips, and write a contact sheet."""
    foundations = TINY.foundation.place
    buckets = buckets_of(draw_videos(count, EDGES_SEED), "vmaf", rates)
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder, f"drawn-{SIZE}.safetensors"))
        draw_videos(count, SEED, foundations).latents.save(data)
        todo = variants(buckets, seeds)
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            running = [
                pool.submit(train_and_look, variant, data, foundations, steps, stickers) for variant in todo
            ]
            results = [task.result() for task in track(running, "train", unit="teachers")]
    show_teachers(results)
    first = [result for result in results if result.variant.seed == 0]
    rows = [
        (prompt, [result.clips[i] for result in first])
        for i, (prompt, _) in enumerate(stickers_of(stickers)[: len(MOTIONS)])
    ]
    sheet.write_bytes(contact_sheet(rows, [result.variant.name for result in first], frames_shown=4))
    console.print(f"clips: {sheet.resolve()}", highlight=False, soft_wrap=True)


def main(
    measurement: Annotated[Literal["clips", "teachers"], tyro.conf.Positional],
    count: int = 400,
    rates: tuple[int, ...] = RATES,
    steps: int = 600,
    seeds: int = 2,
    stickers: int = 48,
    out: Path = Path("teachers.png"),
) -> None:
    """Measure what sampling does to clips, or to teachers.

    Args:
        measurement: clips or teachers.
        count: videos that are drawn, and as many again to set the edges of buckets.
        rates: frames a second of the buckets, slow ones first.
        steps: for teachers, optimiser steps of each training.
        seeds: for teachers, trainings of each kind.
        stickers: for teachers, pictures that each animates once.
        out: for teachers, a contact sheet of some of the clips.
    """
    if measurement == "teachers":
        compare_teachers(count, rates, steps, seeds, stickers, out)
        return
    drawn = draw_videos(count, SEED)
    show_buckets(drawn, draw_videos(count, EDGES_SEED), rates)
    show_conditioning(drawn, max(rates))


if __name__ == "__main__":
    run_script(main)
