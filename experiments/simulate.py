"""The simulated panel chooses: `python experiments/simulate.py`.

Two rounds over the plan that was finished last: three annotators a job, two of three keep a clip, then an expert on
what survived. They sign in, take jobs and answer them over HTTP as people do, and their votes lie in a store of their
own, so that all is still to be chosen when people come. Then the kept set is written, as
`experiments/annotate.py keep` writes it for people.
"""

import json
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import PurePosixPath

import httpx
from rich.console import Console
from sqlalchemy import Connection
from tqdm import tqdm

from experiments.cli.keeping import join_queue, keep, show, votes_on, votes_url
from experiments.cli.options import RUNS, Runs, choose_profile, current, foundations_of, run_script
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.engine import Limits
from serve.standalone import running
from stickers import storage
from stickers.annotation.rounds import retire
from stickers.annotation.store.people import add_person, check_name, new_link, people_in
from stickers.annotation.store.votes import VoteStore, retired_people, votes_in
from stickers.artifacts.records import MADE, STICKERS, Candidate, Kept
from stickers.candidates.archive import Candidates
from stickers.errors import UserError
from stickers.toy.panel import Panel, Person, decode_and_measure, shares
from stickers.toy.words import meaning

console = Console()
PANEL = "simulated-panel"
#: the panel needs no sleep
UNHURRIED = Limits(wrong_sign_ins="1000 per minute", requests="1000000 per minute")


def look_at(
    runs: str, plan: storage.Artifact, found: Candidates, candidates: list[Candidate]
) -> dict[str, float]:
    """What the panel's eyes see: the relative error of every made clip, by digest. Kept, because looking takes long."""
    seen = storage.join(runs, "panel", f"{plan.folder}.json")
    if storage.exists(seen):
        return storage.read_json(seen)
    table = storage.read_table(storage.join(plan.uri, "stickers.parquet"), STICKERS)
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
    storage.write_json(seen, errors)
    return errors


def seat_panel(connection: Connection, panel: Panel, plan_id: str) -> dict[str, str]:
    """Let this panel's people sign in, and no other simulated votes on the plan count; their links' tokens by name.

    Raises:
        UserError: real people have voted on the plan.
    """
    there = {each.name: each for each in people_in(connection)}
    gone, mine = retired_people(connection), set(panel.signatures())
    others = {vote.annotator: vote.simulated for vote in votes_in(connection, plan_id)}
    real = sorted(name for name, simulated in others.items() if not simulated)
    if real:
        raise UserError(
            f"{real[0]} has voted on plan {plan_id}; simulated people do not mix with real ones: give --votes another "
            "database"
        )
    for name in sorted(set(others) - mine):
        retire(connection, name, retired=True, by=PANEL, reason="another simulated panel judges")
    tokens = {}
    for person in (*panel.annotators, panel.expert):
        name = check_name(panel.signature(person))
        role = "expert" if person == panel.expert else "annotator"
        if name in there:
            tokens[name] = new_link(connection, name, PANEL)
        else:
            tokens[name] = add_person(connection, name, role, simulated=True, by=PANEL)
        if name in gone:
            retire(connection, name, retired=False, by=PANEL, reason="this simulated panel judges again")
    return tokens


def work_through(address: str, token: str, person: Person, panel: Panel, errors: dict[str, float]) -> int:
    """One simulated person signs in and answers every job there is for them; how many that was."""
    round = 2 if person == panel.expert else 1
    with httpx.Client(base_url=address, timeout=120) as client:
        csrf = _json(client.post("/api/sign-in", json={"token": token}))["csrf"]
        client.headers["X-CSRF-Token"] = csrf
        count, job = 0, _json(client.post("/api/next", json={}))["job"]
        while job:
            # a strip's address ends in its digest, by which the panel has looked at it
            looks = {clip["id"]: PurePosixPath(clip["url"]).stem for clip in job["clips"]}
            picks = [
                name
                for name, digest in looks.items()
                if shares(person, digest, errors[digest], panel, round=round)
            ]
            answer = {"picks": picks, "revision": job["revision"], "seconds": 0}
            job = _json(client.post(f"/api/jobs/{job['job_id']}/answer", json=answer))["job"]
            count += 1
    return count


def _json(answer: httpx.Response) -> dict:
    """What the service says. UserError: it refuses."""
    if answer.is_error:
        raise UserError(f"the annotation service answered {answer.status_code}: {answer.text[:300]}")
    found: dict = answer.json()
    return found


def two_rounds(url: str, tokens: dict[str, str], errors: dict[str, float], panel: Panel) -> None:
    """Annotators side by side, then the expert, against a service that runs for as long as that takes."""
    with running(open_annotation(AnnotationOptions(votes=url, limits=UNHURRIED))) as address:
        for people in (panel.annotators, (panel.expert,)):
            with ThreadPoolExecutor(len(people)) as pool:
                done = [
                    pool.submit(work_through, address, tokens[panel.signature(person)], person, panel, errors)
                    for person in people
                ]
                for person, each in zip(people, done, strict=True):
                    console.print(f"{panel.signature(person)}: {each.result()} new answers", highlight=False)


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
        votes: SQLAlchemy URL of the vote store; by default votes-simulated.db in the runs folder,
            apart from what people choose.
        threshold: relative error up to which a clip is worth sharing; by default the profile's.
        foundations: folder of autoencoder, text encoder and tokenizer; by default the profile's.
        dry_run: say what would be judged and stop.
    """
    chosen, place = choose_profile(profile), storage.resolve_runs(runs)
    url = votes_url(place, votes, simulated=True)
    panel = Panel(threshold=chosen.panel_threshold if threshold is None else threshold)
    found = storage.find_record(place, "plans", plan) if plan else current(place, "plans", profile)
    console.print(
        f"[bold]simulated[/] people judge plan {found.folder}: share up to a relative error of {panel.threshold}"
    )
    if dry_run:
        return
    plan_id, candidates = found.record["plan_id"], Candidates(found.uri)
    errors = look_at(place, found, candidates, [row for row in candidates if row.status == MADE])
    with VoteStore(url) as there:
        tokens = there.write(lambda connection: seat_panel(connection, panel, plan_id)).result()
        join_queue(there, found, PANEL)
        two_rounds(url, tokens, errors, panel)
        cast, settings = votes_on(there, plan_id)
    also = {
        "panel": json.loads(json.dumps(asdict(panel))),
        "motions": by_motion,
        "quality": lambda rows, kept: quality(rows, kept, errors, panel),
    }
    kept, fresh = keep(place, found, cast, settings, chosen, foundations_of(chosen, foundations), also)
    if not fresh:
        console.print(f"nothing to do, the kept set is finished: {kept.uri}")
    show(kept.record)


if __name__ == "__main__":
    run_script(main)
