"""Every teacher animates every sticker of a plan: `python experiments/candidates.py`.

The plan is written first; then one Ray Data execution a teacher makes what is missing, block by block, each block
durable once written. Failed rows get further passes. A finished plan is compacted and indexed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import ray
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from actors.cluster import connect
from actors.ensemble import Encoders, Ensemble, run_ensemble
from actors.teacher import Teacher
from experiments.options import (
    RUNS,
    Runs,
    choose_profile,
    current,
    current_training,
    encoder_digests,
    foundations_of,
    run_script,
)
from recipes.profiles import Profile
from stickers import store
from stickers.artifacts import Refused, content_id
from stickers.diffusion.sampling import SamplerSettings
from stickers.hitl.audit import audit_index, audit_part, parts_of
from stickers.hitl.candidates import INDEX, INDEXED, Candidates, compact, counts_of, remove_blocks
from stickers.hitl.choice import Origin, current_choice
from stickers.hitl.plan import PLAN_FILE, Plan, PlannedTeacher, load_plan, make_plan, regeneration, save_plan
from stickers.hitl.prompts import Stickers, import_stickers, toy_prompts, toy_stickers

console = Console()
FAULTS_SHOWN = 40


def find_teachers(runs: str, profile: Profile, names: tuple[str, ...]) -> dict[str, store.Found]:
    """The profile's teachers, or each one's newest of the given names: those may draw at sizes of their own."""
    every = store.find_records(runs, "teachers")
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
            f"profile {profile.name!r} has no finished teacher {missing[0]} in {store.join(runs, 'teachers')}; "
            f"finished are: {there} (experiments/teachers.py trains them)"
        )
    for name in missing:
        console.print(f"[yellow]teacher {name} is not finished and takes no part")
    return found


def planned(name: str, found: store.Found, foundations: str) -> PlannedTeacher:
    """A teacher's name, the digest of every weight it animates with, and its sampler settings."""
    encoders = encoder_digests(foundations)
    checkpoint = content_id("checkpoint", found.record["weights"], *encoders, found.record["prediction"])[:12]
    return PlannedTeacher(name, checkpoint, asdict(SamplerSettings(**found.record["settings"])))


def encoders_of(names: Iterable[str], foundations: str, own: Mapping[str, str]) -> dict[str, str]:
    """The folder of each teacher's encoders: its own, or the foundations of all others.

    Raises:
        ValueError: a folder is given for a teacher that takes no part.
    """
    found = dict.fromkeys(names, foundations)
    unknown = sorted(own.keys() - found.keys())
    if unknown:
        raise ValueError(f"--encoders names {unknown[0]}, which takes no part; teachers: {', '.join(found)}")
    return found | {
        name: folder if "://" in folder else str(Path(folder).resolve()) for name, folder in own.items()
    }


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


def select(uri: str, expression: str) -> list[str]:
    """The ids of a finished plan's candidates that an expression is true of, by Ray Data.

    Raises:
        ValueError: it is no expression over the candidates' columns.
    """
    place = store.join(uri, INDEX)
    columns = [each.name for each in INDEXED]
    try:
        store.read_table(place, INDEXED).slice(0, 1).to_pandas().query(expression)
    except Exception as error:  # pandas raises what its parser and the columns raise
        raise ValueError(
            f"--regenerate {expression!r} is no filter over candidates: {error}; columns: {', '.join(columns)}"
        ) from error
    with connect():
        rows = ray.data.read_parquet(place).map_batches(
            _matching, fn_args=(expression,), batch_format="pandas"
        )
        return sorted(row["candidate_id"] for row in rows.take_all())


def _matching(frame: pd.DataFrame, expression: str) -> pd.DataFrame:
    return frame.query(expression)[["candidate_id"]]


def root_of(uri: str) -> str:
    """The plan that a chain of regenerations began with: it holds all prompts and stickers."""
    before = store.read_json(store.join(uri, PLAN_FILE))["supersedes"]
    return root_of(store.below(uri, f"../{before}")) if before else uri


def make_again(
    runs: str,
    profile: Profile,
    old: store.Found,
    expression: str,
    reseed: int | None,
    foundations: str,
    own: Mapping[str, str],
    gpus: float,
    dry_run: bool,
) -> store.Found | None:
    """Make some candidates of a finished plan again, by their teachers as they are now."""
    ids = set(select(old.uri, expression))
    rows = [row for row in Candidates(old.uri) if row.candidate_id in ids]
    names = tuple(sorted({row.teacher for row in rows}))
    found = find_teachers(runs, profile, names) if names else {}
    encoders = encoders_of(found, foundations, own)
    source = load_plan(root_of(old.uri))
    plan = regeneration(
        old.folder,
        rows,
        source.prompts,
        source.stickers,
        [planned(name, each, encoders[name]) for name, each in found.items()],
        reseed=reseed,
    )
    announce(f"regeneration of part of plan {plan.supersedes}, plan", plan)
    if dry_run:
        return None
    return make_candidates(
        runs, plan, found, encoders, profile=profile.name, gpus=gpus, also={"filter": expression}
    )


def audit_plan(uri: str) -> int:
    """Compare a finished plan with what it asks for and look at every clip; returns 1 when there is a fault."""
    faults = audit_index(uri)
    with connect():
        look = ray.remote(audit_part)
        waiting = [look.remote(uri, part) for part in parts_of(uri)]
        for each in tqdm(waiting, desc="audit", unit="part"):
            faults += ray.get(each)
    table = Table("candidate", "fault", "detail", title=f"faults of plan {uri.rsplit('/', 1)[1]}")
    for fault in faults[:FAULTS_SHOWN]:
        table.add_row(fault.candidate_id, fault.what, escape(fault.detail))
    if faults:
        console.print(table)
    counts = ", ".join(f"{count} {what}" for what, count in sorted(Counter(f.what for f in faults).items()))
    console.print(f"{len(Candidates(uri))} candidates, {counts or 'no fault'}", highlight=False)
    return int(bool(faults))


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    teachers: tuple[str, ...] = (),
    pictures: str | None = None,
    num_prompts: int | None = None,
    foundations: str | None = None,
    encoders: dict[str, str] | None = None,
    gpus: float = 1.0,
    plan: str | None = None,
    regenerate: str | None = None,
    reseed: int | None = None,
    audit: bool = False,
    dry_run: bool = False,
) -> int:
    """Make every candidate of the plan; or look after a finished one.

    Args:
        profile: tiny, full or smoke.
        teachers: names of the teachers to use; by default those that a person has chosen
            (experiments/select_teachers.py), or all of the profile when nobody has.
        pictures: your own table of prompts and pictures (CSV or Parquet: prompt, picture, optionally bucket).
        num_prompts: how many toy prompts; by default the profile's.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
        encoders: for teachers that were trained with other encoders, such as one of other latents: name and folder.
        gpus: what a teacher's actor takes of a GPU, where there are any; 0.5 puts two on each.
        plan: for --regenerate and --audit, the finished plan; by default the one made last.
        regenerate: make again the candidates that this is true of, such as "teacher == 'motion' and bucket == 'action'"
            or "status == 'failed'"; the others stay as they are.
        reseed: with --regenerate, give every one of them another noise.
        audit: compare a finished plan with what it asks for, look at every clip and stop.
        dry_run: show the plan and stop.
    """
    chosen, place = choose_profile(profile), store.resolve_runs(runs)
    base = foundations_of(chosen, foundations)
    if audit or regenerate is not None:
        old = store.find_record(place, "plans", plan) if plan else current(place, "plans", profile)
        if audit:
            return audit_plan(old.uri)
        made = make_again(place, chosen, old, regenerate or "", reseed, base, encoders or {}, gpus, dry_run)
    else:
        found = find_teachers(place, chosen, teachers)
        sources = gather_stickers(chosen, pictures, num_prompts)
        places = encoders_of(found, base, encoders or {})
        ensemble = [planned(name, each, places[name]) for name, each in found.items()]
        ensemble = obey_choice(place, chosen, ensemble, found, teachers)
        asked = make_plan(sources.prompts, sources.stickers, ensemble, chosen.seed)
        announce("plan", asked)
        made = (
            None
            if dry_run
            else make_candidates(
                place, asked, found, places, profile=profile, refused=sources.refused, gpus=gpus
            )
        )
    if made:
        store.set_current(place, "plans", profile, made.folder)
    return 0


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
    encoders: Mapping[str, str],
    *,
    profile: str,
    refused: Sequence[Refused] = (),
    kind: str = "plan",
    gpus: float = 1.0,
    actor: type[Teacher] = Teacher,
    also: Mapping[str, Any] | None = None,
) -> store.Found:
    """Every candidate of a plan, unless it is finished already; shows the counts and gives the finished plan.

    Args:
        encoders: the folder of each teacher's.
    """
    uri = save_plan(place, plan)
    place_of_record = store.join(uri, store.RECORD)
    if store.exists(place_of_record):
        console.print(f"nothing to do, the {kind} is finished: {uri}")
    else:
        digests = {folder: encoder_digests(folder) for folder in sorted(set(encoders.values()))}
        sources = {name: Encoders(folder, digests[folder]) for name, folder in encoders.items()}
        ensemble = Ensemble(teachers=found, encoders=sources, gpus=gpus, actor=actor)
        compact(uri, plan, run_ensemble(uri, plan, ensemble, console))
        checkpoints = {row.teacher: row.checkpoint for row in plan.rows}
        record = {
            "kind": kind,
            "plan_id": plan.plan_id,
            "profile": profile,
            "teachers": {name: asdict(each) for name, each in origins(checkpoints, found).items()},
            "counts": counts_of(Candidates(uri)),
            "supersedes": plan.supersedes,
            **(also or {}),
        }
        store.write_record(uri, {**record, "refused": len(refused), "prompts": len(plan.prompts)})
    remove_blocks(uri)
    finished = store.Found(uri, store.read_json(place_of_record))
    show(plan.plan_id, finished.record["counts"], refused)
    return finished


if __name__ == "__main__":
    run_script(main)
