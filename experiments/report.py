"""What a run achieved, on one page: `python experiments/report.py` writes `report.html` and `report.png`."""

from typing import Any

import numpy as np

from actors.evaluator import ERROR, FOUNDATION, RIGHT, STILL
from actors.screen import console
from experiments.cli import times
from experiments.cli.options import RUNS, Runs, current, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from experiments.evaluate import read_rows
from stickers import storage
from stickers.artifacts.licences import LICENCES, in_words
from stickers.evaluation.contact_sheet import contact_sheet
from stickers.evaluation.report import (
    ComparedSystem,
    FigureRow,
    GapRow,
    Kind,
    MetricColumn,
    Pointer,
    PromptRow,
    ReportClip,
    ReportData,
    StageCount,
    StageTime,
    render_report,
)
from stickers.project import Project
from stickers.video.codec import decode_strip

ROWS_SHOWN = 12
PICTURE_ROWS = 6


def kind_of(system: str, project: Project) -> Kind:
    """What a system is, by its name."""
    if system.startswith(FOUNDATION):
        return "foundation"
    named: dict[str, Kind] = {STILL: "still", "truth": "truth"}
    named |= {recipe.name: "teacher" for recipe in project.teachers}
    named |= {recipe.name: "student" for recipe in project.students}
    named |= {recipe.name: "distilled" for recipe in project.distillations}
    return named.get(system, "reference")


def counts(runs: str, project: Project) -> list[StageCount]:
    """The numbers on the way, stage by stage."""
    latents, plan, kept = (current(runs, kind, project).record for kind in ("latents", "plans", "kept"))
    chosen, simulated = kept["counts"], kept["simulated"]
    return [
        StageCount(stage="videos", label="files listed", value=latents["listed"]),
        StageCount(stage="videos", label="refused, each with its reason", value=latents["refused"]),
        StageCount(stage="videos", label="usable clips", value=latents["listed"] - latents["refused"]),
        StageCount(stage="teachers", label="teachers trained", value=len(plan["teachers"])),
        StageCount(stage="candidates", label="planned", value=sum(row["planned"] for row in plan["counts"])),
        StageCount(stage="candidates", label="made", value=chosen["candidates"]),
        StageCount(stage="candidates", label="failed", value=sum(row["failed"] for row in plan["counts"])),
        StageCount(stage="votes", label="votes", value=chosen["votes"], simulated=simulated),
        StageCount(
            stage="votes", label="survived round one", value=chosen["survived_round_one"], simulated=simulated
        ),
        StageCount(stage="votes", label="kept", value=chosen["kept"], simulated=simulated),
        StageCount(
            stage="votes", label="prompts with a kept clip", value=chosen["prompts_kept"], simulated=simulated
        ),
        *(
            StageCount(stage="kept by motion", label=motion, value=row["kept"], simulated=simulated)
            for motion, row in kept.get("motions", {}).items()
        ),
    ]


def prompt_rows(rows: list[dict[str, Any]]) -> list[PromptRow]:
    """The first held-out stickers, every system's clip of the first seed."""
    lines: dict[str, PromptRow] = {}
    for row in rows:
        line = lines.setdefault(row["item"], PromptRow(prompt=row["prompt"], bucket=row["bucket"], clips={}))
        if row["system"] in line.clips:
            continue
        clip = ReportClip(
            strip=row["clip"], num_frames=row["num_frames"], fps=row["fps"], size=row["size"], note=_note(row)
        )
        line.clips[row["system"]] = [clip]  # type: ignore[index]
    return list(lines.values())[:ROWS_SHOWN]


def _note(row: dict[str, Any]) -> str:
    """A few words below a clip: its error where there is a truth, else how much it moves."""
    values = dict(row["values"])
    if ERROR in values:
        return f"error {values[ERROR]:.2f}, nearest: {row['nearest']}"
    return f"motion {values['motion_size']:.2f}" if "motion_size" in values else ""


def metric_columns(record: dict[str, Any], project: Project) -> list[MetricColumn]:
    """The metrics that an evaluation has, those against a truth first."""
    columns = {
        ERROR: MetricColumn(
            name=ERROR,
            better="less",
            explanation=f"squared distance to the nearest clip that the prompt admits, by {record.get('truth')}, over "
            "the frozen still's: truth is about 0, the still 1",
        ),
        RIGHT: MetricColumn(
            name=RIGHT,
            better="more",
            explanation="share of clips whose nearest motion is one that the prompt admits",
        ),
        **{
            metric.name: MetricColumn(name=metric.name, better=metric.better, explanation=metric.explanation)
            for metric in project.evaluation.metrics
        },
    }
    present = {row["metric"] for row in record["figures"]}
    return [column for name, column in columns.items() if name in present]


def figure_rows(record: dict[str, Any], project: Project) -> list[FigureRow]:
    """The evaluation's figures as the page shows them."""
    systems = dict.fromkeys(row["system"] for row in record["figures"])
    return [
        FigureRow(
            name=system,
            kind=kind_of(system, project),
            values={
                row["metric"]: (row["value"], row["low"], row["high"])
                for row in record["figures"]
                if row["system"] == system
            },
            count=max(row["count"] for row in record["figures"] if row["system"] == system),
        )
        for system in systems
    ]


def gap_rows(record: dict[str, Any], columns: list[MetricColumn]) -> list[GapRow]:
    """The paired differences of the first metrics."""
    better = {column.name: column.better for column in columns}
    return [
        GapRow(
            system=row["system"],
            baseline=row["baseline"],
            metric=row["metric"],
            better=better[row["metric"]],
            difference=row["value"],
            low=row["low"],
            high=row["high"],
        )
        for row in record["differences"]
        if row["metric"] in better
    ]


def picture(rows: list[PromptRow], columns: list[ComparedSystem]) -> bytes:
    """A contact sheet for places that show no HTML, the README among them."""
    lines = []
    for row in rows[:PICTURE_ROWS]:
        clips: list[np.ndarray | None] = [
            decode_strip(shown[0].strip, shown[0].num_frames) if (shown := row.clips.get(c.name)) else None
            for c in columns
        ]
        lines.append((row.prompt, clips))
    return contact_sheet(lines, [column.label for column in columns])


def build(runs: str, project: Project) -> tuple[str, bytes]:
    """The page and the picture of a project's evaluation."""
    evaluation = current(runs, "evaluation", project)
    record = evaluation.record
    systems = list(dict.fromkeys(row["system"] for row in record["figures"]))
    order: list[Kind] = ["still", "foundation", "teacher", "student", "distilled", "truth", "reference"]
    systems.sort(key=lambda name: order.index(kind_of(name, project)))
    columns = [ComparedSystem(name=name, kind=kind_of(name, project), label=name) for name in systems]
    kept = current(runs, "kept", project).record
    people = "simulated people" if kept["simulated"] else "people"
    rows = prompt_rows(read_rows(evaluation.uri))
    metrics = metric_columns(record, project)
    data = ReportData(
        title=f"Animated stickers: {project.name}",
        summary=(
            f"Teachers trained on videos made candidates, {people} kept the good ones, a smaller student learned from "
            "those and was distilled to few single-pass steps. The stickers here are held out."
        ),
        facts=[
            ("project", project.name),
            ("stickers", kept.get("stickers_from") or project.stickers.origin),
            ("held-out stickers", f"{record['stickers']}, {record.get('stickers_from', '')}"),
            ("licences", in_words(record.get(LICENCES, {}))),
        ],
        columns=columns,
        rows=rows,
        counts=counts(runs, project),
        verdicts=record["verdicts"],
        metrics=metrics,
        figures=figure_rows(record, project),
        gaps=gap_rows(record, metrics),
        times=[
            StageTime(stage=stage, seconds=seconds)
            for stage, seconds in times.recall(runs, project.name).items()
        ],
        pointers=[
            Pointer(label="MLflow", command=f"make mlflow RUNS={runs}", address="http://127.0.0.1:5000"),
            Pointer(
                label="endpoint and page", command=f"make serve RUNS={runs}", address="http://127.0.0.1:8000"
            ),
        ],
        simulated=kept["simulated"],
        simulated_by=kept.get("panel", {}).get("rule", "simulated people"),
    )
    pictured = [column for column in columns if column.kind not in ("reference",)]
    return render_report(data), picture(rows, pictured)


def main(runs: Runs = RUNS, project: ProjectName = None) -> None:
    """Write the report of a project's evaluation."""
    runs_uri = storage.resolve_runs(runs)
    page, sheet = build(runs_uri, choose_project(project))
    storage.write_bytes(storage.join(runs_uri, "report.html"), page.encode())
    storage.write_bytes(storage.join(runs_uri, "report.png"), sheet)
    console.print(f"report: {storage.join(runs_uri, 'report.html')}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    run_script(main)
