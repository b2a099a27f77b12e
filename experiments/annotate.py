"""The simulated panel chooses: `python experiments/annotate.py`.

Two rounds over the plan that was finished last, through the vote store that real people use: three annotators a job,
two of three keep a clip, then an expert on what survived. The votes are frozen, and the kept set is written as a table
with its lineage and as latents to train on. A real person's page comes in place of the panel, with the same votes.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from experiments.options import (
    RUNS,
    Runs,
    choose_profile,
    current,
    encoder_digests,
    foundations_of,
    run_script,
)
from recipes.profiles import Profile
from stickers import store
from stickers.artifacts import KEPT, MADE, STICKERS, Candidate, Kept, Vote, content_id, table_of
from stickers.data.latents import encode_clips
from stickers.data.toy.words import meaning
from stickers.hitl.candidates import Candidates
from stickers.hitl.jobs import Job, build_jobs
from stickers.hitl.panel import Panel, Person, answer, decode_and_measure
from stickers.hitl.selection import QUORUM, keep_rates, kept_rows, survivors
from stickers.hitl.votes import VoteStore, freeze, votes_digest
from stickers.models.folders import load_autoencoder, load_text_encoder
from stickers.video.codec import decode_strip

console = Console()


def look_at(runs: str, plan: store.Found, found: Candidates, candidates: list[Candidate]) -> dict[str, float]:
    """What the panel's eyes see: the relative error of every made clip, by digest. Kept, because looking takes long."""
    seen = store.join(runs, "panel", f"{plan.folder}.json")
    if store.exists(seen):
        return store.read_json(seen)
    table = store.read_table(store.join(plan.uri, "stickers.parquet"), STICKERS)
    index = dict(zip(table["sticker_id"].to_pylist(), table["image_index"].to_pylist(), strict=True))
    strips: dict[tuple[str, int], list[tuple[str, bytes, int]]] = {}
    for row in candidates:
        strip = found.clip(row.candidate_id)
        if strip is not None and row.clip_digest is not None:
            strips.setdefault((row.prompt, index[row.sticker_id]), []).append(
                (row.clip_digest, strip, row.num_frames)
            )
    for prompt, _ in strips:
        meaning(prompt)  # raises for prompts that only real people can judge
    work = [(*sticker, rows) for sticker, rows in strips.items()]
    errors: dict[str, float] = {}
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for measured in tqdm(
            pool.map(decode_and_measure, work), total=len(work), desc="panel looks", unit="sticker"
        ):
            errors |= measured
    store.write_json(seen, errors)
    return errors


def vote(
    votes: VoteStore, jobs: list[Job], people: tuple[Person, ...], errors: dict[str, float], panel: Panel
) -> None:
    """Every person answers every job; an answer that is there already is left alone."""
    for person in people:
        new = votes.add(answer(job, person, errors, panel, turn=turn) for turn, job in enumerate(jobs))
        console.print(f"{panel.signature(person)}: {len(jobs)} jobs, {new} new answers", highlight=False)


def two_rounds(
    votes: VoteStore, plan_id: str, candidates: list[Candidate], errors: dict[str, float], panel: Panel
) -> list[Vote]:
    """Round one by the annotators, round two by the expert on what a quorum kept; returns this panel's votes."""
    vote(votes, build_jobs(candidates, plan_id=plan_id, round=1), panel.annotators, errors, panel)
    mine = [each for each in votes.all(plan_id=plan_id, round=1) if each.annotator in panel.signatures()]
    through = survivors(candidates, mine, round=1, quorum=QUORUM)
    if not through:
        raise ValueError(
            f"the panel kept none of {len(candidates)} clips; better teachers or more prompts are needed"
        )
    vote(votes, build_jobs(through, plan_id=plan_id, round=2), (panel.expert,), errors, panel)
    return [each for each in votes.all(plan_id=plan_id) if each.annotator in panel.signatures()]


def write_latents(
    uri: str, rows: Iterable[Candidate] | Iterable[Kept], count: int, foundations: str, size: int
) -> None:
    """Encode `count` clips as students are trained on them, unless it is done."""
    if store.exists(uri):
        return
    clips = ((decode_strip(r.clip or b"", r.num_frames), float(r.fps), r.prompt) for r in rows)
    bar = tqdm(clips, total=count, desc=f"encode {uri.rpartition('/')[2]}", unit="clip")
    latents = encode_clips(bar, load_autoencoder(foundations), load_text_encoder(foundations), size)
    store.write_bytes(uri, latents.to_bytes())


def quality(
    candidates: list[Candidate], kept: list[Kept], errors: dict[str, float], panel: Panel
) -> dict[str, float]:
    """How well the people chose, by the oracle: of what they kept the right share, and of what was right the kept."""
    right = {
        row.clip_digest
        for row in candidates
        if row.clip_digest and errors[row.clip_digest] <= panel.threshold
    }
    held = {row.clip_digest for row in kept}
    both = len(right & held)
    return {
        "right_share": round(len(right) / len(candidates), 4),
        "precision": round(both / max(1, len(held)), 4),
        "recall": round(both / max(1, len(right)), 4),
    }


def by_motion(candidates: list[Candidate], kept: list[Kept]) -> dict[str, dict[str, int]]:
    """Made and kept clips by what their toy prompts ask for: a motion of which nothing is kept is never learned."""

    def asked(prompt: str) -> str:
        motions = meaning(prompt).motions
        return motions[0] if len(motions) == 1 else "any of several"

    made = Counter(asked(row.prompt) for row in candidates if row.clip_digest)
    held = Counter(asked(row.prompt) for row in kept)
    return {motion: {"made": count, "kept": held[motion]} for motion, count in sorted(made.items())}


def show(record: dict) -> None:
    table = Table(
        "teacher", "bucket", "made", "kept", "rate", title=f"kept set {record['digest']} (simulated people)"
    )
    for row in record["rates"]:
        table.add_row(
            row["teacher"],
            row["bucket"],
            str(row["made"]),
            str(row["kept"]),
            f"{row['kept'] / max(1, row['made']):.0%}",
        )
    made, kept = record["counts"]["candidates"], record["counts"]["kept"]
    table.add_row("all", "", str(made), str(kept), f"{kept / max(1, made):.0%}", style="bold")
    console.print(table)
    console.print(
        "kept by motion: ",
        ", ".join(f"{name} {row['kept']}" for name, row in record.get("motions", {}).items()),
        sep="",
    )
    console.print(
        "{prompts_kept} of {prompts} prompts keep a clip; {jobs} jobs, {votes} votes".format(
            **record["counts"]
        ),
        "; by the oracle {right_share:.0%} were right, precision {precision:.2f}, recall {recall:.2f}".format(
            **record["quality"]
        ),
        sep="",
    )


def keep(
    place: str, plan: store.Found, votes_url: str, profile: Profile, panel: Panel, foundations: str
) -> None:
    """From the plan's candidates to the finished kept set."""
    found = Candidates(plan.uri)
    rows = [row for row in found if row.status == MADE]
    errors = look_at(place, plan, found, rows)
    with VoteStore(votes_url) as votes:
        cast = two_rounds(votes, plan.record["plan_id"], rows, errors, panel)
    through = survivors(survivors(rows, cast, round=1, quorum=QUORUM), cast, round=2, quorum=1)
    kept = kept_rows([*found.whole(through)], cast)
    if not kept:
        raise ValueError(
            f"the expert kept none of {len(rows)} clips; better teachers or more prompts are needed"
        )
    made_of = [
        plan.record["plan_id"],
        votes_digest(cast),
        *encoder_digests(foundations),
        profile.picture_size,
    ]
    digest = content_id("kept", *made_of)[:12]
    uri = store.join(place, "kept", digest)
    if store.exists(store.join(uri, store.RECORD)):
        let_stand(place, plan, profile, digest)
        console.print(f"nothing to do, the kept set is finished: {uri}")
        show(store.read_json(store.join(uri, store.RECORD)))
        return
    snapshot = freeze(cast, place)
    store.write_table(store.join(uri, "kept.parquet"), table_of(kept, Kept), KEPT, rows_per_group=64)
    write_latents(store.join(uri, "latents.safetensors"), kept, len(kept), foundations, profile.picture_size)
    every = store.join(uri, "all.safetensors")
    write_latents(every, found.whole(rows), len(rows), foundations, profile.picture_size)
    record = {
        "kind": "kept",
        "digest": digest,
        "profile": profile.name,
        "plan_id": plan.record["plan_id"],
        "votes": snapshot.rpartition("/")[2],
        "simulated": True,
        "clips": {"kept": len(kept), "all": len(rows)},
        "panel": json.loads(json.dumps(asdict(panel))),
        "counts": {
            "candidates": len(rows),
            "jobs": len({each.job_id for each in cast}),
            "votes": len(cast),
            "survived_round_one": len(survivors(rows, cast, round=1, quorum=QUORUM)),
            "kept": len(kept),
            "prompts": len({row.prompt for row in rows}),
            "prompts_kept": len({row.prompt for row in kept}),
        },
        "rates": keep_rates(rows, kept),
        "motions": by_motion(rows, kept),
        "quality": quality(rows, kept, errors, panel),
    }
    show(store.write_record(uri, record))
    let_stand(place, plan, profile, digest)


def let_stand(place: str, plan: store.Found, profile: Profile, digest: str) -> None:
    """A kept set stands for its profile, unless it comes of the pilot by which teachers are chosen."""
    if plan.record.get("kind") != "pilot":
        store.set_current(place, "kept", profile.name, digest)


def main(
    runs: Runs = RUNS,
    profile: str = "tiny",
    plan: str | None = None,
    votes: str | None = None,
    threshold: float | None = None,
    foundations: str | None = None,
    dry_run: bool = False,
) -> None:
    """Let simulated people keep the good clips of a plan.

    Args:
        profile: tiny, full or smoke.
        plan: the finished plan; by default the one made last.
        votes: SQLAlchemy URL of the vote store; by default votes.db in the runs folder.
        threshold: relative error up to which a clip is worth sharing; by default the profile's.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
        dry_run: say what would be judged and stop.
    """
    chosen, place = choose_profile(profile), store.resolve_runs(runs)
    if votes is None and "://" in place:
        raise ValueError(f"{place} cannot hold SQLite; give --votes the URL of a database")
    panel = Panel(threshold=chosen.panel_threshold if threshold is None else threshold)
    found = store.find_record(place, "plans", plan) if plan else current(place, "plans", profile)
    console.print(
        f"[bold]simulated[/] people judge plan {found.folder}: share up to a relative error of {panel.threshold}"
    )
    if dry_run:
        return
    base = foundations_of(chosen, foundations)
    keep(place, found, votes or f"sqlite:///{place}/votes.db", chosen, panel, base)


if __name__ == "__main__":
    run_script(main)
