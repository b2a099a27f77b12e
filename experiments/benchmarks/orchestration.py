"""What Ray costs a training: `python experiments/benchmarks/orchestration.py --runs RUNS`, after `prepare.py`.

The same four teachers three times in one run: as bare DeepSpeed processes without Ray, side by side through Ray, and
one after another through Ray. Bare processes do the same work: they log to MLflow, write the network and film the
preview. Wall times count everything; the overhead compares trainings once they have started, from the first logged step
to the last.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from actors.cluster import connect
from actors.preview import NUM_CLIPS, Preview, film
from actors.screen import console
from actors.tracking import RunTracker, Tracking
from actors.trainer import train_all
from experiments.cli.options import RUNS, Runs, current, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from experiments.cli.training import Changes, apply
from experiments.teachers import prepared_sets
from recipes.toy.projects import TINY
from stickers import storage
from stickers.errors import UserError
from stickers.project import Project
from stickers.training import loop
from stickers.training.engine import DeepSpeedEngine
from stickers.training.job import TrainingJob

STEPS = 300
#: the project whose MLflow run the trainings belong to
ORCHESTRATION = replace(TINY, name="orchestration")
#: this machine's cores, one thread each: what `train_all` gives side by side
SIDE_BY_SIDE = max(1, os.cpu_count() or 1)


def jobs_of(runs: str, project: Project, steps: int) -> list[TrainingJob]:
    """The project's teachers with `steps` in each stage, and with no checkpoint except the last."""
    changes = Changes(steps=steps, checkpoint_every=10**9)
    sets = prepared_sets(current(runs, "latents", project))
    return [
        TrainingJob.of_recipe(apply(changes, recipe), foundations=project.foundation.place, sets=sets)
        for recipe in project.teachers
    ]


def train_bare(job: TrainingJob, folder: Path) -> None:
    """Do a training worker's work in this process, without Ray; the results go below `folder`."""
    torch.set_num_threads(1)
    runs = storage.resolve_runs(folder)
    tracking = Tracking.open(runs)
    tags_and_data = {"params": {}, "tags": {"role": job.role}, "data": {}}
    run_id = tracking.child(
        tracking.parent("bare"), job.recipe.name, {"run_digest": job.digest}, **tags_and_data
    )
    engine, tracker = DeepSpeedEngine(job.network(), job.engine_settings()), RunTracker(tracking.uri, run_id)
    task = job.task(engine.model, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as kept:
        loop.train(
            task, engine, tracker, save=lambda done: engine.save(kept, done), save_every=job.recipe.num_steps
        )
    network = str(folder / job.folder)
    engine.export_unet(network)
    film(
        network,
        job,
        Preview.of(TINY.evaluation.stickers.stickers(NUM_CLIPS), job.picture_size),
        tracker,
        "cpu",
    )


def spans(runs: str) -> list[float]:
    """Seconds from the first logged step to the last, of every training in a runs folder."""
    tracking = Tracking.open(runs)
    trainings = tracking.client.search_runs([tracking.experiment_id], "tags.role = 'teacher'")
    histories = [tracking.client.get_metric_history(run.info.run_id, "train/loss") for run in trainings]
    stamps = [[metric.timestamp / 1000 for metric in history] for history in histories]
    return [max(stamp) - min(stamp) for stamp in stamps]


def through_ray(jobs: list[TrainingJob], folder: Path, *, at_once: bool) -> tuple[float, list[float]]:
    """Train through Ray; returns the wall seconds, and each training's own."""
    start = time.monotonic()
    runs = storage.resolve_runs(folder)
    with connect(num_cpus=SIDE_BY_SIDE):
        for part in [jobs] if at_once else [[job] for job in jobs]:
            for outcome in train_all(part, runs, project=ORCHESTRATION, console=Console(quiet=True)):
                if outcome.reason:
                    raise UserError(f"{outcome.job.recipe.name} failed: {outcome.reason}")
    return time.monotonic() - start, spans(runs)


def bare(runs: str, project: str | None, steps: int, count: int, folder: Path) -> tuple[float, list[float]]:
    """Train in processes without Ray; returns the wall seconds, and each training's own."""

    def run(number: int) -> list[float]:
        job_folder = folder / str(number)
        command = [sys.executable, __file__, "--runs", runs, "--steps", str(steps)]
        command += ["--project", project] if project else []
        subprocess.run(
            [*command, "--only", str(number), "--into", job_folder], check=True, stdout=subprocess.DEVNULL
        )
        return spans(storage.resolve_runs(job_folder))

    start = time.monotonic()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        seconds = [second for loop_seconds in pool.map(run, range(count)) for second in loop_seconds]
    return time.monotonic() - start, seconds


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    steps: int = STEPS,
    only: int | None = None,
    into: Path = Path(),
) -> None:
    """Time the trainings without Ray, side by side through Ray, and one after another through Ray.

    Args:
        steps: optimiser steps of each of a teacher's stages.
        only: train one teacher without Ray.
        into: the folder for that teacher's results.
    """
    runs_uri = storage.resolve_runs(runs)
    chosen = choose_project(project)
    jobs = jobs_of(runs_uri, chosen, steps)
    if only is not None:
        train_bare(jobs[only], into)
        return
    table = Table(
        "how", "wall, s", "to bare", "training once started, s", "to bare", title=f"{len(jobs)} teachers"
    )
    with tempfile.TemporaryDirectory() as folder:
        ways: dict[str, Callable[[], tuple[float, list[float]]]] = {
            "bare DeepSpeed processes": lambda: bare(
                runs_uri, project, steps, len(jobs), Path(folder, "bare")
            ),
            "Ray, side by side": lambda: through_ray(jobs, Path(folder, "together"), at_once=True),
            "Ray, one after another": lambda: through_ray(jobs, Path(folder, "alone"), at_once=False),
        }
        times = {}
        for name, way in ways.items():
            wall, seconds_of_loops = times[name] = way()
            console.print(
                f"{name}: {wall:.0f} s, {sum(seconds_of_loops):.1f} s once started", highlight=False
            )
    wall, own_seconds = next(iter(times.values()))
    for name, (seconds, seconds_of_loops) in times.items():
        table.add_row(
            name,
            f"{seconds:.0f}",
            f"{seconds / wall:.2f}",
            f"{sum(seconds_of_loops):.1f}",
            f"{sum(seconds_of_loops) / sum(own_seconds):.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    run_script(main)
