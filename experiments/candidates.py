"""Every teacher animates every sticker of a plan: `python experiments/candidates.py`.

The plan is written first; then one Ray Data execution a teacher makes what is missing, block by block, each block
durable once written. Failed rows get further passes. A finished plan is one sorted Parquet file.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import ray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from actors.cluster import connect
from actors.teacher import CPUS_PER_EXECUTION, TeacherWork, animate_rows, side_by_side
from experiments.options import (
    RUNS,
    Runs,
    choose_profile,
    current_training,
    encoder_digests,
    foundations_of,
    run_script,
)
from recipes.profiles import Profile
from stickers import store
from stickers.artifacts import PLAN, Candidate, PlanRow, Refused, content_id, table_of
from stickers.diffusion.sampling import SamplerSettings
from stickers.hitl.candidates import compact, counts_of, durable_rows
from stickers.hitl.choice import Origin, current_choice
from stickers.hitl.generation import FAILED
from stickers.hitl.plan import Plan, PlannedTeacher, make_plan, save_plan
from stickers.hitl.prompts import Stickers, import_stickers, toy_prompts, toy_stickers

console = Console()
BATCH_SIZE = 8
MAX_ATTEMPTS = 3


def find_teachers(runs: str, profile: Profile, names: tuple[str, ...]) -> dict[str, store.Found]:
    """The profile's teachers, or those of the given names: each name's newest that draws at the profile's size."""
    every = [
        f for f in store.find_records(runs, "teachers") if f.record["picture_size"] == profile.picture_size
    ]
    if names:
        wanted, found = names, {f.record["name"]: f for f in every if f.record["name"] in names}
    else:
        wanted = tuple(recipe.name for recipe in profile.teachers)
        ours = {name: current_training(runs, "teachers", profile, name) for name in wanted}
        found = {name: each for name, each in ours.items() if each}
    missing = [name for name in wanted if name not in found]
    if (names and missing) or not found:
        there = ", ".join(sorted({each.record["name"] for each in every})) or "none"
        raise ValueError(
            f"profile {profile.name!r} has no finished teacher {missing[0]} of {profile.picture_size} pixels in "
            f"{store.join(runs, 'teachers')}; finished are: {there} (experiments/teachers.py trains them)"
        )
    for name in missing:
        console.print(f"[yellow]teacher {name} is not finished and takes no part")
    return found


def planned(name: str, found: store.Found, foundations: str) -> PlannedTeacher:
    """A teacher's name, the digest of every weight it animates with, and its sampler settings."""
    encoders = encoder_digests(foundations)
    checkpoint = content_id("checkpoint", found.record["weights"], *encoders, found.record["prediction"])[:12]
    return PlannedTeacher(name, checkpoint, asdict(SamplerSettings(**found.record["settings"])))


def origins(checkpoints: Mapping[str, str], found: Mapping[str, store.Found]) -> dict[str, Origin]:
    """Each teacher of `checkpoints` (name to digest) as it is now."""
    return {
        name: Origin(record=found[name].folder, checkpoint=digest) for name, digest in checkpoints.items()
    }


def obey_choice(
    runs: str,
    profile: Profile,
    ensemble: list[PlannedTeacher],
    found: Mapping[str, store.Found],
    names: tuple[str, ...],
) -> list[PlannedTeacher]:
    """The teachers that a person has chosen for the profile; all when none are, or when `names` came with the command.

    Raises:
        ValueError: a chosen teacher is not finished, or is no longer what was chosen.
    """
    choice = current_choice(runs, profile.name)
    if choice is None:
        return ensemble
    if names:
        console.print(f"[yellow]set aside, because --teachers names them:[/] {escape(choice.sentence)}")
        return ensemble
    choice.check(origins({each.name: each.checkpoint for each in ensemble}, found))
    mark = " [yellow]on simulated evidence[/]" if choice.simulated else ""
    console.print(
        f"{len(choice.teachers)} of {len(ensemble)} teachers{mark}: {escape(choice.sentence)}",
        highlight=False,
        soft_wrap=True,
    )
    return [each for each in ensemble if each.name in choice.teachers]


def gather_stickers(profile: Profile, pictures: str | None, num_prompts: int | None) -> Stickers:
    """The toy world's prompts and pictures, or the user's own table."""
    if pictures:
        return import_stickers(pictures, profile.picture_size)
    prompts = toy_prompts(num_prompts or profile.num_prompts, profile.seed)
    return Stickers(prompts, toy_stickers(prompts, profile.picture_size), [])


def run_teacher(
    uri: str, plan: Plan, name: str, record: str, foundations: str, *, beside: int = 1
) -> list[Candidate]:
    """All candidates of one teacher, with bounded retries of failed rows; what exists is not made again."""
    final: dict[str, Candidate] = {}
    todo, rows_uri = plan.of(name), store.join(uri, "plan", f"{name}.parquet")
    for attempt in range(MAX_ATTEMPTS):
        out = store.join(uri, "candidates", name, str(attempt))
        for torn in store.discard_torn(out):
            console.print(f"[yellow]half written, made again: {torn}", highlight=False, soft_wrap=True)
        made = durable_rows(out)
        if {row.candidate_id for row in made} != {row.candidate_id for row in todo}:
            if attempt:
                rows_uri = store.join(out, "plan.parquet")
                store.write_table(rows_uri, table_of(todo, PlanRow), PLAN)
            work = TeacherWork(
                name=name,
                record=record,
                foundations=foundations,
                stickers=store.join(uri, "stickers.parquet"),
                plan_id=plan.plan_id,
                attempt=attempt,
                batch_size=BATCH_SIZE,
            )
            animate_rows(rows_uri, len(todo), work, out, beside=beside)
            made = durable_rows(out)
        missing = {row.candidate_id for row in todo} ^ {row.candidate_id for row in made}
        assert not missing, (
            f"{name}: {len(missing)} candidates are missing or unasked after pass {attempt + 1}"
        )
        final |= {row.candidate_id: row for row in made}
        failed = {row.candidate_id for row in made if row.status == FAILED}
        todo = [row for row in todo if row.candidate_id in failed]
        if not todo:
            break
    return list(final.values())


def show(plan_id: str, counts: list[dict], refused: Sequence[Refused]) -> None:
    table = Table(
        "teacher", "bucket", "planned", "made", "failed", "s/candidate", title=f"candidates of plan {plan_id}"
    )
    for row in counts:
        each = f"{row['seconds'] / row['planned']:.2f}"
        table.add_row(
            row["teacher"], row["bucket"], *(str(row[k]) for k in ("planned", "made", "failed")), each
        )
    totals = [str(sum(row[key] for row in counts)) for key in ("planned", "made", "failed")]
    table.add_row("all", "", *totals, "", style="bold")
    console.print(table)
    for row_refused in refused:
        console.print(
            f"[yellow]refused[/] {row_refused.uri}: {row_refused.reason}", highlight=False, soft_wrap=True
        )


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    teachers: tuple[str, ...] = (),
    pictures: str | None = None,
    num_prompts: int | None = None,
    foundations: str | None = None,
    dry_run: bool = False,
) -> None:
    """Make every candidate of the plan.

    Args:
        profile: tiny, full or smoke.
        teachers: names of the teachers to use; by default those that a person has chosen
            (experiments/select_teachers.py), or all of the profile when nobody has.
        pictures: your own table of prompts and pictures (CSV or Parquet: prompt, picture, optionally bucket).
        num_prompts: how many toy prompts; by default the profile's.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
        dry_run: show the plan and stop.
    """
    chosen, place = choose_profile(profile), store.resolve_runs(runs)
    base = foundations_of(chosen, foundations)
    found = find_teachers(place, chosen, teachers)
    sources = gather_stickers(chosen, pictures, num_prompts)
    ensemble = obey_choice(
        place, chosen, [planned(name, each, base) for name, each in found.items()], found, teachers
    )
    plan = make_plan(sources.prompts, sources.stickers, ensemble, chosen.seed)
    announce("plan", plan)
    if dry_run:
        return
    made = make_candidates(place, plan, found, base, profile=profile, refused=sources.refused)
    store.set_current(place, "plans", profile, made.folder)


def announce(kind: str, plan: Plan) -> None:
    """What a plan asks for, in one line."""
    console.print(
        f"{kind} {plan.plan_id}: {len(plan.prompts)} prompts, {len(plan.stickers)} stickers, "
        f"{len(plan.teachers)} teachers, {len(plan.rows)} candidates"
    )


def make_candidates(
    place: str,
    plan: Plan,
    found: dict[str, store.Found],
    foundations: str,
    *,
    profile: str,
    refused: Sequence[Refused] = (),
    kind: str = "plan",
) -> store.Found:
    """Every candidate of a plan, unless it is finished already; shows the counts and gives the finished plan."""
    uri = save_plan(place, plan)
    place_of_record = store.join(uri, store.RECORD)
    if store.exists(place_of_record):
        console.print(f"nothing to do, the {kind} is finished: {uri}")
    else:
        rows = run_ensemble(uri, plan, {name: found[name] for name in plan.teachers}, foundations)
        compact(uri, plan, rows)
        checkpoints = {row.teacher: row.checkpoint for row in plan.rows}
        record = {
            "kind": kind,
            "plan_id": plan.plan_id,
            "profile": profile,
            "teachers": {name: asdict(each) for name, each in origins(checkpoints, found).items()},
            "counts": counts_of(rows),
        }
        store.write_record(uri, {**record, "refused": len(refused), "prompts": len(plan.prompts)})
    finished = store.Found(uri, store.read_json(place_of_record))
    show(plan.plan_id, finished.record["counts"], refused)
    return finished


def run_ensemble(uri: str, plan: Plan, found: dict[str, store.Found], foundations: str) -> list[Candidate]:
    """Teachers side by side where there is room; one that fails leaves the others alone, and the plan unfinished."""
    rows: list[Candidate] = []
    broken: defaultdict[str, list[str]] = defaultdict(list)
    room = CPUS_PER_EXECUTION * min(len(found), os.cpu_count() or 1)
    with connect(num_cpus=max(room, os.cpu_count() or 1)):
        beside = side_by_side(len(found))
        with ThreadPoolExecutor(beside) as pool:
            work = {
                name: pool.submit(run_teacher, uri, plan, name, each.uri, foundations, beside=beside)
                for name, each in found.items()
            }
            for name, running in work.items():
                try:
                    rows += running.result()
                    console.print(f"teacher {name}: {len(plan.of(name))} candidates", highlight=False)
                except ray.exceptions.RayError as error:
                    reason = str(error).strip().splitlines()[-1]
                    broken[reason].append(name)
                    console.print(f"[red]teacher {name} failed: {escape(reason)}", highlight=False)
    if broken:
        what = "; ".join(f"{reason} ({', '.join(names)})" for reason, names in broken.items())
        raise ValueError(
            f"plan {plan.plan_id} is not finished; run the command again after mending this: {what}"
        )
    return rows


if __name__ == "__main__":
    run_script(main)
