"""What Ray costs a training: `python experiments/orchestration.py --runs RUNS`, after `prepare.py`.

The same four teachers three times in one run: as bare DeepSpeed processes without Ray, side by side through Ray, and
one after another through Ray; as many side by side with as many threads each. Wall times count everything; the overhead
compares trainings once they have started, from the first logged step to the last.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from actors.cluster import connect
from actors.tracking import Tracking
from actors.trainer import train_all
from experiments.options import RUNS, Runs, choose_profile, current, run_script
from experiments.teachers import prepared_sets
from experiments.training import Changes
from stickers import store
from stickers.training import loop
from stickers.training.engine import DeepSpeedEngine
from stickers.training.job import TrainingJob

console = Console()
STEPS = 300
#: this machine's cores, one thread each: what `train_all` gives side by side
SIDE_BY_SIDE = max(1, os.cpu_count() or 1)


class Clock:
    """A tracker that remembers when each logged step was done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.times.append(time.time())


def jobs_of(runs: str, profile: str, steps: int) -> list[TrainingJob]:
    """The profile's teachers, `steps` in each stage, with no checkpoint but the last."""
    chosen, changes = choose_profile(profile), Changes(steps=steps, checkpoint_every=10**9)
    sets = prepared_sets(current(runs, "latents", profile))
    return [
        TrainingJob.of_recipe(changes.apply(recipe), foundations=chosen.foundations, sets=sets)
        for recipe in chosen.teachers
    ]


def train_bare(job: TrainingJob) -> float:
    """Seconds from the first logged step to the last, in this process and without Ray."""
    torch.set_num_threads(1)
    engine, clock = DeepSpeedEngine(job.network(), job.engine_settings()), Clock()
    task = job.task(engine.model, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        loop.train(task, engine, clock, save=lambda done: engine.save(folder, done), save_every=10**9)
    return clock.times[-1] - clock.times[0]


def spans(runs: str) -> list[float]:
    """The same seconds of every training that Ray drove into this runs folder."""
    tracking = Tracking.open(runs)
    found = tracking.client.search_runs([tracking.experiment_id], "tags.role = 'teacher'")
    histories = [tracking.client.get_metric_history(each.info.run_id, "train/loss") for each in found]
    stamps = [[each.timestamp / 1000 for each in history] for history in histories]
    return [max(each) - min(each) for each in stamps]


def through_ray(jobs: list[TrainingJob], folder: Path, *, at_once: bool) -> tuple[float, list[float]]:
    """Wall seconds, and each training's own."""
    start = time.monotonic()
    runs = store.resolve_runs(folder)
    with connect(num_cpus=SIDE_BY_SIDE):
        for part in [jobs] if at_once else [[job] for job in jobs]:
            for outcome in train_all(part, runs, ensemble="orchestration", console=Console(quiet=True)):
                if outcome.reason:
                    raise ValueError(f"{outcome.job.recipe.name} failed: {outcome.reason}")
    return time.monotonic() - start, spans(runs)


def bare(runs: str, profile: str, steps: int, count: int) -> tuple[float, list[float]]:
    """The same by processes that know no Ray."""

    def run(number: int) -> float:
        command = [sys.executable, __file__, "--runs", runs, "--profile", profile]
        command += ["--steps", str(steps), "--only", str(number)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return float(json.loads(done.stdout.splitlines()[-1]))

    start = time.monotonic()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        seconds = list(pool.map(run, range(count)))
    return time.monotonic() - start, seconds


def main(runs: Runs = RUNS, profile: str = "tiny", steps: int = STEPS, only: int | None = None) -> None:
    """Measure.

    Args:
        steps: optimiser steps of each of a teacher's stages.
        only: train one teacher without Ray and print its seconds.
    """
    place = store.resolve_runs(runs)
    jobs = jobs_of(place, profile, steps)
    if only is not None:
        print(json.dumps(train_bare(jobs[only])))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "bare DeepSpeed processes": bare(place, profile, steps, len(jobs)),
            "Ray, side by side": through_ray(jobs, Path(folder, "together"), at_once=True),
            "Ray, one after another": through_ray(jobs, Path(folder, "alone"), at_once=False),
        }
    table = Table(
        "how", "wall, s", "to bare", "training once started, s", "to bare", title=f"{len(jobs)} teachers"
    )
    wall, own = found["bare DeepSpeed processes"]
    for name, (seconds, each) in found.items():
        table.add_row(
            name,
            f"{seconds:.0f}",
            f"{seconds / wall:.2f}",
            f"{sum(each):.1f}",
            f"{sum(each) / sum(own):.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    run_script(main)
