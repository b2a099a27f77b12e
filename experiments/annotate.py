"""People choose: `python experiments/annotate.py serve`, and everything a lead does at the command line.

The queue, the people and their votes are in one database, by default votes.db in the runs folder. `serve` adds the
candidates of a finished plan to the queue and opens the page. `keep` turns people's choices into the kept set on which
students are trained. A lead can do the rest on the page as well, except for reading and writing files.
"""

import getpass
import json
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from sqlalchemy import Connection

from actors.screen import console
from experiments.cli.annotating import COMMAND_LINE, PlanOptions, StoreOptions, create_link, print_status
from experiments.cli.keeping import join_queue, keep, show, votes_on
from experiments.cli.options import run_script
from experiments.cli.project_choice import choose_project
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.lead import sign_in_link
from serve.standalone import address_of, listen, run
from stickers import storage
from stickers.annotation import ordering, rounds
from stickers.annotation.exchange.incoming import import_jobs, import_votes
from stickers.annotation.exchange.vote_tables import read_jobs, read_votes, write_jobs, write_votes
from stickers.annotation.gold import agreed, balanced, plant_gold
from stickers.annotation.library import Library, chain_of
from stickers.annotation.overview import overview
from stickers.annotation.settings import Settings
from stickers.annotation.store import people, seats
from stickers.annotation.store.filing import jobs_in
from stickers.annotation.store.people import add_person, new_link
from stickers.annotation.store.votes import votes_in
from stickers.artifacts.records import Refused
from stickers.candidates.archive import Candidates
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import Withdrawn, without_people
from stickers.storage.outside import open_table

PORT = 8100
#: twenty jobs of six clips: enough to measure a person, few enough to be met once
GOLD_CLIPS = 120


@dataclass(frozen=True, kw_only=True)
class Serve(PlanOptions):
    """Add the plan's candidates to the queue, open the page on this machine, and print links to sign in with."""

    port: Annotated[int, tyro.conf.arg(help="port on the loopback interface")] = PORT
    hosts: Annotated[
        tuple[str, ...], tyro.conf.arg(help="more host names under which people reach it through a gateway")
    ] = ()
    secure: Annotated[
        bool, tyro.conf.arg(help="send cookies over HTTPS only, behind a gateway that speaks it")
    ] = False

    def run(self) -> None:
        """Serve until interrupted."""
        project = choose_project(self.project)
        plan, bound = self.find_plan(project), listen(self.port)
        with self.open() as store:
            settings = project.people.settings
            if store.write(
                lambda connection: rounds.begin_settings(connection, settings, COMMAND_LINE)
            ).result():
                console.print(f"rounds and jobs are as project {project.name} has them", highlight=False)
            num_jobs = join_queue(store, plan, COMMAND_LINE)
            console.print(f"plan {plan.folder}: {num_jobs} new jobs in the queue", highlight=False)
            for name, role in ((_login_name(), "annotator"), ("expert", "expert"), ("lead", "lead")):
                link = create_link(store, name, role, address_of(bound))
                console.print(f"[bold]{role}[/] {link}", soft_wrap=True)
        console.print("open one of these links; each is a key, so give it to one person only; Ctrl-C stops")
        run(open_annotation(AnnotationOptions(votes=self.url(), hosts=self.hosts, secure=self.secure)), bound)


def _login_name() -> str:
    """The name of the user who started the program, made different from the names of the other two links."""
    name = getpass.getuser()
    return f"{name} 1" if name in ("expert", "lead") else name


@dataclass(frozen=True, kw_only=True)
class EditPerson(StoreOptions):
    """Add a person, change what they may do, or print a new link for them."""

    name: Annotated[str, tyro.conf.Positional]
    add: Annotated[
        Literal["annotator", "expert", "lead"] | None, tyro.conf.arg(help="the role of a new person")
    ] = None
    address: Annotated[str, tyro.conf.arg(help="address of the page, for the link")] = (
        f"http://127.0.0.1:{PORT}"
    )
    active: Annotated[bool | None, tyro.conf.arg(help="whether they may sign in")] = None
    retire: Annotated[str | None, tyro.conf.arg(help="stop counting their votes; the reason")] = None
    restore: Annotated[str | None, tyro.conf.arg(help="count their votes again; the reason")] = None
    release: Annotated[bool, tyro.conf.arg(help="give the jobs they hold to others")] = False
    password: Annotated[bool, tyro.conf.arg(help="ask for a password to sign in with")] = False

    def run(self) -> None:
        """Make the changes and print a line about each."""
        secret = getpass.getpass("password: ") if self.password else None
        for line in self.write(lambda connection: self._apply(connection, secret)):
            console.print(line, highlight=False, soft_wrap=True)

    def _apply(self, connection: Connection, secret: str | None) -> list[str]:
        lines = []
        if self.add:
            token = add_person(connection, self.name, self.add, password=secret, by=COMMAND_LINE)
            lines.append(f"{self.name} ({self.add}): {sign_in_link(self.address, token)}")
        elif secret:
            people.set_password(connection, self.name, secret, COMMAND_LINE)
            lines.append(f"{self.name} has a new password")
        if self.active is not None:
            people.set_active(connection, self.name, self.active, COMMAND_LINE)
            lines.append(f"{self.name} may {'' if self.active else 'not '}sign in")
        for reason, retired in ((self.retire, True), (self.restore, False)):
            if reason is not None:
                count = rounds.retire(connection, self.name, retired=retired, by=COMMAND_LINE, reason=reason)
                lines.append(f"{count} votes of {self.name} count {'no more' if retired else 'again'}")
        if self.release:
            count = seats.release(connection, self.name, COMMAND_LINE)
            lines.append(f"{count} jobs of {self.name} go to others")
        if not lines:
            link = sign_in_link(self.address, new_link(connection, self.name, COMMAND_LINE))
            lines.append(f"{self.name}: {link} (the old link no longer works)")
        return lines


@dataclass(frozen=True, kw_only=True)
class Status(StoreOptions):
    """Show the progress: rounds, agreement, people."""

    json: Annotated[bool, tyro.conf.arg(help="everything the lead's page shows, as JSON")] = False

    def run(self) -> None:
        """Print the tables, or the JSON."""
        with self.open() as store:
            candidates = Library.of(store).candidates
            summary = store.read(lambda connection: overview(connection, candidates))
        if self.json:
            console.out(json.dumps(summary, indent=2), highlight=False)
        else:
            print_status(console, summary)


@dataclass(frozen=True, kw_only=True)
class ChangeSettings(StoreOptions):
    """Change settings at any time; without values, show them. A value is JSON: `gold_rate=0.05 ordering='"model"'`."""

    values: Annotated[tuple[str, ...], tyro.conf.Positional] = ()

    def run(self) -> None:
        """Change the settings, reorder the queue if they ask for it, and print them."""
        values = dict(_parse_setting(text) for text in self.values)
        with self.open() as store:
            candidates = Library.of(store).candidates

            def change_and_arrange(connection: Connection) -> tuple[Settings, str]:
                before = rounds.read_settings(connection)
                after = rounds.change_settings(connection, values, COMMAND_LINE)
                moved = (after.ordering, after.audit_share) != (before.ordering, before.audit_share)
                return after, ordering.arrange(connection, candidates, COMMAND_LINE) if moved else ""

            settings, report = store.write(change_and_arrange).result()
        console.print(settings, report, highlight=False, soft_wrap=True)


def _parse_setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{text!r} is no setting; write NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


@dataclass(frozen=True, kw_only=True)
class ArrangeQueue(StoreOptions):
    """Put the jobs that nobody has begun in a new order, by what people have kept so far."""

    def run(self) -> None:
        """Order the queue and print how."""
        with self.open() as store:
            candidates = Library.of(store).candidates
            report = store.write(
                lambda connection: ordering.arrange(connection, candidates, COMMAND_LINE)
            ).result()
        console.print(report, highlight=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True)
class PlantGold(PlanOptions):
    """Add jobs whose right answer is known: from a table (candidate_id, share) or from unanimous votes."""

    table: Annotated[
        str | None, tyro.conf.arg(help="CSV, JSONL or Parquet table: candidate_id, share (true or false)")
    ] = None
    most: Annotated[
        int, tyro.conf.arg(help="clips at most, half of them worth sharing where there are enough")
    ] = GOLD_CLIPS

    def run(self) -> None:
        """Plant the jobs and print how many."""
        plan = self.find_plan()
        candidates = {row.candidate_id: row for row in Candidates(plan.uri) if row.clip_digest is not None}
        plan_id = plan.record["plan_id"]
        with self.open() as store:
            votes, settings = votes_on(store, plan_id)
            right = _read_gold(self.table) if self.table else agreed(votes, settings)
            answers = balanced(right, self.most)
            if not answers:
                raise UserError(
                    "no right answer is known yet: no clip was judged the same way by everybody in every round"
                )
            num_jobs = store.write(
                lambda connection: plant_gold(connection, plan_id, answers, candidates, COMMAND_LINE)
            ).result()
        console.print(
            f"{num_jobs} gold jobs of {len(answers)} clips, {sum(answers.values())} of them worth sharing",
            highlight=False,
        )


def _read_gold(path: str) -> dict[str, bool]:
    """Whether a candidate is worth sharing, by its id. UserError says what is wrong with the table."""
    columns = ("candidate_id", "share")
    answers = {}
    for row in open_table(path, needed=columns).rows(columns):
        share = str(row.values["share"]).lower()
        if share not in ("true", "false"):
            raise UserError(f"{path}: row {row.number}: share is {share!r}; true and false are accepted")
        answers[str(row.values["candidate_id"])] = share == "true"
    return answers


@dataclass(frozen=True, kw_only=True)
class Rebuild(PlanOptions):
    """Build the jobs that nobody has begun again, with the number of clips and the policy now in the settings."""

    def run(self) -> None:
        """Rebuild the jobs and print how many there are."""
        plan = self.find_plan()
        rows, plan_id = Candidates(plan.uri), plan.record["plan_id"]
        num_jobs = self.write(lambda connection: rounds.rebuild(connection, rows, plan_id, COMMAND_LINE))
        console.print(f"{num_jobs} jobs", highlight=False)


@dataclass(frozen=True, kw_only=True)
class Close(PlanOptions):
    """Take a plan's open jobs out of the queue; `serve` adds them again."""

    def run(self) -> None:
        """Close the plan."""
        plan_id = self.find_plan().record["plan_id"]
        self.write(lambda connection: rounds.close_plan(connection, plan_id, COMMAND_LINE))
        console.print(f"plan {plan_id} is closed", highlight=False)


@dataclass(frozen=True, kw_only=True)
class Export(PlanOptions):
    """Write a plan's jobs or votes to a file: Parquet, CSV or, with the suffix .json, Label Studio's JSON."""

    kind: Annotated[Literal["jobs", "votes"], tyro.conf.Positional]
    file: Annotated[str, tyro.conf.Positional]

    def run(self) -> None:
        """Write the file and print how many rows it has."""
        plan_id = self.find_plan().record["plan_id"]
        with self.open() as store:
            plan_ids = store.read(lambda connection: chain_of(connection, plan_id))
            if self.kind == "jobs":
                jobs = store.read(lambda c: [job for name in plan_ids for job in jobs_in(c, name)])
                write_jobs(self.file, jobs)
                count = len(jobs)
            else:
                votes = store.read(
                    lambda c: [vote for name in plan_ids for vote in votes_in(c, name, retired=True)]
                )
                write_votes(self.file, votes)
                count = len(votes)
        console.print(f"{count} {self.kind}: {self.file}", highlight=False, soft_wrap=True)


@dataclass(frozen=True, kw_only=True)
class Import(StoreOptions):
    """Read jobs or votes from a file that `export` or Label Studio wrote. Rows that the store has stay as they are."""

    kind: Annotated[Literal["jobs", "votes"], tyro.conf.Positional]
    file: Annotated[str, tyro.conf.Positional]

    def run(self) -> None:
        """Store the rows; print how many are new, and why others were refused."""
        refused: list[Refused]
        with self.open() as store:
            if self.kind == "jobs":
                jobs, refused = read_jobs(self.file)
                count = store.write(lambda connection: import_jobs(connection, jobs)).result()
            else:
                votes, refused = read_votes(self.file)
                withdrawn = Withdrawn.of(storage.resolve_runs(self.runs)).people
                votes, gone = without_people(votes, withdrawn)
                refused += [
                    Refused(uri=self.file, source="votes", reason=f"{gone} are of people who withdrew")
                ] * bool(gone)
                count, conflicts = store.write(lambda connection: import_votes(connection, votes)).result()
                refused += [Refused(uri=self.file, source=name, reason=reason) for name, reason in conflicts]
        for row in refused:
            console.print(f"[yellow]refused[/] {row.source}: {row.reason}", highlight=False, soft_wrap=True)
        console.print(f"{count} new {self.kind}, {len(refused)} refused", highlight=False)


@dataclass(frozen=True, kw_only=True)
class Keep(PlanOptions):
    """Make the kept set from people's choices: frozen votes, a table with lineage, and preference pairs."""

    def run(self) -> None:
        """Make the kept set unless it exists, and print it."""
        project = choose_project(self.project)
        plan = self.find_plan(project)
        with self.open() as store:
            votes, settings = votes_on(store, plan.record["plan_id"])
        kept, fresh = keep(storage.resolve_runs(self.runs), plan, votes, settings, project)
        if not fresh:
            console.print(
                f"nothing to do, the kept set is finished: {kept.uri}", highlight=False, soft_wrap=True
            )
        show(kept.record)


Commands = (
    Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[EditPerson, tyro.conf.subcommand("person")]
    | Annotated[Status, tyro.conf.subcommand("status")]
    | Annotated[ChangeSettings, tyro.conf.subcommand("settings")]
    | Annotated[ArrangeQueue, tyro.conf.subcommand("order")]
    | Annotated[PlantGold, tyro.conf.subcommand("gold")]
    | Annotated[Rebuild, tyro.conf.subcommand("rebuild")]
    | Annotated[Close, tyro.conf.subcommand("close")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Keep, tyro.conf.subcommand("keep")]
)


def main(command: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[Commands]]) -> None:
    """Let people choose the animations worth sharing, and manage their work."""
    command.run()


if __name__ == "__main__":
    run_script(main)
