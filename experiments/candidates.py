"""Every teacher animates every sticker of a plan: `python experiments/candidates.py`.

The plan is written first; then one Ray Data execution a teacher makes what is missing, block by block, each block
durable once written. Failed rows get further passes. A finished plan is compacted and indexed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.ensemble import Encoders, Ensemble, run_ensemble
from actors.teacher import Teacher
from experiments.cli.ensembles import encoders_of, find_teachers, obey_choice, origins, planned
from experiments.cli.options import (
    RUNS,
    Runs,
    absolute,
    current,
    encoder_digests,
    foundations_of,
    run_script,
)
from experiments.cli.plans import audit_plan, budgeted, regenerated, show_status, source_of, watching
from experiments.cli.project_choice import ProjectName, check_cluster, choose_project
from experiments.draw import read_stickers
from experiments.prices import collect
from stickers import storage
from stickers.artifacts.records import PlanRow, Refused
from stickers.candidates.archive import Candidates, compact, counts_of, remove_blocks
from stickers.candidates.budget import FLOOR
from stickers.candidates.driver import driving
from stickers.candidates.plan import Plan, PlannedTeacher, as_saved, make_plan, save_plan
from stickers.errors import UserError
from stickers.evaluation.reservation import without_reserved
from stickers.project import Project
from stickers.prompts.sources import first_prompts
from stickers.prompts.sticker_tables import Stickers, import_stickers

console = Console()


def gather_stickers(runs: str, project: Project, pictures: str | None, num_prompts: int | None) -> Stickers:
    """The user's own table; or the stickers that were drawn last for the project; or the project's source.

    Prompts that the project keeps for its evaluation are refused.
    """
    if pictures:
        return first_prompts(without_reserved(import_stickers(pictures), project.evaluation), num_prompts)
    drawn = storage.current(runs, "stickers", project.name)
    if drawn:
        return first_prompts(read_stickers(drawn.uri), num_prompts)
    return without_reserved(project.stickers.stickers(num_prompts), project.evaluation)


def origin_of(runs: str, project: Project, pictures: str | None) -> str:
    """Where a plan's stickers come from, in a few words."""
    if pictures:
        return f"table {absolute(pictures)}"
    drawn = storage.current(runs, "stickers", project.name)
    return f"{project.stickers.origin}, set {drawn.folder}" if drawn else project.stickers.origin


def show(plan_id: str, counts: list[dict[str, Any]], refused: Sequence[Refused]) -> None:
    columns = ("planned", "made", "failed", "flagged")
    table = Table("teacher", "bucket", *columns, "s/candidate", title=f"candidates of plan {plan_id}")
    for row in counts:
        each = f"{row['seconds'] / row['planned']:.2f}"
        table.add_row(row["teacher"], escape(row["bucket"]), *(str(row[name]) for name in columns), each)
    totals = [str(sum(row[name] for row in counts)) for name in columns]
    table.add_row("all", "", *totals, "", style="bold")
    console.print(table)
    for row_refused in refused:
        console.print(
            f"[yellow]refused[/] {escape(row_refused.uri)}: {escape(row_refused.reason)}",
            highlight=False,
            soft_wrap=True,
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A plan that somebody asks for, with who makes it and what its record is to remember."""

    plan: Plan
    found: dict[str, storage.Artifact]
    encoders: Mapping[str, str]
    origin: str
    words: str = "plan"
    refused: Sequence[Refused] = ()
    also: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where plans are asked for: the runs, the project, and the encoders of the teachers that have others."""

    runs: str
    project: Project
    foundations: str
    own: Mapping[str, str]

    def teachers(
        self, names: tuple[str, ...]
    ) -> tuple[dict[str, storage.Artifact], dict[str, str], list[PlannedTeacher]]:
        """Teachers with the folders of their encoders, and as a plan knows them."""
        found = find_teachers(self.runs, self.project, names)
        encoders = encoders_of(found, self.foundations, self.own)
        return found, encoders, [planned(name, each, encoders[name]) for name, each in found.items()]

    def whole(self, names: tuple[str, ...], sources: Stickers, origin: str) -> Asked:
        """Every sticker by every teacher that takes part."""
        found, encoders, ensemble = self.teachers(names)
        ensemble = obey_choice(self.runs, self.project, ensemble, found, names)
        plan = make_plan(sources.prompts, sources.stickers, ensemble, self.project.seed)
        return Asked(plan=plan, found=found, encoders=encoders, refused=sources.refused, origin=origin)

    def again(self, old: storage.Artifact, expression: str, reseed: int | None) -> Asked:
        """Some candidates of a finished plan, by their teachers as they are now."""
        plan = regenerated(old, expression, lambda names: self.teachers(names)[2], reseed)
        found, encoders, _ = self.teachers(tuple(plan.teachers))
        words = f"regeneration of part of plan {plan.supersedes}, plan"
        return Asked(
            plan=plan,
            found=found,
            encoders=encoders,
            origin=old.record.get("stickers_from", ""),
            words=words,
            also={"filter": expression},
        )

    def by_budget(self, old: storage.Artifact, names: tuple[str, ...], seconds: float, floor: float) -> Asked:
        """More candidates of a finished plan's stickers, where people keep them."""
        cells, source = collect(self.runs, self.project.name).cells, source_of(self.runs, old)
        found, encoders, ensemble = self.teachers(names or tuple(source.teachers))
        plan = budgeted(self.runs, source, cells, ensemble, seconds, floor, self.project.seed)
        also = {"budget": seconds, "floor": floor, "continues": old.folder}
        return Asked(
            plan=plan,
            found=found,
            encoders=encoders,
            origin=old.record.get("stickers_from", ""),
            words="plan by budget",
            also=also,
        )


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    teachers: tuple[str, ...] = (),
    pictures: str | None = None,
    num_prompts: int | None = None,
    foundations: str | None = None,
    encoders: dict[str, str] | None = None,
    gpus: float = 1.0,
    plan: str | None = None,
    regenerate: str | None = None,
    reseed: int | None = None,
    budget: float | None = None,
    floor: float = FLOOR,
    status: bool = False,
    audit: bool = False,
    decode: bool = True,
    dry_run: bool = False,
) -> int:
    """Make every candidate of the plan; or look after one that is there.

    Args:
        teachers: names of the teachers to use; by default those that a person has chosen
            (experiments/select_teachers.py), or all of the project when nobody has.
        pictures: another table of prompts and pictures than the project's (CSV, JSONL or Parquet: prompt, picture,
            optionally bucket); by default the project's stickers, or those that experiments/draw.py drew last.
        num_prompts: at most so many prompts of those.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the project's.
        encoders: for teachers that were trained with other encoders, such as one of other latents: name and folder.
        gpus: what a teacher's actor takes of a GPU, where there are any; 0.5 puts two on each.
        plan: for --regenerate, --budget, --status and --audit, the plan; by default the one made last.
        regenerate: make again the candidates that this is true of, such as "teacher == 'motion' and flickering" or
            "status == 'failed' or not motion_score > 1.5"; the others stay as they are.
        reseed: with --regenerate, give every one of them another noise.
        budget: make more candidates of the plan's stickers, for so many seconds, most where people kept most for the
            price (experiments/prices.py shows it).
        floor: the share of --budget that is spread evenly.
        status: show what is planned, made, failed and pending, and stop; also while another process makes it.
        audit: compare a finished plan with what it asks for, look at every clip and stop.
        decode: with --audit, decode every clip as well; --no-decode compares digests alone, much faster.
        dry_run: show the plan and stop.
    """
    chosen, place = choose_project(project), storage.resolve_runs(runs)
    wish = the_wish(
        {
            "--regenerate": regenerate is not None,
            "--budget": budget is not None,
            "--status": status,
            "--audit": audit,
        },
        {
            "--plan": plan is not None,
            "--reseed": reseed is not None,
            "--floor": floor != FLOOR,
            "--no-decode": not decode,
            "--teachers": bool(teachers),
            "--pictures": pictures is not None,
            "--num-prompts": num_prompts is not None,
        },
    )
    if num_prompts is not None and num_prompts < 1:
        raise UserError(f"--num-prompts is at least 1, got {num_prompts}")
    if status:
        show_status(place, plan)
        return 0
    desk = Desk(
        runs=place, project=chosen, foundations=foundations_of(chosen, foundations), own=encoders or {}
    )
    if wish != NEW:
        old = storage.find_record(place, "plans", plan) if plan else current(place, "plans", chosen)
        if audit:
            return audit_plan(old.uri, decode=decode)
        asked = (
            desk.again(old, regenerate, reseed)
            if regenerate is not None
            else desk.by_budget(old, teachers, budget or 0.0, floor)
        )
    else:
        asked = desk.whole(
            teachers,
            gather_stickers(place, chosen, pictures, num_prompts),
            origin_of(place, chosen, pictures),
        )
    announce(asked.words, asked.plan)
    if not dry_run:
        make_current(place, chosen, asked, gpus)
    return 0


def make_current(runs: str, project: Project, asked: Asked, gpus: float) -> None:
    """Make a plan's candidates; it is the project's current plan from then on."""
    check_cluster(project)
    plan = make_candidates(
        runs, asked.plan, asked.found, asked.encoders,
        project=project.name, refused=asked.refused, origin=asked.origin, gpus=gpus, also=asked.also,
    )  # fmt: skip
    storage.set_current(runs, "plans", project.name, plan.folder)


NEW = "a new plan"
MEANT_FOR = {
    "--plan": ("--regenerate", "--budget", "--status", "--audit"),
    "--reseed": ("--regenerate",),
    "--floor": ("--budget",),
    "--no-decode": ("--audit",),
    "--teachers": (NEW, "--budget"),
    "--pictures": (NEW,),
    "--num-prompts": (NEW,),
}


def the_wish(wishes: Mapping[str, bool], given: Mapping[str, bool]) -> str:
    """The one thing that is asked for; UserError when it is several, or when a flag says nothing about it."""
    asked = [name for name, wished in wishes.items() if wished]
    if len(asked) > 1:
        raise UserError(f"{' and '.join(asked)} ask for different things; give one of them")
    wish = asked[0] if asked else NEW
    for flag, there in given.items():
        if there and wish not in MEANT_FOR[flag]:
            raise UserError(f"{flag} means nothing for {wish}; it is for {', '.join(MEANT_FOR[flag])}")
    return wish


def announce(kind: str, plan: Plan) -> None:
    """What a plan asks for, in one line."""
    console.print(
        f"{kind} {plan.plan_id}: {len(plan.prompts)} prompts, {len(plan.stickers)} stickers, "
        f"{len(plan.teachers)} teachers, {len(plan.rows)} candidates"
    )


def _by_id(plan: Plan) -> list[PlanRow]:
    return sorted(plan.rows, key=lambda row: row.candidate_id)


def make_candidates(
    place: str,
    plan: Plan,
    found: dict[str, storage.Artifact],
    encoders: Mapping[str, str],
    *,
    project: str,
    refused: Sequence[Refused] = (),
    origin: str = "",
    kind: str = "plan",
    gpus: float = 1.0,
    actor: type[Teacher] = Teacher,
    also: Mapping[str, Any] | None = None,
) -> storage.Artifact:
    """Every candidate of a plan, unless it is finished already; shows the counts and gives the finished plan.

    Args:
        encoders: the folder of each teacher's.
        origin: where the plan's stickers come from, for its record.
    """
    uri = save_plan(place, plan)
    there = as_saved(
        uri, plan
    )  # as it was first asked for: what is there already is in the order of its rows
    if any(mine.bucket != asked.bucket for mine, asked in zip(_by_id(there), _by_id(plan), strict=True)):
        console.print("[yellow]this plan was asked for before, with other buckets, and keeps those")
    record = storage.join(uri, storage.RECORD)
    if storage.exists(record):
        console.print(f"nothing to do, the {kind} is finished: {uri}")
    else:
        digests = {folder: encoder_digests(folder) for folder in sorted(set(encoders.values()))}
        sources = {name: Encoders(folder, digests[folder]) for name, folder in encoders.items()}
        ensemble = Ensemble(teachers=found, encoders=sources, gpus=gpus, actor=actor)
        with driving(uri):
            with watching(uri, there):
                outs = run_ensemble(uri, there, ensemble, console)
            compact(uri, there, outs)
            checkpoints = {row.teacher: row.checkpoint for row in there.rows}
            facts = {
                "kind": kind,
                "plan_id": plan.plan_id,
                "project": project,
                "stickers_from": origin,
                "teachers": {name: asdict(each) for name, each in origins(checkpoints, found).items()},
                "counts": counts_of(Candidates(uri)),
                "supersedes": plan.supersedes,
                **(also or {}),
            }
            storage.write_record(uri, {**facts, "refused": len(refused), "prompts": len(plan.prompts)})
    remove_blocks(uri)
    finished = storage.Artifact(uri, storage.read_record(uri))
    show(plan.plan_id, finished.record["counts"], refused)
    return finished


if __name__ == "__main__":
    run_script(main)
