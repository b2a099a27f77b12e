"""Every teacher animates every sticker of a plan: `python experiments/candidates.py`.

The plan is written first. Then one Ray Data execution for each teacher makes what is missing, block by block; a block
that is written is durable. Failed rows get further passes. A finished plan is compacted and indexed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.markup import escape
from rich.table import Table

from actors.ensemble import Encoders, Ensemble, run_ensemble
from actors.screen import console
from actors.teacher import Teacher
from experiments.cli.ensembles import encoders_of, find_teachers, obey_choice, origins, planned
from experiments.cli.options import RUNS, Runs, current, encoder_digests, run_script
from experiments.cli.plans import audit_plan, budgeted, regenerated, show_status, source_of, watching
from experiments.cli.project_choice import ProjectName, absolute, check_cluster, choose_project
from experiments.cli.stages import Stages
from experiments.draw import read_stickers
from experiments.prices import collect
from stickers import storage
from stickers.artifacts.licences import LICENCES
from stickers.artifacts.records import Refused
from stickers.candidates.archive import Candidates, compact, counts_of, remove_blocks
from stickers.candidates.budget import FLOOR
from stickers.candidates.driver import driving
from stickers.candidates.plan import Plan, PlannedTeacher, as_saved, make_plan, save_plan
from stickers.errors import UserError
from stickers.evaluation.reservation import without_reserved
from stickers.housekeeping.withdrawn import Withdrawn
from stickers.project import Project
from stickers.prompts.sources import first_prompts
from stickers.prompts.sticker_tables import Stickers, import_stickers

#: the stages of this command
STAGES = ("teachers animate the stickers", "pack and index the candidates")
#: how the origin of stickers begins that came with the command line
TABLE = "table "


def gather_stickers(runs: str, project: Project, pictures: str | None, num_prompts: int | None) -> Stickers:
    """The stickers of the table `pictures`; else those drawn last for the project; else the project's own.

    Stickers whose prompts the project reserves for its evaluation are refused, withdrawn ones left out.

    Raises:
        UserError: `num_prompts` is below 1, or the table cannot be read.
    """
    if num_prompts is not None and num_prompts < 1:
        raise UserError(f"--num-prompts is at least 1, got {num_prompts}")
    withdrawn = Withdrawn.of(runs)
    if pictures:
        stickers = withdrawn.without(without_reserved(import_stickers(pictures), project.evaluation))
        return first_prompts(stickers, num_prompts)
    drawn = storage.current(runs, "stickers", project.name)
    if drawn:
        return first_prompts(withdrawn.without(read_stickers(drawn.uri)), num_prompts)
    return withdrawn.without(without_reserved(project.stickers.stickers(num_prompts), project.evaluation))


def origin_of(runs: str, project: Project, pictures: str | None) -> str:
    """Where a plan's stickers come from, in a few words."""
    if pictures:
        return f"{TABLE}{absolute(pictures)}"
    drawn = storage.current(runs, "stickers", project.name)
    return f"{project.stickers.origin}, set {drawn.folder}" if drawn else project.stickers.origin


def show(plan_id: str, counts: list[dict[str, Any]], refused: Sequence[Refused]) -> None:
    """Print what became of a finished plan's candidates, by teacher and bucket, and what was refused before it."""
    columns = ("planned", "made", "failed", "flagged")
    table = Table("teacher", "bucket", *columns, "s/candidate", title=f"candidates of plan {plan_id}")
    for row in counts:
        seconds = f"{row['seconds'] / row['planned']:.2f}"
        table.add_row(row["teacher"], escape(row["bucket"]), *(str(row[name]) for name in columns), seconds)
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
class PlanRequest:
    """A plan to make, with its teachers and what its record keeps.

    `teachers` are finished trainings and `encoders` the folders of their encoders, both by the teacher's name.
    `stickers_from` says in words where the stickers come from, `licence` is theirs. The screen calls the plan `title`,
    its record `kind`. `facts` are further entries of the record.
    """

    plan: Plan
    teachers: Mapping[str, storage.Artifact]
    encoders: Mapping[str, str]
    stickers_from: str = ""
    licence: str = ""
    title: str = "plan"
    kind: str = "plan"
    refused: Sequence[Refused] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Planner:
    """Plans a project's candidates.

    `names` are the teachers named on the command line, if any. `foundations` is the folder of the encoders;
    `own_encoders` has the folders of those teachers that use others.
    """

    runs: str
    project: Project
    names: tuple[str, ...]
    foundations: str
    own_encoders: Mapping[str, str]

    def find(
        self, names: tuple[str, ...]
    ) -> tuple[dict[str, storage.Artifact], dict[str, str], list[PlannedTeacher]]:
        """Finished trainings by teacher, the folder of each one's encoders, and the teachers as a plan holds them."""
        teachers = find_teachers(self.runs, self.project, names)
        encoders = encoders_of(teachers, self.foundations, self.own_encoders)
        ensemble = [planned(name, training, encoders[name]) for name, training in teachers.items()]
        return teachers, encoders, ensemble

    def new_plan(self, pictures: str | None, num_prompts: int | None) -> PlanRequest:
        """Every sticker by every teacher that takes part."""
        stickers = gather_stickers(self.runs, self.project, pictures, num_prompts)
        teachers, encoders, ensemble = self.find(self.names)
        ensemble = obey_choice(self.runs, self.project, ensemble, teachers, self.names)
        return PlanRequest(
            plan=make_plan(stickers.prompts, stickers.stickers, ensemble, self.project.seed),
            teachers=teachers,
            encoders=encoders,
            stickers_from=origin_of(self.runs, self.project, pictures),
            refused=stickers.refused,
        )

    def regeneration(self, plan: str | None, expression: str, reseed: int | None) -> PlanRequest:
        """The candidates of a finished plan that a filter selects, by their teachers as they are now."""
        old = finished_plan(self.runs, self.project, plan)
        again = regenerated(old, expression, lambda names: self.find(names)[2], reseed)
        teachers, encoders, _ = self.find(tuple(again.teachers))
        return PlanRequest(
            plan=again,
            teachers=teachers,
            encoders=encoders,
            stickers_from=old.record.get("stickers_from", ""),
            title=f"regeneration of part of plan {again.supersedes}, plan",
            facts={"filter": expression},
        )

    def by_budget(self, plan: str | None, seconds: float, floor: float) -> PlanRequest:
        """More candidates of a finished plan's stickers, most where people keep most for the price."""
        old = finished_plan(self.runs, self.project, plan)
        cells, source = collect(self.runs, self.project.name).cells, source_of(self.runs, old)
        teachers, encoders, ensemble = self.find(self.names or tuple(source.teachers))
        return PlanRequest(
            plan=budgeted(self.runs, source, cells, ensemble, seconds, floor, self.project.seed),
            teachers=teachers,
            encoders=encoders,
            stickers_from=old.record.get("stickers_from", ""),
            title="plan by budget",
            facts={"budget": seconds, "floor": floor, "continues": old.folder},
        )


def finished_plan(runs: str, project: Project, name: str | None) -> storage.Artifact:
    """The finished plan of that name, by default the project's last. UserError: there is none."""
    return storage.find_record(runs, "plans", name) if name else current(runs, "plans", project)


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
    """Make every candidate of a plan, or look after a plan that exists.

    Args:
        teachers: names of teachers; by default those chosen with experiments/select_teachers.py, or all of the project.
        pictures: your own table (CSV, JSONL or Parquet: prompt, picture, optionally bucket) in place of the project's.
        num_prompts: use at most this many prompts.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the project's.
        encoders: name and folder for each teacher that was trained with other encoders.
        gpus: the share of a GPU that each teacher's actor takes; 0.5 puts two on each.
        plan: the plan for --regenerate, --budget, --status and --audit; by default the last one.
        regenerate: make the candidates again that this filter selects, such as "teacher == 'motion' and flickering"
            or "status == 'failed' or not motion_score > 1.5".
        reseed: with --regenerate, draw them from other noise.
        budget: make more candidates for this many seconds, most where a kept clip is cheapest (experiments/prices.py).
        floor: the share of --budget that is spread evenly.
        status: show how many candidates are planned, made, failed and pending, and stop.
        audit: check a finished plan against its rows, check every clip, and stop.
        decode: with --audit, decode every clip as well; --no-decode compares digests alone, much faster.
        dry_run: show the plan and stop.
    """
    check_options({
        "--regenerate": regenerate, "--budget": budget, "--status": status, "--audit": audit, "--plan": plan,
        "--reseed": reseed, "--floor": None if floor == FLOOR else floor, "--no-decode": not decode,
        "--teachers": teachers, "--pictures": pictures, "--num-prompts": num_prompts,
    })  # fmt: skip
    chosen, runs = choose_project(project, foundations), storage.resolve_runs(runs)
    if status or audit:
        return inspect_plan(runs, chosen, plan, audit=audit, decode=decode)
    planner = Planner(runs, chosen, teachers, chosen.foundation.place, encoders or {})
    if regenerate is not None:
        request = planner.regeneration(plan, regenerate, reseed)
    elif budget is not None:
        request = planner.by_budget(plan, budget, floor)
    else:
        request = planner.new_plan(pictures, num_prompts)
    announce(request.title, request.plan)
    return 0 if dry_run else make_current(runs, chosen, request, gpus)


def inspect_plan(runs: str, project: Project, plan: str | None, *, audit: bool, decode: bool) -> int:
    """Audit a finished plan, or else show how far plans have come; returns the exit code."""
    if audit:
        return audit_plan(finished_plan(runs, project, plan).uri, decode=decode)
    show_status(runs, plan)
    return 0


def make_current(runs: str, project: Project, request: PlanRequest, gpus: float) -> int:
    """Make a plan's candidates; it is the project's current plan from then on. Returns the exit code, 0."""
    check_cluster(project)
    request = replace(request, licence=licence_of(project, request.stickers_from))
    plan = make_candidates(runs, request, project=project.name, gpus=gpus)
    storage.set_current(runs, "plans", project.name, plan.folder)
    return 0


def licence_of(project: Project, origin: str) -> str:
    """The licence of a plan's stickers; of another table than the project's nothing is stated."""
    return "" if origin.startswith(TABLE) else project.sticker_licence


NEW = "a new plan"
#: the options that decide what the command does; without any of them it makes a new plan
MODES = ("--regenerate", "--budget", "--status", "--audit")
MEANT_FOR = {
    "--plan": MODES,
    "--reseed": ("--regenerate",),
    "--floor": ("--budget",),
    "--no-decode": ("--audit",),
    "--teachers": (NEW, "--budget"),
    "--pictures": (NEW,),
    "--num-prompts": (NEW,),
}


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that contradict each other.

    Args:
        options: the value of each; None, False and () stand for an option that is not used.

    Raises:
        UserError: there are several of `MODES`, or an option that means nothing for the one there is.
    """
    used = [
        name for name, value in options.items() if value is not None and value is not False and value != ()
    ]
    modes = [name for name in used if name in MODES]
    if len(modes) > 1:
        raise UserError(f"{' and '.join(modes)} ask for different things; give one of them")
    mode = modes[0] if modes else NEW
    for name in used:
        if name not in MODES and mode not in MEANT_FOR[name]:
            raise UserError(f"{name} means nothing for {mode}; it is for {', '.join(MEANT_FOR[name])}")


def announce(title: str, plan: Plan) -> None:
    """Print in one line how much a plan asks for."""
    console.print(
        f"{title} {plan.plan_id}: {len(plan.prompts)} prompts, {len(plan.stickers)} stickers, "
        f"{len(plan.teachers)} teachers, {len(plan.rows)} candidates"
    )


def of_teachers(teachers: Mapping[str, storage.Artifact]) -> dict[str, str]:
    """The licences behind teachers, by who brought them."""
    stated = (teacher.record.get(LICENCES, {}) for teacher in teachers.values())
    return {name: licence for licences in stated for name, licence in licences.items()}


def make_candidates(
    runs: str, request: PlanRequest, *, project: str, gpus: float = 1.0, actor: type[Teacher] = Teacher
) -> storage.Artifact:
    """Make every candidate of a plan unless it is finished, show the counts and return the finished plan.

    Args:
        project: the project's name, for the record.
        gpus: the share of a GPU that each teacher's actor takes.
        actor: what animates.

    Raises:
        UserError: a teacher failed; the same command goes on.
    """
    plan = request.plan
    uri = save_plan(runs, plan)
    stored = as_saved(uri, plan)  # in the order of its first request, in which its blocks are written
    if _buckets(stored) != _buckets(plan):
        console.print("[yellow]this plan exists with other buckets, and keeps those")
    if storage.exists(storage.join(uri, storage.RECORD)):
        console.print(f"nothing to do, the {request.kind} is finished: {uri}")
    else:
        digests = {folder: encoder_digests(folder) for folder in sorted(set(request.encoders.values()))}
        encoders = {name: Encoders(folder, digests[folder]) for name, folder in request.encoders.items()}
        ensemble = Ensemble(teachers=request.teachers, encoders=encoders, gpus=gpus, actor=actor)
        stages = Stages(*STAGES)
        stages.begin(STAGES[0])
        with driving(uri):
            with watching(uri, stored):
                passes = run_ensemble(uri, stored, ensemble, console)
            stages.begin(STAGES[1])
            compact(uri, stored, passes)
            storage.write_record(uri, plan_record(uri, stored, request, project))
    remove_blocks(uri)
    finished = storage.Artifact(uri, storage.read_record(uri))
    show(plan.plan_id, finished.record["counts"], request.refused)
    return finished


def _buckets(plan: Plan) -> dict[str, str]:
    return {row.candidate_id: row.bucket for row in plan.rows}


def plan_record(uri: str, stored: Plan, request: PlanRequest, project: str) -> dict[str, Any]:
    """What the record of a compacted plan says."""
    checkpoints = {row.teacher: row.checkpoint for row in stored.rows}
    teachers = origins(checkpoints, request.teachers)
    return {
        "kind": request.kind,
        "plan_id": request.plan.plan_id,
        "project": project,
        "stickers_from": request.stickers_from,
        LICENCES: of_teachers(request.teachers) | {"stickers": request.licence},
        "teachers": {name: asdict(origin) for name, origin in teachers.items()},
        "counts": counts_of(Candidates(uri)),
        "supersedes": request.plan.supersedes,
        **request.facts,
        "refused": len(request.refused),
        "prompts": len(request.plan.prompts),
    }


if __name__ == "__main__":
    run_script(main)
