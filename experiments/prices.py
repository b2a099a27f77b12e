"""What candidates cost and what was kept of them: `python experiments/prices.py` prints it and writes a page."""

from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.cli.options import RUNS, Runs, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from stickers import storage
from stickers.candidates.prices import Cell, spending, spent, together, total, unit_of
from stickers.errors import UserError
from stickers.evaluation.price_page import SpendingData, price, render_spending

console = Console()


def judgement(runs: str, plan: storage.Artifact) -> dict[str, Any] | None:
    """What people decided last over a plan, or else over what it replaced; none when nobody has."""
    kept = [
        k for k in storage.find_records(runs, "kept") if k.record.get("plan_id") == plan.record["plan_id"]
    ]
    if kept:
        return kept[-1].record
    before = plan.record.get("supersedes")
    return judgement(runs, storage.find_record(runs, "plans", before)) if before else None


def collect(runs: str, project: str, plan: str | None = None) -> SpendingData:
    """A project's finished plans, or one of them, with what people decided over each last.

    Raises:
        UserError: there is no finished plan.
    """
    every = [storage.find_record(runs, "plans", plan)] if plan else storage.find_records(runs, "plans")
    plans = [each for each in every if each.record.get("project") == project]
    if not plans:
        raise UserError(
            f"{storage.join(runs, 'plans')} holds no finished plan of project {project!r}; "
            "experiments/candidates.py makes one"
        )
    replaced = {each.record.get("supersedes") for each in plans}  # what a regeneration paid for holds these
    cells: list[Cell] = []
    simulated, units = False, set()
    for each in (one for one in plans if one.folder not in replaced):
        judged = judgement(runs, each)
        simulated = simulated or bool(judged and judged["simulated"])
        cells += spending(spent(each.uri), judged["rates"] if judged else ())
        units.add(unit_of(each.uri))
    title = f"What candidates cost: {f'plan {plan}' if plan else f'project {project}'}"
    unit = " and ".join(sorted({part for unit in units for part in unit.split(" and ")}))
    return SpendingData(title=title, unit=unit, cells=together(cells), simulated=simulated)


def show(data: SpendingData) -> None:
    mark = ", [yellow]simulated[/] people" if data.simulated else ""
    table = Table(
        "teacher", "bucket", "made", "failed", "s/candidate", "judged", "kept", "keep rate", "s/kept",
        title=f"{data.title}, in {data.unit}-seconds{mark}",
    )  # fmt: skip
    for each in [*data.cells, total(data.cells)]:
        low, high = each.keep_interval
        rate = f"{each.keep_rate:.0%} ({low:.0%} to {high:.0%})" if each.keep_rate is not None else ""
        counts = (str(number) for number in (each.judged, each.kept))
        table.add_row(
            each.teacher, each.bucket, str(each.made), str(each.failed), f"{each.seconds_each:.2f}",
            *counts, rate, price(each.seconds_per_kept),
        )  # fmt: skip
    console.print(table)


def main(runs: Runs = RUNS, project: ProjectName = None, plan: str | None = None) -> None:
    """Say what candidates cost, by teacher and bucket, and what a kept clip does.

    Args:
        plan: of one finished plan alone; by default all of the project.
    """
    place = storage.resolve_runs(runs)
    data = collect(place, choose_project(project).name, plan)
    show(data)
    page = storage.join(place, "spending.html")
    storage.write_bytes(page, render_spending(data).encode())
    console.print(f"page: {page}", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    run_script(main)
