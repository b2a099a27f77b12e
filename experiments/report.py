"""What a run achieved, on one page: `python experiments/report.py` writes `report.html` and `report.png`."""

from collections.abc import Mapping

import numpy as np
from rich.console import Console

from experiments.cli import times
from experiments.cli.options import RUNS, Runs, choose_profile, current, run_script
from experiments.evaluate import read_rows
from recipes.toy.profiles import Profile
from stickers import storage
from stickers.evaluation.contact_sheet import contact_sheet
from stickers.evaluation.report import (
    Column,
    Count,
    FigureRow,
    GapRow,
    Kind,
    Pointer,
    PromptRow,
    ReportClip,
    ReportData,
    Timing,
    render_report,
)
from stickers.video.codec import decode_strip

console = Console()
ROWS_SHOWN = 12
PICTURE_ROWS = 6


def kind_of(system: str, profile: Profile) -> Kind:
    """What a system is, by its name."""
    if system.startswith("foundation"):
        return "foundation"
    if system in {recipe.name for recipe in profile.teachers}:
        return "teacher"
    if system in {recipe.name for recipe in profile.students}:
        return "student"
    named: Mapping[str, Kind] = {"still": "still", "truth": "truth", profile.distillation.name: "distilled"}
    return named.get(system, "reference")


def counts(runs: str, profile: Profile) -> list[Count]:
    """The numbers on the way, stage by stage."""
    latents, plan, kept = (current(runs, kind, profile.name).record for kind in ("latents", "plans", "kept"))
    chosen, simulated = kept["counts"], kept["simulated"]
    return [
        Count(stage="videos", label="files listed", value=latents["listed"]),
        Count(stage="videos", label="refused, each with its reason", value=latents["refused"]),
        Count(stage="videos", label="usable clips", value=latents["listed"] - latents["refused"]),
        Count(stage="teachers", label="teachers trained", value=len(plan["teachers"])),
        Count(stage="candidates", label="planned", value=sum(row["planned"] for row in plan["counts"])),
        Count(stage="candidates", label="made", value=chosen["candidates"]),
        Count(stage="candidates", label="failed", value=sum(row["failed"] for row in plan["counts"])),
        Count(stage="votes", label="votes", value=chosen["votes"], simulated=simulated),
        Count(
            stage="votes", label="survived round one", value=chosen["survived_round_one"], simulated=simulated
        ),
        Count(stage="votes", label="kept", value=chosen["kept"], simulated=simulated),
        Count(
            stage="votes", label="prompts with a kept clip", value=chosen["prompts_kept"], simulated=simulated
        ),
        *(
            Count(stage="kept by motion", label=motion, value=row["kept"], simulated=simulated)
            for motion, row in kept.get("motions", {}).items()  # the toy oracle alone can say
        ),
    ]


def prompt_rows(rows: list[dict], size: int) -> list[PromptRow]:
    """The first held-out prompts, every system's clip of the first seed."""
    found: dict[str, PromptRow] = {}
    for row in sorted(rows, key=lambda r: (r["item"], r["seed"])):
        line = found.setdefault(row["item"], PromptRow(prompt=row["prompt"], bucket=row["bucket"], clips={}))
        if row["system"] in line.clips:
            continue
        error = row["distance"] / row["still_distance"]
        clip = ReportClip(
            strip=row["clip"],
            num_frames=row["num_frames"],
            fps=row["fps"],
            size=size,
            note=f"error {error:.2f}, nearest: {row['nearest']}",
        )
        line.clips[row["system"]] = [clip]  # type: ignore[index]
    return list(found.values())[:ROWS_SHOWN]


def figure_rows(record: dict, profile: Profile) -> list[FigureRow]:
    """The evaluation's figures as the page shows them."""
    return [
        FigureRow(
            name=each["system"],
            kind=kind_of(each["system"], profile),
            motion_size=record["motion_size"][each["system"]],
            **{key: value for key, value in each.items() if key != "system"},
        )
        for each in record["figures"]
    ]


def picture(rows: list[PromptRow], columns: list[Column]) -> bytes:
    """A contact sheet for places that show no HTML, the README among them."""
    lines = []
    for row in rows[:PICTURE_ROWS]:
        clips: list[np.ndarray | None] = [
            decode_strip(shown[0].strip, shown[0].num_frames) if (shown := row.clips.get(c.name)) else None
            for c in columns
        ]
        lines.append((row.prompt, clips))
    return contact_sheet(lines, [column.label for column in columns])


def build(runs: str, profile: Profile) -> tuple[str, bytes]:
    """The page and the picture of a profile's evaluation."""
    evaluation = current(runs, "evaluation", profile.name)
    record = evaluation.record
    systems = [each["system"] for each in record["figures"]]
    order: list[Kind] = ["still", "foundation", "teacher", "student", "distilled", "truth", "reference"]
    systems.sort(key=lambda name: order.index(kind_of(name, profile)))
    columns = [Column(name=name, kind=kind_of(name, profile), label=name) for name in systems]
    simulated = current(runs, "kept", profile.name).record["simulated"]
    people = "a simulated panel" if simulated else "people"
    rows = prompt_rows(read_rows(evaluation.uri), profile.picture_size)
    data = ReportData(
        title=f"Animated stickers: {profile.name} profile",
        summary=(
            f"Teachers trained on real video files made candidates, {people} kept the good ones, a smaller "
            "student learned from those and was distilled to eight single-pass steps. Everything here is held out: "
            "these pairs of subject and motion are in no training set."
        ),
        facts=[("picture", f"{profile.picture_size} pixels"), ("held-out stickers", str(record["stickers"]))],
        columns=columns,
        rows=rows,
        counts=counts(runs, profile),
        figures=figure_rows(record, profile),
        gaps=[
            GapRow(**{k: gap[k] for k in ("system", "baseline", "difference", "low", "high")})
            for gap in record["differences"]
        ],
        times=[
            Timing(stage=stage, seconds=seconds)
            for stage, seconds in times.recall(runs, profile.name).items()
        ],
        pointers=[
            Pointer(label="MLflow", command=f"make mlflow RUNS={runs}", address="http://127.0.0.1:5000"),
            Pointer(
                label="endpoint and page", command=f"make serve RUNS={runs}", address="http://127.0.0.1:8000"
            ),
        ],
        simulated=simulated,
    )
    shown = [column for column in columns if column.kind not in ("reference",)]
    return render_report(data), picture(rows, shown)


def main(runs: Runs = RUNS, profile: str = "tiny") -> None:
    """Write the report of a profile's evaluation.

    Args:
        profile: tiny, full or smoke.
    """
    place = storage.resolve_runs(runs)
    page, sheet = build(place, choose_profile(profile))
    storage.write_bytes(storage.join(place, "report.html"), page.encode())
    storage.write_bytes(storage.join(place, "report.png"), sheet)
    console.print(f"report: {storage.join(place, 'report.html')}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    run_script(main)
