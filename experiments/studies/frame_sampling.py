"""What the sampling of paper section 3.1 does.

`python experiments/studies/frame_sampling.py clips` shows it on clips, `... teachers` on teachers that learn from them.

Toy videos are drawn for it, a third of them slowed down and a third sped up 2.5 times, so that the true motion of every
sampled frame is known: cycles times amplitude.
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
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

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

console = Console()
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
    """Toy videos: as training sees them, their canonical frames, and how fast each truly moves: cycles times amplitude
    a second."""

    latents: LatentSet
    frames: list[np.ndarray]
    speeds: np.ndarray
    captions: list[str]

    def times(self, video: int) -> np.ndarray:
        """When each frame of a video is shown, in seconds."""
        return self.latents.tracked(video)[:, TIME].numpy()


def draw_videos(count: int, seed: int, foundations: str | None = None) -> Drawn:
    """Write H.264 files and read them back as `prepare.py` does; without foundations there are no latents."""
    autoencoder = load_autoencoder(foundations) if foundations else None
    speeds, captions, looked = [], [], list[Examined]()
    with tempfile.TemporaryDirectory() as folder:
        for number in tqdm(range(count), desc="videos", unit="video"):
            rng = np.random.default_rng([seed, number])
            subject, motion = words.pairs(held=False)[int(rng.integers(len(words.pairs(held=False))))]
            mode, faster, fps = Mode.draw(rng), float(rng.choice(SPEEDS)), int(rng.choice(FILE_FPS))
            seconds = np.arange(round(SECONDS * fps)) / fps * faster
            pixels = on_white(render_motion(Look.draw(subject, rng), motion, mode, seconds, 64))
            path = Path(folder, f"{number}.mp4")
            write_video(str(path), pixels, fps)
            captions.append(words.prompt(subject, motion, rng))
            found = examine(row_of(Listed(str(path), captions[-1], "drawn"), str(number)), (SIZE,))
            assert isinstance(found, Examined), found.reason
            looked.append(found)
            speeds.append(mode.hz * mode.amplitude * faster)
    frames = [each.frames[SIZE] for each in looked]
    lengths = torch.tensor([len(each) for each in frames])
    text = load_text_encoder(foundations) if foundations else None
    latents = LatentSet(
        frames=torch.cat([encode_frames(autoencoder, each) for each in frames])
        if autoencoder
        else torch.zeros(int(lengths.sum()), 1, 1, 1),
        first=torch.cumsum(lengths, 0) - lengths,
        length=lengths,
        fps=torch.tensor([each.clip.fps for each in looked]),
        texts=text.encode(captions).half() if text else torch.zeros(count, 1, 1),
        text_of=torch.arange(count),
        track=torch.cat([each.track for each in looked]),
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
    found = sample_windows(
        others.latents,
        score,
        count=3 * len(others.frames),
        num_frames=NUM_FRAMES,
        slowest_fps=min(rates),
        seed=EDGES_SEED,
    )
    return MotionBuckets(score=score, edges=suggest_edges(found, len(rates)), rates=rates)


def show_buckets(drawn: Drawn, others: Drawn, rates: tuple[int, ...]) -> None:
    """How much moves from frame to frame of sampled clips, truly and by vmafmotion, at fixed rates and by buckets."""
    ways: dict[str, Rate] = {f"{rate} fps": rate for rate in rates}
    for score in ("vmaf", "vectors"):
        ways[f"buckets by {score}"] = buckets_of(others, score, rates)
    true, seen = {}, {}
    for name, rate in ways.items():
        found = list(windows(drawn, rate))
        steps = [float(np.diff(drawn.times(i)[w]).mean()) for i, w in enumerate(found)]
        true[name] = drawn.speeds * np.array(steps)
        seen[name] = np.array([motion_score(drawn.frames[i][w]) for i, w in enumerate(found)])
    table = Table(
        "sampled at", "true motion a frame", "spread / mean", "of the best rate's [95 %]", "vmafmotion",
        "spread / mean", "of the best rate's [95 %]", title=f"{len(drawn.frames)} clips, rates {rates}",
    )  # fmt: skip
    even = [f"{rate} fps" for rate in rates]
    for name in ways:
        row = [name]
        for values in (true, seen):
            best = values[min(even, key=lambda each: spread(values[each]))]
            row += [f"{values[name].mean():.3f}", f"{spread(values[name]):.3f}", ratio(values[name], best)]
        table.add_row(*row)
    console.print(table)


def ratio(values: np.ndarray, others: np.ndarray) -> str:
    """One spread over another, of the same videos, with the interval of a bootstrap over videos."""
    rng = np.random.default_rng(SEED)
    picks = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = interval(np.array([spread(values[p]) / spread(others[p]) for p in picks]))
    return f"{spread(values) / spread(others):.2f} [{low:.2f}, {high:.2f}]"


def show_conditioning(drawn: Drawn, fps: int) -> None:
    """How far the frames of sampled clips lie from the one that the model is shown."""
    table = Table(
        "shown", "frames away", "at most", "true motion away", "its deviation", "luma away", "its deviation",
        title=f"conditioning frame of {len(drawn.frames)} clips at {fps} fps",
    )  # fmt: skip
    found = list(windows(drawn, fps))
    for kind in KINDS:
        rng = np.random.default_rng(SEED)
        shown = [conditioning_index(kind, NUM_FRAMES, rng) for _ in found]
        away = np.array([abs(np.arange(NUM_FRAMES) - at) for at in shown])
        seconds = np.array(
            [abs(drawn.times(i)[w] - drawn.times(i)[w][shown[i]]).mean() for i, w in enumerate(found)]
        )
        true = drawn.speeds * seconds
        luma = np.array([luma_away(drawn.frames[i][w], shown[i]) for i, w in enumerate(found)])
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
    """Mean absolute difference of a clip's frames to one of them, in grey levels."""
    grey = frames_THWC[..., :3].astype(np.float32).mean(axis=-1)
    return float(abs(grey - grey[shown]).mean())


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One teacher: what it is shown, how its clips are sampled, and the seed of its training."""

    name: str
    kind: ConditioningKind
    rate: Rate
    seed: int

    def recipe(self, steps: int) -> Recipe:
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
    """A tracker of trainings that are measured by what they make."""

    def log(self, metrics: dict[str, float], step: int) -> None: ...


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
    """Prompts, of what is trained on, each motion as often as the next, with pictures that no video shows."""
    rng = np.random.default_rng(SEED)
    pairs = words.pairs(held=False)
    mine = [[pair for pair in pairs if pair[1] == motion] for motion in MOTIONS]
    picked = [mine[i % len(mine)][int(rng.integers(len(mine[i % len(mine)])))] for i in range(count)]
    return [(words.prompt(subject, motion, rng), 100 + i) for i, (subject, motion) in enumerate(picked)]


def train_and_look(variant: Variant, data: str, foundations: str, steps: int, stickers: int) -> Result:
    """In a process of its own: one training, and its clips."""
    torch.set_num_threads(1)
    recipe = variant.recipe(steps)
    network = load_unet(Path(foundations) / recipe.foundation).train().to(memory_format=torch.channels_last)
    text = load_text_encoder(foundations)
    mixture = Mixture({sized("drawn", SIZE): LatentSet.load(data)})
    engine = PlainEngine(network, weight_decay=recipe.weight_decay, gradient_clip=recipe.gradient_clip)
    task = RecipeTask(recipe, network, mixture, text.encode([""])[0])
    train(task, engine, Silent(), save=lambda done: None, save_every=steps)
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
    made, readings = [], []
    for prompt, image_index in stickers_of(stickers):
        picture = oracle.still(prompt, image_index)
        seeds = [seed_from("sampling", prompt, image_index)]
        made.append(pipeline.animate(pictures=[picture], prompts=[prompt], seeds=seeds)[0])
        scale = oracle.scale(prompt, image_index, grid="coarse", with_landmarks=False)
        readings.append(read(made[-1], scale))
    return Result(
        variant,
        np.stack(made),
        np.array([each.distance for each in readings]),
        np.array([each.still_distance for each in readings]),
        np.array([consistency(each) for each in made]),
        np.array([motion_score(each) for each in made]),
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
    """Figures of each variant, over all its seeds."""
    table = Table(
        "trained on", "error", "consistency", "motion size", "its spread / mean",
        title="teachers, by clips of stickers they never saw (error: truth 0, frozen still 1)",
    )  # fmt: skip
    for name in dict.fromkeys(each.variant.name for each in results):
        mine = [each for each in results if each.variant.name == name]
        sizes = np.concatenate([each.sizes for each in mine])
        errors = [each.distances.sum() / each.still_distances.sum() for each in mine]
        table.add_row(
            name,
            " ".join(f"{each:.2f}" for each in errors),
            f"{np.mean([each.consistencies.mean() for each in mine]):.3f}",
            f"{sizes.mean():.2f}",
            f"{spread(sizes):.3f}",
        )
    console.print(table)


def compare_teachers(
    count: int, rates: tuple[int, ...], steps: int, seeds: int, stickers: int, out: Path
) -> None:
    """Train every variant and show what their clips are like."""
    foundations = TINY.foundation.place
    buckets = buckets_of(draw_videos(count, EDGES_SEED), "vmaf", rates)
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder, f"drawn-{SIZE}.safetensors"))
        draw_videos(count, SEED, foundations).latents.save(data)
        todo = variants(buckets, seeds)
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            running = [pool.submit(train_and_look, each, data, foundations, steps, stickers) for each in todo]
            results = [each.result() for each in tqdm(running, desc="teachers", unit="teacher")]
    show_teachers(results)
    first = [each for each in results if each.variant.seed == 0]
    rows = [
        (prompt, [each.clips[i] for each in first])
        for i, (prompt, _) in enumerate(stickers_of(stickers)[: len(MOTIONS)])
    ]
    out.write_bytes(contact_sheet(rows, [each.variant.name for each in first], frames_shown=4))
    console.print(f"clips: {out.resolve()}", highlight=False, soft_wrap=True)


def main(
    what: Annotated[Literal["clips", "teachers"], tyro.conf.Positional],
    count: int = 400,
    rates: tuple[int, ...] = RATES,
    steps: int = 600,
    seeds: int = 2,
    stickers: int = 48,
    out: Path = Path("teachers.png"),
) -> None:
    """Measure.

    Args:
        what: clips, or teachers.
        count: videos that are drawn, and as many again to set the edges of buckets.
        rates: frames a second of the buckets, slow ones first.
        steps: for teachers, optimiser steps of each training.
        seeds: for teachers, trainings of each kind.
        stickers: for teachers, pictures that each animates once.
        out: for teachers, a contact sheet of some of the clips.
    """
    if what == "teachers":
        compare_teachers(count, rates, steps, seeds, stickers, out)
        return
    drawn = draw_videos(count, SEED)
    show_buckets(drawn, draw_videos(count, EDGES_SEED), rates)
    show_conditioning(drawn, max(rates))


if __name__ == "__main__":
    run_script(main)
