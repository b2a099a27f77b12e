"""What may go from a runs folder, and how much it frees: `python experiments/clean.py`.

It lists and removes nothing; with `--no-dry-run` it asks and then removes. What something finished needs stays, and so
does what another command works with now. It may be stopped and given again.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from actors.screen import console, track
from actors.tracking import registered_folders
from experiments.cli.keeping import vote_stores
from experiments.cli.options import RUNS, Runs, confirm, run_script
from stickers import storage
from stickers.annotation.library import plans_people_work_on
from stickers.annotation.store.votes import VoteStore
from stickers.errors import UserError
from stickers.housekeeping.cleaning import (
    Category,
    Findings,
    InUse,
    Removable,
    look,
    look_at_machine,
    remove,
    totals,
)

#: hours without a write after which something counts as interrupted
IDLE_HOURS = 24.0
SECONDS_AN_HOUR = 3600
#: bytes of the units in which sizes are shown
UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
ROWS_SHOWN = 60


def in_use(runs: str, votes: str | None) -> InUse:
    """What is registered for serving, and what people vote on; not known where no server or database is named."""
    exported = None
    if "://" not in runs or os.environ.get("MLFLOW_TRACKING_URI"):
        exported = {folder.rstrip("/").rsplit("/", 1)[-1] for folder in registered_folders(runs)}
    plans: set[str] = set()
    urls = vote_stores(runs, votes)
    for url in urls:
        with VoteStore(url) as store:
            plans |= store.read(plans_people_work_on)
    are_known = bool(urls) or "://" not in runs
    return InUse(exported=exported, plans=plans if are_known else None)


def show(runs: str, findings: Findings) -> None:
    """A row a thing with its size and reason, the totals by category, and what is being made."""
    table = Table("what", "name", "files", "frees", "why it may go", title=f"what may go from {runs}")
    for row in findings.removable[:ROWS_SHOWN]:
        table.add_row(row.category, escape(row.name), str(row.num_files), size(row.num_bytes), row.reason)
    if findings.removable:
        console.print(table)
    if len(findings.removable) > ROWS_SHOWN:
        console.print(f"{len(findings.removable) - ROWS_SHOWN} more stand in no row")
    sums = Table("what", "things", "frees")
    for category, (count, num_bytes) in totals(findings.removable).items():
        sums.add_row(category, str(count), size(num_bytes))
    total = sum(row.num_bytes for row in findings.removable)
    sums.add_row("all", str(len(findings.removable)), size(total), style="bold")
    console.print(sums)
    if findings.busy:
        console.print(
            f"[yellow]{', '.join(map(escape, findings.busy))} is being made, or was a short while ago: what it may "
            "read is not listed[/]",
            highlight=False,
            soft_wrap=True,
        )


def size(num_bytes: int) -> str:
    """Bytes as a person reads them."""
    for unit, factor in UNITS.items():
        if num_bytes >= factor:
            return f"{num_bytes / factor:,.1f} {unit}"
    return f"{num_bytes} bytes"


def ray_folder() -> Path:
    """Where Ray keeps a folder for each of its sessions."""
    return Path(os.environ.get("RAY_TMPDIR") or "/tmp", "ray")


def main(
    runs: Runs = RUNS,
    only: tuple[Category, ...] = (),
    caches: bool = False,
    machine: bool = False,
    idle_hours: float = IDLE_HOURS,
    votes: str | None = None,
    dry_run: bool = True,
    yes: bool = False,
) -> None:
    """List what may go from a runs folder, or remove it.

    Args:
        only: these kinds alone.
        caches: also caches of what is needed; they are filled again when somebody needs them.
        machine: also what this machine keeps outside of runs folders: copies of remote files, and what Rays that have
            ended left.
        idle_hours: leave alone what was written to within so many hours.
        votes: SQLAlchemy URL of the vote store; by default STICKERS_VOTES and the files in the runs folder.
        dry_run: list and stop; --no-dry-run asks and removes.
        yes: remove without asking.
    """
    if idle_hours < 0:
        raise UserError(f"--idle-hours is at least 0, got {idle_hours}")
    runs_uri = storage.resolve_runs(runs)

    def find() -> Findings:
        findings = look(
            runs_uri, in_use(runs_uri, votes), idle_seconds=idle_hours * SECONDS_AN_HOUR, with_caches=caches
        )
        rows = list(findings.removable)
        if machine:
            rows += look_at_machine(idle_hours * SECONDS_AN_HOUR, ray_folder())
        return Findings([row for row in rows if not only or row.category in only], findings.busy)

    findings = find()
    show(runs_uri, findings)
    if not findings.removable:
        return
    if dry_run and not yes:
        console.print("nothing was removed; --no-dry-run asks and removes", highlight=False)
        return
    if not yes and not confirm(f"remove {len(findings.removable)} things from {runs_uri}?"):
        console.print("nothing was removed")
        return
    clean(findings.removable, find().removable)


def clean(shown: Sequence[Removable], still_there: Sequence[Removable]) -> None:
    """Remove what was shown and still may go: while somebody thought about it, something may have come to need it."""
    todo = [row for row in still_there if row in shown]
    for row in track(todo, "remove", unit="things"):
        remove(row)
    console.print(f"removed {len(todo)} things, {size(sum(row.num_bytes for row in todo))}", highlight=False)


if __name__ == "__main__":
    run_script(main)
