"""Every system on held-out stickers: `python experiments/evaluate.py`.

Held-out stickers are in no plan or kept set. Every system animates them as it is served. Each sticker's readings are
written as soon as they exist, so an interrupted evaluation goes on where it stopped. Where a project has a truth, clips
are also measured against it; elsewhere metrics describe the clips and people judge them.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.util import ActorPool
from rich.table import Table

from actors.cluster import connect
from actors.evaluator import STILL, Evaluator, HeldOut, foundation_systems
from actors.screen import console, track
from experiments.candidates import of_teachers
from experiments.cli.options import RUNS, Runs, current_training, encoder_digests, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from experiments.cli.stages import Stages
from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.licences import LICENCES
from stickers.evaluation.comparisons import Difference, Figure, MeasuredClip, difference, figure
from stickers.evaluation.verdict import verdicts
from stickers.housekeeping.withdrawn import Withdrawn, lift
from stickers.project import Project

READINGS = pa.schema(
    [
        ("item", pa.string()),
        ("prompt", pa.string()),
        ("bucket", pa.string()),
        ("cluster", pa.string()),
        ("system", pa.string()),
        ("seed", pa.int64()),
        ("fps", pa.int32()),
        ("num_frames", pa.int32()),
        ("size", pa.int32()),
        ("values", pa.map_(pa.string(), pa.float64())),
        ("weights", pa.map_(pa.string(), pa.float64())),
        ("nearest", pa.string()),
        ("clip", pa.binary()),
    ]
)
#: the stages of this command
STAGES = ("every system animates and is measured", "compare")


def trained_systems(runs: str, project: Project) -> dict[str, storage.Artifact]:
    """The project's finished teachers, students and distilled students, in that order."""
    names = {
        "teachers": [recipe.name for recipe in project.teachers],
        "students": [recipe.name for recipe in project.students],
        "distilled": [recipe.name for recipe in project.distillations],
    }
    trained = {
        name: current_training(runs, kind, project, name)
        for kind, of_kind in names.items()
        for name in of_kind
    }
    return {name: artifact for name, artifact in trained.items() if artifact}


def held_out(project: Project, withdrawn: Withdrawn) -> list[HeldOut]:
    """The held-out stickers with their prompts, but for withdrawn ones."""
    stickers = withdrawn.without(project.evaluation.stickers.stickers())
    prompts = {prompt.prompt_id: prompt for prompt in stickers.prompts}
    return [
        HeldOut(prompt=prompts[row.prompt_id], sticker=row, num_seeds=project.evaluation.num_seeds)
        for row in stickers.stickers
    ]


def evaluate_all(
    todo: Sequence[HeldOut], folder: str, systems: dict[str, tuple[str, str]], project: Project
) -> None:
    """Evaluate the stickers that have no readings yet, with one actor for each core."""
    todo = [work for work in todo if not storage.exists(_file(folder, work.key))]
    if not todo:
        return
    make = ray.remote(num_cpus=1)(Evaluator)
    num_actors = min(len(todo), max(1, os.cpu_count() or 1))
    evaluation = project.evaluation
    pool = ActorPool([make.remote(systems, evaluation.metrics, evaluation.truth) for _ in range(num_actors)])
    results = pool.map_unordered(lambda actor, work: actor.evaluate.remote(work), todo)
    for rows in track(results, "animate and measure", len(todo), "stickers"):
        readings = pa.Table.from_pylist(
            [
                {**row, "values": list(row["values"].items()), "weights": list(row["weights"].items())}
                for row in rows
            ],
            schema=READINGS,
        )
        storage.write_table(_file(folder, rows[0]["item"]), readings, READINGS)


def _file(folder: str, item: str) -> str:
    return storage.join(folder, "items", f"{item}.parquet")


def read_rows(folder: str) -> list[dict[str, Any]]:
    """All readings of an evaluation, in the order of stickers and seeds."""
    rows: list[dict[str, Any]] = storage.read_table(storage.join(folder, "items")).to_pylist()
    return sorted(rows, key=lambda row: (row["item"], row["seed"]))


def compare(rows: list[dict[str, Any]], project: Project) -> tuple[list[Figure], list[Difference]]:
    """Every metric of every system, and students against the still, their foundation and each other."""
    clips: dict[str, list[MeasuredClip]] = {}
    for row in rows:
        clips.setdefault(row["system"], []).append(MeasuredClip.of_row(row))
    metrics = list(dict.fromkeys(name for row in rows for name in dict(row["values"])))
    figures = [
        figure(system, metric, measured)
        for system, measured in clips.items()
        for metric in metrics
        if any(metric in clip.values for clip in measured)
    ]
    differences = [
        difference(system, baseline, metric, clips)
        for system, baseline in _pairs(project, clips)
        for metric in metrics
    ]
    return figures, differences


def _pairs(project: Project, systems: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Students and distilled students against the still, what they started from, and the first student."""
    foundations = {
        recipe.name: f"foundation {recipe.foundation.rsplit('/', 1)[-1]}" for recipe in project.students
    }
    starts = {row.name: row.student for row in project.distillations}
    for name in (*foundations, *starts):
        start = foundations.get(name) or starts[name]
        for baseline in dict.fromkeys((STILL, start)):
            if name in systems and baseline in systems:
                yield name, baseline
    first, *others = [name for name in foundations if name in systems] or [""]
    for name in others:
        yield first, name


def show(figures: Sequence[Figure], differences: Sequence[Difference], project: Project) -> None:
    """Print a row for each system with every metric and its interval, then the verdicts in words."""
    metrics = list(dict.fromkeys(row.metric for row in figures))
    cells = {(row.system, row.metric): row for row in figures}
    table = Table("system", *metrics, "clips", title="held-out stickers")
    for system in dict.fromkeys(row.system for row in figures):
        texts = [_cell(cells.get((system, metric))) for metric in metrics]
        count = max(row.count for row in figures if row.system == system)
        table.add_row(system, *texts, str(count))
    console.print(table)
    for sentence in verdicts(figures, differences, project):
        console.print(sentence, highlight=False, soft_wrap=True)


def _cell(row: Figure | None) -> str:
    return f"{row.value:.2f}  [{row.low:.2f}, {row.high:.2f}]" if row else ""


def main(runs: Runs = RUNS, project: ProjectName = None, foundations: str | None = None) -> None:
    """Evaluate every finished system on the project's held-out stickers, with 95 % bootstrap intervals.

    Args:
        foundations: folder of autoencoder, text encoder and tokenizer; by default the project's.
    """
    chosen, runs_uri = choose_project(project, foundations), storage.resolve_runs(runs)
    base = chosen.foundation.place
    trained = trained_systems(runs_uri, chosen)
    todo = held_out(chosen, Withdrawn.of(runs_uri))
    evaluation = chosen.evaluation
    key = content_id(
        "evaluation",
        *(artifact.folder for artifact in trained.values()),
        [[work.key, work.num_seeds] for work in todo],
        [metric.name for metric in evaluation.metrics],
        evaluation.truth.name if evaluation.truth else "",
        *encoder_digests(base),
    )
    target = storage.join(runs_uri, "evaluation", key)
    record = storage.join(target, storage.RECORD)
    folders = {name: storage.local_folder(artifact.uri) for name, artifact in trained.items()}
    encoders = {name: artifact.record.get("own_encoders") or base for name, artifact in trained.items()}
    systems = {
        name: (folder, encoders.get(name, base))
        for name, folder in {**foundation_systems(storage.local_folder(base)), **folders}.items()
    }
    stages = Stages(*STAGES)
    if not storage.exists(record):
        stages.begin(STAGES[0])
        with connect():
            evaluate_all(todo, target, systems, chosen)
    stages.begin(STAGES[1])
    figures, differences = compare(read_rows(target), chosen)
    show(figures, differences, chosen)
    if not storage.exists(record):
        facts = {
            "project": chosen.name,
            "stickers_from": evaluation.stickers.origin,
            LICENCES: of_teachers(trained)
            | {"held-out stickers": getattr(evaluation.stickers, "licence", "")},
            "truth": evaluation.truth.name if evaluation.truth else "",
            "systems": {name: Path(folder).name for name, (folder, _) in systems.items()},
            "stickers": len(todo),
            "figures": [asdict(row) for row in figures],
            "differences": [asdict(row) for row in differences],
            "verdicts": verdicts(figures, differences, chosen),
        }
        storage.write_record(target, facts)
    lift(target)  # its systems are the same without what was withdrawn, else it would have another key
    storage.set_current(runs_uri, "evaluation", chosen.name, key)


if __name__ == "__main__":
    run_script(main)
