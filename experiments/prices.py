"""What candidates cost and how many were kept: `python experiments/prices.py` prints it and writes a page."""

from typing import Any

from rich.table import Table

from actors.screen import console
from experiments.cli.options import RUNS, Runs, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from stickers import storage
from stickers.candidates.prices import Cell, spending, spent, together, total, unit_of
from stickers.errors import UserError
from stickers.evaluation.price_page import SpendingData, price, render_spending


def judgement(runs: str, plan: storage.Artifact) -> dict[str, Any] | None:
    """The record of a plan's last kept set, or else of the plan that it replaced; None when there is none."""
    kept = [
        k for k in storage.find_records(runs, "kept") if k.record.get("plan_id") == plan.record["plan_id"]
    ]
    if kept:
        return kept[-1].record
    before = plan.record.get("supersedes")
    return judgement(runs, storage.find_record(runs, "plans", before)) if before else None


def collect(runs: str, project: str, plan: str | None = None) -> SpendingData:
    """The cost of a project's finished plans, or of one, with the last decisions of people.

    Raises:
        UserError: there is no finished plan.
    """
    finished = [storage.find_record(runs, "plans", plan)] if plan else storage.find_records(runs, "plans")
    plans = [plan_record for plan_record in finished if plan_record.record.get("project") == project]
    if not plans:
        raise UserError(
            f"{storage.join(runs, 'plans')} holds no finished plan of project {project!r}; "
            "experiments/candidates.py makes one"
        )
    replaced = {
        plan_record.record.get("supersedes") for plan_record in plans
    }  # what a regeneration paid for holds these
    cells: list[Cell] = []
    simulated, units = False, set()
    for plan_record in (one for one in plans if one.folder not in replaced):
        judged = judgement(runs, plan_record)
        simulated = simulated or bool(judged and judged["simulated"])
        cells += spending(spent(plan_record.uri), judged["rates"] if judged else ())
        units.add(unit_of(plan_record.uri))
    title = f"What candidates cost: {f'plan {plan}' if plan else f'project {project}'}"
    unit = " and ".join(sorted({part for unit in units for part in unit.split(" and ")}))
    return SpendingData(title=title, unit=unit, cells=together(cells), simulated=simulated)


def show(data: SpendingData) -> None:
    """Print the cells and their total."""
    mark = ", [yellow]simulated[/] people" if data.simulated else ""
    table = Table(
        "teacher", "bucket", "made", "failed", "s/candidate", "judged", "kept", "keep rate", "s/kept",
        title=f"{data.title}, in {data.unit}-seconds{mark}",
    )  # fmt: skip
    for cell in [*data.cells, total(data.cells)]:
        low, high = cell.keep_interval
        rate = f"{cell.keep_rate:.0%} ({low:.0%} to {high:.0%})" if cell.keep_rate is not None else ""
        counts = (str(number) for number in (cell.judged, cell.kept))
        table.add_row(
            cell.teacher, cell.bucket, str(cell.made), str(cell.failed), f"{cell.seconds_each:.2f}",
            *counts, rate, price(cell.seconds_per_kept),
        )  # fmt: skip
    console.print(table)


def main(runs: Runs = RUNS, project: ProjectName = None, plan: str | None = None) -> None:
    """Print what candidates and kept clips cost, by teacher and bucket.

    Args:
        plan: one finished plan; by default all of the project.
    """
    runs_uri = storage.resolve_runs(runs)
    data = collect(runs_uri, choose_project(project).name, plan)
    show(data)
    page = storage.join(runs_uri, "spending.html")
    storage.write_bytes(page, render_spending(data).encode())
    console.print(f"page: {page}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    run_script(main)
