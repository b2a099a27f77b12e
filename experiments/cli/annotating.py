"""What the commands of `annotate.py` share: where the votes are, which plan is meant, and the tables they print."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import tyro
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from experiments.cli.keeping import votes_url
from experiments.cli.options import RUNS, Runs, current, usable
from experiments.cli.project_choice import ProjectName, choose_project
from serve.annotation.lead import sign_in_link
from stickers import storage
from stickers.annotation.store.people import add_person, new_link, people_in
from stickers.annotation.store.votes import VoteStore
from stickers.project import Project

T = TypeVar("T")
#: who the log of events names for a change made at the command line
COMMAND_LINE = "command line"
AGREEMENT_FIGURES = ("percent", "alpha", "kappa", "ac1")
ROUND_COLUMNS = (
    "round", "who", "jobs", "finished", "answers", "of", "an hour", "hours left", "kept", "disputed",
)  # fmt: skip
PEOPLE_COLUMNS = (
    "who", "role", "answers", "s a job", "picks", "gold", "with others", "low-motion bias", "",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Where the votes are."""

    runs: Runs = RUNS
    votes: Annotated[
        str | None,
        tyro.conf.arg(help="SQLAlchemy URL of the vote store; by default votes.db in the runs folder"),
    ] = None

    def url(self) -> str:
        """The URL of the vote store."""
        return votes_url(storage.resolve_runs(self.runs), self.votes)

    def open(self) -> VoteStore:
        """The vote store. UserError: it cannot be opened."""
        return VoteStore(self.url())

    def write(self, work: Callable[[Connection], T]) -> T:
        """Open the store and run `work` in one transaction."""
        with self.open() as store:
            return store.write(work).result()


@dataclass(frozen=True, kw_only=True)
class PlanOptions(StoreOptions):
    """Where the votes are, and which plan they are about."""

    project: ProjectName = None
    plan: Annotated[str | None, tyro.conf.arg(help="a finished plan; by default the latest")] = None

    def find_plan(self, project: Project | None = None) -> storage.Artifact:
        """The finished plan. UserError: there is none.

        Args:
            project: the one that the options name, where it is loaded already.
        """
        runs = storage.resolve_runs(self.runs)
        if self.plan:
            return usable(storage.find_record(runs, "plans", self.plan))
        return current(runs, "plans", project or choose_project(self.project))


def create_link(store: VoteStore, name: str, role: str, address: str) -> str:
    """A link that signs a person in. Adds the person with that role if the store does not have them yet."""
    names = {person.name for person in store.read(people_in)}

    def create_token(connection: Connection) -> str:
        if name in names:
            return new_link(connection, name, COMMAND_LINE, keep_sessions=True)
        return add_person(connection, name, role, by=COMMAND_LINE)

    return sign_in_link(address, store.write(create_token).result())


def print_status(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the progress of each round, how far people agree, and what each person did.

    Args:
        summary: as `stickers.annotation.overview.overview` returns it.
    """
    title = "rounds (simulated people)" if summary["simulated"] else "rounds"
    console.print(_rounds_table(summary["rounds"], title))
    for agreement in summary["agreement"]:
        if agreement["clips"]:
            figures = ", ".join(f"{name} {_format(agreement[name], 2)}" for name in AGREEMENT_FIGURES)
            console.print(
                f"round {agreement['round']}, {agreement['clips']} clips: {figures}", highlight=False
            )
    console.print(_people_table(summary["people"]))


def _rounds_table(rounds: Sequence[Mapping[str, Any]], title: str) -> Table:
    table = Table(*ROUND_COLUMNS, title=title)
    for row in rounds:
        table.add_row(
            str(row["round"]),
            f"{row['quorum']} of {row['people']} {row['role']}s",
            str(row["jobs"]),
            str(row["finished"]),
            str(row["answers"]),
            str(row["wanted"]),
            _format(row["per_hour"], 0),
            _format(row["left_hours"], 1),
            str(row["survived"]),
            str(row["disputed"]),
        )
    return table


def _people_table(people: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(*PEOPLE_COLUMNS)
    for person in people:
        table.add_row(
            person["name"],
            person["role"],
            str(person["answers"]),
            _format(person["median_seconds"], 1),
            _format(person["pick_rate"], 2),
            f"{person['gold']['right']}/{person['gold']['of']}",
            _format(person["with_majority"], 2),
            _format(person["low_motion_bias"], 2),
            "retired" if person["retired"] else "" if person["active"] else "inactive",
        )
    return table


def _format(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
