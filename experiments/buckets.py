"""The page for setting motion buckets: `python experiments/buckets.py --collection keyword`, after `prepare.py`.

It shows windows of a prepared collection by how much they move; the line that it prints goes into the project file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from actors.screen import console, track
from experiments.cli.options import RUNS, Runs, current, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from stickers import storage
from stickers.curation.bucket_page import EXAMPLE_FPS, Window, sample_windows, suggest_edges, write_page
from stickers.data.collections import source_of
from stickers.data.encoding import canonical
from stickers.data.latents import TIME, LatentSet, Rate
from stickers.data.motion_buckets import MotionBuckets, Score
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder
from stickers.video.motion import motion_score
from stickers.video.reading import read_frames

SEED = 5
#: pixels a side of an example, at most
SHOWN = 128


def videos_of(latents: storage.Artifact, collection: str) -> list[str]:
    """The videos of a prepared set, in its order."""
    rows: list[dict[str, Any]] = []
    for part in storage.listing(storage.join(latents.uri, "clips")):
        rows += storage.read_table(part, columns=["clip_id", "uri", "source", "status"]).to_pylist()
    clips = [row for row in rows if row["status"] == "ready" and row["source"] == collection]
    if not clips:
        sources = ", ".join(sorted({row["source"] for row in rows}))
        raise UserError(f"{latents.uri} holds no collection {collection!r}; collections: {sources}")
    return [row["uri"] for row in sorted(clips, key=lambda row: row["clip_id"])]


def films(windows: list[Window], videos: list[str], latents: LatentSet) -> Iterator[np.ndarray]:
    """Each window's pixels as it looks at `EXAMPLE_FPS`."""
    for window in track(windows, "examples", unit="clips"):
        times = latents.tracked(window.video)[window.indices, TIME].numpy()
        instants = np.arange(times[0], times[-1] + 1e-6, 1 / EXAMPLE_FPS)
        taken = window.indices[np.searchsorted(times, instants, side="right") - 1]
        yield read_frames(source_of(videos[window.video]), taken, max_side=SHOWN)


def sizes_of_motion(
    rate: Rate, windows: list[Window], videos: list[str], latents: LatentSet, size: int
) -> np.ndarray:
    """The motion score of one clip of each window's video, sampled at a rate."""
    rng = np.random.default_rng(SEED)
    sizes = []
    for window in windows:
        taken = latents.indices(window.video, fps=rate, num_frames=8, start_fraction=float(rng.random()))
        frames = read_frames(source_of(videos[window.video]), taken, max_side=SHOWN)
        sizes.append(motion_score(canonical(frames, size)))
    return np.array(sizes)


def show_spread(
    buckets: MotionBuckets, windows: list[Window], videos: list[str], latents: LatentSet, size: int
) -> None:
    """Print how evenly sampled clips move with buckets, beside each of their rates alone."""
    table = Table(
        "sampled at", "mean motion", "spread / mean", title="vmafmotion from frame to frame of a clip"
    )
    rates: dict[str, Rate] = {f"{rate} fps": rate for rate in sorted(set(buckets.rates))}
    for name, rate in {**rates, "buckets": buckets}.items():
        sizes = sizes_of_motion(rate, windows, videos, latents, size)
        table.add_row(name, f"{sizes.mean():.2f}", f"{sizes.std() / sizes.mean():.3f}")
    console.print(table)


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    collection: str | None = None,
    score: Score = "vmaf",
    edges: tuple[float, ...] = (),
    rates: tuple[int, ...] = (4, 6, 8),
    examples: int = 90,
    out: Path = Path("buckets.html"),
) -> None:
    """Write the page.

    Args:
        collection: which prepared collection; by default the project's last.
        score: vmaf, or vectors for H.264 files.
        edges: scores a second between the buckets; by default those that fill them evenly.
        rates: frames a second of each bucket, slow ones first.
        examples: how many windows the page shows.
        out: the page's file.
    """
    chosen, runs_uri = choose_project(project), storage.resolve_runs(runs)
    collection = collection or chosen.collections[-1].name
    latents_set = current(runs_uri, "latents", chosen)
    videos = videos_of(latents_set, collection)
    size = latents_set.record["sizes"][0]
    autoencoder = load_autoencoder(chosen.foundation.place) if latents_set.record["online"] else None
    latents = LatentSet.load(storage.join(latents_set.uri, f"{collection}-{size}.safetensors"), autoencoder)
    windows = sample_windows(latents, score, count=examples, num_frames=8, slowest_fps=min(rates), seed=SEED)
    buckets = MotionBuckets(score=score, edges=edges or suggest_edges(windows, len(rates)), rates=rates)
    page = write_page(windows, list(films(windows, videos, latents)), buckets, collection=collection)
    out.write_text(page, encoding="utf-8")
    console.print(
        f"{out.resolve()}: {len(windows)} windows of {len(videos)} videos", highlight=False, soft_wrap=True
    )
    show_spread(buckets, windows, videos, latents, size)
    console.print(f"buckets={buckets!r}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_script(main)
