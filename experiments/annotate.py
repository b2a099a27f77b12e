"""People choose: `python experiments/annotate.py serve`, and what a lead does at a command line.

The queue, the people and their votes lie in one database, by default votes.db in the runs folder. `serve` lets the
finished plan's candidates join the queue and opens the page; `keep` makes the kept set of what people chose, which
students are trained on. Everything else a lead can do on the page as well, but exchange with files.
"""

import getpass
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import pyarrow.csv as csv
import tyro
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from experiments.cli.keeping import join_queue, keep, show, votes_on, votes_url
from experiments.cli.options import RUNS, Runs, current, run_script
from experiments.cli.projects import ProjectName, choose_project
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.lead import sign_in_link
from serve.standalone import address_of, listen, run
from stickers import storage
from stickers.annotation import ordering, rounds
from stickers.annotation.exchange.tables import read_jobs, read_votes, write_jobs, write_votes
from stickers.annotation.library import Library, chain_of
from stickers.annotation.overview import overview
from stickers.annotation.store import people, seats
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import add_person, new_link, people_in
from stickers.annotation.store.votes import VoteStore, votes_in
from stickers.artifacts.records import Refused
from stickers.candidates.archive import Candidates
from stickers.errors import UserError

T = TypeVar("T")
PORT = 8100
#: who acts at the command line, as the trail has it
HERE = "command line"
console = Console()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where votes lie."""

    runs: Runs = RUNS
    votes: Annotated[
        str | None,
        tyro.conf.arg(help="SQLAlchemy URL of the vote store; by default votes.db in the runs folder"),
    ] = None

    def open(self) -> VoteStore:
        return VoteStore(votes_url(storage.resolve_runs(self.runs), self.votes))

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do one thing in the store."""
        with self.open() as votes:
            return votes.write(work).result()


@dataclass(frozen=True, kw_only=True)
class OfPlan(Place):
    """The same, for one plan."""

    project: ProjectName = None
    plan: Annotated[str | None, tyro.conf.arg(help="the finished plan; by default the one made last")] = None

    def found(self) -> storage.Artifact:
        place = storage.resolve_runs(self.runs)
        if self.plan:
            return storage.find_record(place, "plans", self.plan)
        return current(place, "plans", choose_project(self.project))


@dataclass(frozen=True, kw_only=True)
class Serve(OfPlan):
    """Let the plan's candidates join the queue, open the page on this machine, and print links to sign in with."""

    port: Annotated[int, tyro.conf.arg(help="where to listen, on the loopback interface alone")] = PORT
    hosts: Annotated[
        tuple[str, ...], tyro.conf.arg(help="further names that people reach it by, through a gateway")
    ] = ()
    secure: Annotated[
        bool, tyro.conf.arg(help="cookies go over HTTPS alone; behind a gateway that has it")
    ] = False

    def run(self) -> None:
        found, bound = self.found(), listen(self.port)
        with self.open() as votes:
            new = join_queue(votes, found, HERE)
            console.print(f"plan {found.folder}: {new} new jobs in the queue", highlight=False)
            for name, role in ((_me(), "annotator"), ("expert", "expert"), ("lead", "lead")):
                console.print(
                    f"[bold]{role}[/] {_link(votes, name, role, address_of(bound))}", soft_wrap=True
                )
        url = votes_url(storage.resolve_runs(self.runs), self.votes)
        console.print("open one of these links; each is a key, so hand it to its person alone; Ctrl-C stops")
        run(open_annotation(AnnotationOptions(votes=url, hosts=self.hosts, secure=self.secure)), bound)


def _me() -> str:
    """The name of whoever started the program, unless it is a role's."""
    name = getpass.getuser()
    return f"{name} 1" if name in ("expert", "lead") else name


def _link(votes: VoteStore, name: str, role: str, address: str) -> str:
    """A link that signs somebody in; whoever is not there yet is added."""
    known = {each.name for each in votes.read(people_in)}

    def give(connection: Connection) -> str:
        if name in known:
            return new_link(connection, name, HERE, keep_sessions=True)
        return add_person(connection, name, role, by=HERE)

    return sign_in_link(address, votes.write(give).result())


@dataclass(frozen=True, kw_only=True)
class Person(Place):
    """Add somebody, change what they may do, or print a new link for them."""

    name: Annotated[str, tyro.conf.Positional]
    add: Annotated[
        Literal["annotator", "expert", "lead"] | None, tyro.conf.arg(help="the role of a new person")
    ] = None
    address: Annotated[str, tyro.conf.arg(help="of the page, for the link")] = f"http://127.0.0.1:{PORT}"
    active: Annotated[bool | None, tyro.conf.arg(help="whether they may sign in")] = None
    retire: Annotated[str | None, tyro.conf.arg(help="their votes count no more; say why")] = None
    restore: Annotated[str | None, tyro.conf.arg(help="their votes count again; say why")] = None
    release: Annotated[bool, tyro.conf.arg(help="what they have and have not answered goes to others")] = (
        False
    )
    password: Annotated[bool, tyro.conf.arg(help="ask for a password to sign in with")] = False

    def run(self) -> None:
        secret = getpass.getpass("password: ") if self.password else None
        with self.open() as votes:
            for said in votes.write(lambda connection: self._do(connection, secret)).result():
                console.print(said, highlight=False, soft_wrap=True)

    def _do(self, connection: Connection, secret: str | None) -> list[str]:
        said = []
        if self.add:
            token = add_person(connection, self.name, self.add, password=secret, by=HERE)
            said.append(f"{self.name} ({self.add}): {sign_in_link(self.address, token)}")
        elif secret:
            people.set_password(connection, self.name, secret, HERE)
            said.append(f"{self.name} has a new password")
        if self.active is not None:
            people.set_active(connection, self.name, self.active, HERE)
            said.append(f"{self.name} may {'' if self.active else 'not '}sign in")
        for reason, retired in ((self.retire, True), (self.restore, False)):
            if reason is not None:
                count = rounds.retire(connection, self.name, retired=retired, by=HERE, reason=reason)
                said.append(f"{count} votes of {self.name} count {'no more' if retired else 'again'}")
        if self.release:
            said.append(f"{seats.release(connection, self.name, HERE)} jobs of {self.name} go to others")
        if not said:
            token = new_link(connection, self.name, HERE)
            said.append(
                f"{self.name}: {sign_in_link(self.address, token)} (the link before leads nowhere now)"
            )
        return said


@dataclass(frozen=True, kw_only=True)
class Status(Place):
    """Show how far it is: rounds, agreement, people."""

    json: Annotated[bool, tyro.conf.arg(help="everything that the lead's page shows, as JSON")] = False

    def run(self) -> None:
        with self.open() as votes:
            candidates = Library.of(votes).candidates
            found = votes.read(lambda connection: overview(connection, candidates))
        if self.json:
            print(json.dumps(found, indent=2))
            return
        title = "rounds (simulated people)" if found["simulated"] else "rounds"
        table = Table(
            "round",
            "who",
            "jobs",
            "finished",
            "answers",
            "of",
            "an hour",
            "hours left",
            "kept",
            "disputed",
            title=title,
        )
        for each in found["rounds"]:
            table.add_row(
                str(each["round"]), f"{each['quorum']} of {each['people']} {each['role']}s", str(each["jobs"]),
                str(each["finished"]), str(each["answers"]), str(each["wanted"]), _shown(each["per_hour"], 0),
                _shown(each["left_hours"], 1), str(each["survived"]), str(each["disputed"]),
            )  # fmt: skip
        console.print(table)
        for each in (some for some in found["agreement"] if some["clips"]):
            figures = ", ".join(
                f"{name} {_shown(each[name], 2)}" for name in ("percent", "alpha", "kappa", "ac1")
            )
            console.print(f"round {each['round']}, {each['clips']} clips: {figures}", highlight=False)
        table = Table(
            "who", "role", "answers", "s a job", "picks", "gold", "with others", "low-motion bias", ""
        )
        for each in found["people"]:
            state = "retired" if each["retired"] else "" if each["active"] else "inactive"
            seconds, picks = _shown(each["median_seconds"], 1), _shown(each["pick_rate"], 2)
            others, bias = _shown(each["with_majority"], 2), _shown(each["low_motion_bias"], 2)
            gold = f"{each['gold']['right']}/{each['gold']['of']}"
            row = (
                each["name"],
                each["role"],
                str(each["answers"]),
                seconds,
                picks,
                gold,
                others,
                bias,
                state,
            )
            table.add_row(*row)
        console.print(table)


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


@dataclass(frozen=True, kw_only=True)
class Change(Place):
    """Change numbers midway; without any, show them. A value is JSON: `gold_rate=0.05 ordering='"model"'`."""

    values: Annotated[tuple[str, ...], tyro.conf.Positional] = ()

    def run(self) -> None:
        values = dict(_value(each) for each in self.values)
        with self.open() as votes:
            candidates = Library.of(votes).candidates

            def both(connection: Connection) -> tuple[object, str]:
                before = rounds.read_settings(connection)
                after = rounds.change_settings(connection, values, HERE)
                moved = (after.ordering, after.audit_share) != (before.ordering, before.audit_share)
                return after, ordering.arrange(connection, candidates, HERE) if moved else ""

            after, said = votes.write(both).result()
        console.print(after, said, highlight=False, soft_wrap=True)


def _value(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{text!r} is no setting; write NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


@dataclass(frozen=True, kw_only=True)
class Order(Place):
    """Put jobs that nobody has begun in order again, by what people kept since."""

    def run(self) -> None:
        with self.open() as votes:
            candidates = Library.of(votes).candidates
            said = votes.write(lambda connection: ordering.arrange(connection, candidates, HERE)).result()
        console.print(said, highlight=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True)
class Gold(OfPlan):
    """Plant jobs whose answer is known, of a table (CSV: candidate_id, share) or of what all people agreed on."""

    table: Annotated[
        str | None, tyro.conf.arg(help="CSV with the columns candidate_id and share (true or false)")
    ] = None
    most: Annotated[
        int, tyro.conf.arg(help="clips at most, half of them worth sharing where there are enough")
    ] = 120

    def run(self) -> None:
        found = self.found()
        candidates = {row.candidate_id: row for row in Candidates(found.uri) if row.clip_digest is not None}
        with self.open() as votes:
            cast, settings = votes_on(votes, found.record["plan_id"])
            known = _from_table(self.table) if self.table else rounds.agreed(cast, settings)
            some = rounds.balanced(known, self.most)
            if not some:
                raise UserError(
                    "nothing is known yet: no clip has been judged alike by everybody in every round"
                )
            made = votes.write(
                lambda connection: rounds.plant_gold(
                    connection, found.record["plan_id"], some, candidates, HERE
                )
            ).result()
        console.print(
            f"{made} gold jobs of {len(some)} clips, {sum(some.values())} of them worth sharing",
            highlight=False,
        )


def _from_table(path: str) -> dict[str, bool]:
    """UserError names what is wrong with the table."""
    table = csv.read_csv(path)
    if not {"candidate_id", "share"} <= set(table.column_names):
        raise UserError(
            f"{path}: the columns candidate_id and share are needed, there are {table.column_names}"
        )
    values = table["share"].to_pylist()
    wrong = [row for row, value in enumerate(values, 1) if not isinstance(value, bool)]
    if wrong:
        raise UserError(
            f"{path}: row {wrong[0]}: share is {values[wrong[0] - 1]!r}; true and false are accepted"
        )
    return dict(zip(table["candidate_id"].to_pylist(), values, strict=True))


@dataclass(frozen=True, kw_only=True)
class Rebuild(OfPlan):
    """Build the jobs that nobody has begun again, with as many clips and by the policy that the settings now have."""

    def run(self) -> None:
        found = self.found()
        rows = Candidates(found.uri)
        count = self.write(lambda connection: rounds.rebuild(connection, rows, found.record["plan_id"], HERE))
        console.print(f"{count} jobs", highlight=False)


@dataclass(frozen=True, kw_only=True)
class Close(OfPlan):
    """Ask for nothing more of a plan; `serve` lets it join again."""

    def run(self) -> None:
        plan_id = self.found().record["plan_id"]
        self.write(lambda connection: rounds.close_plan(connection, plan_id, HERE))
        console.print(f"plan {plan_id} is closed", highlight=False)


@dataclass(frozen=True, kw_only=True)
class Export(OfPlan):
    """Write a plan's jobs or votes to a file: Parquet, CSV or, by the suffix .json, Label Studio's JSON."""

    what: Annotated[Literal["jobs", "votes"], tyro.conf.Positional]
    file: Annotated[str, tyro.conf.Positional]

    def run(self) -> None:
        plan_id = self.found().record["plan_id"]
        with self.open() as votes:
            plans = votes.read(lambda connection: chain_of(connection, plan_id))
            if self.what == "jobs":
                jobs = votes.read(lambda c: [job for each in plans for job in jobs_in(c, each)])
                write_jobs(self.file, jobs)
                count = len(jobs)
            else:
                cast = votes.read(
                    lambda c: [vote for each in plans for vote in votes_in(c, each, retired=True)]
                )
                write_votes(self.file, cast)
                count = len(cast)
        console.print(f"{count} {self.what}: {self.file}", highlight=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True)
class Import(Place):
    """Read jobs or votes from a file that `export`, or Label Studio, has written. What is there already stays."""

    what: Annotated[Literal["jobs", "votes"], tyro.conf.Positional]
    file: Annotated[str, tyro.conf.Positional]

    def run(self) -> None:
        refused: list[Refused]
        with self.open() as votes:
            if self.what == "jobs":
                jobs, refused = read_jobs(self.file)
                new = votes.write(lambda connection: rounds.import_jobs(connection, jobs)).result()
            else:
                cast, refused = read_votes(self.file)
                new, clashes = votes.write(lambda connection: rounds.import_votes(connection, cast)).result()
                refused += [Refused(uri=self.file, source=name, reason=why) for name, why in clashes]
        for row in refused:
            console.print(f"[yellow]refused[/] {row.source}: {row.reason}", highlight=False, soft_wrap=True)
        console.print(f"{new} new {self.what}, {len(refused)} refused", highlight=False)


@dataclass(frozen=True, kw_only=True)
class Keep(OfPlan):
    """Make the kept set of what people chose: frozen votes, a table with its lineage, preference pairs."""

    def run(self) -> None:
        chosen, found = choose_project(self.project), self.found()
        with self.open() as votes:
            cast, settings = votes_on(votes, found.record["plan_id"])
        place = storage.resolve_runs(self.runs)
        kept, fresh = keep(place, found, cast, settings, chosen)
        if not fresh:
            console.print(
                f"nothing to do, the kept set is finished: {kept.uri}", highlight=False, soft_wrap=True
            )
        show(kept.record)


Commands = (
    Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Person, tyro.conf.subcommand("person")]
    | Annotated[Status, tyro.conf.subcommand("status")]
    | Annotated[Change, tyro.conf.subcommand("settings")]
    | Annotated[Order, tyro.conf.subcommand("order")]
    | Annotated[Gold, tyro.conf.subcommand("gold")]
    | Annotated[Rebuild, tyro.conf.subcommand("rebuild")]
    | Annotated[Close, tyro.conf.subcommand("close")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Keep, tyro.conf.subcommand("keep")]
)


def main(command: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Commands]]) -> None:
    """Let people choose the animations worth sharing, and look after them."""
    command.run()


if __name__ == "__main__":
    run_script(main)
