"""A project's simulated people choose: `python experiments/simulate.py`. Real people use `experiments/annotate.py`.

They judge the plan that was finished last, round after round. They sign in, take jobs and answer them over HTTP as
people do. Their votes are in a store of their own, so real people who come later still choose everything. At the end
the kept set is written, as `experiments/annotate.py keep` writes it for people.
"""

import json
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

import httpx
from sqlalchemy import Connection

from actors.screen import console, track
from experiments.cli.keeping import join_queue, keep, show, votes_on, votes_url
from experiments.cli.options import RUNS, Runs, current, run_script
from experiments.cli.project_choice import ProjectName, choose_project
from experiments.cli.stages import Stages
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.engine import Limits
from serve.standalone import running
from stickers import storage
from stickers.annotation.rounds import change_settings, read_settings, retire
from stickers.annotation.simulated import SimulatedPeople, Strips
from stickers.annotation.store.people import add_person, check_name, new_link, people_in
from stickers.annotation.store.votes import VoteStore, retired_people, votes_in
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import MADE, STICKERS, Candidate, Kept
from stickers.candidates.archive import Candidates
from stickers.errors import UserError
from stickers.project import People

#: who does what simulated people need done, in the trail of the vote store
SIMULATION = "simulated-panel"
#: the stages of this command
STAGES = ("simulated people look at every clip", "they answer their jobs", "make the kept set")
#: processes that look at clips
MOST_LOOKERS = 4
#: how long an answer of the service may take
ANSWER_SECONDS = 120
#: simulated people need no sleep
UNHURRIED = Limits(wrong_sign_ins="1000 per minute", requests="1000000 per minute")


def look_at(
    runs: str,
    people: SimulatedPeople,
    plan: storage.Artifact,
    archive: Candidates,
    candidates: list[Candidate],
) -> dict[str, float]:
    """What the people see in every made clip, by its digest. It is stored, because looking takes long."""
    rule = content_id("look", sorted(people.roles()))[:6]
    kept_looks = storage.join(runs, "panel", f"{plan.folder}-{rule}.json")
    if storage.exists(kept_looks):
        return storage.read_json(kept_looks)
    table = storage.read_table(storage.join(plan.uri, "stickers.parquet"), STICKERS)
    index = dict(zip(table["sticker_id"].to_pylist(), table["image_index"].to_pylist(), strict=True))
    strips: dict[tuple[str, int], list[tuple[str, bytes, int]]] = {}
    for row in candidates:
        strip = archive.clip(row.candidate_id)
        if strip is not None and row.clip_digest is not None:
            strips.setdefault((row.prompt, index[row.sticker_id]), []).append(
                (row.clip_digest, strip, row.num_frames)
            )
    work = [(people, *sticker, clips) for sticker, clips in strips.items()]
    values: dict[str, float] = {}
    with ProcessPoolExecutor(min(MOST_LOOKERS, os.cpu_count() or 1)) as pool:
        looks = track(pool.map(_look, work), "simulated people look", len(work), "stickers")
        for seen_values in looks:
            values |= seen_values
    storage.write_json(kept_looks, values)
    return values


def _look(work: tuple[SimulatedPeople, str, int, Strips]) -> dict[str, float]:
    people, prompt, image_index, strips = work
    return people.look(prompt, image_index, strips)


def seat_people(connection: Connection, people: SimulatedPeople, plan_id: str) -> dict[str, str]:
    """Let these people sign in, and retire other simulated people's votes on the plan.

    Returns:
        The tokens of their sign-in links by name.

    Raises:
        UserError: real people have voted on the plan.
    """
    known_names = {person.name for person in people_in(connection)}
    retired, roles = retired_people(connection), people.roles()
    voters = {vote.annotator: vote.simulated for vote in votes_in(connection, plan_id)}
    real = sorted(name for name, simulated in voters.items() if not simulated)
    if real:
        raise UserError(
            f"{real[0]} has voted on plan {plan_id}; simulated people do not mix with real ones: give --votes another "
            "database"
        )
    for name in sorted(set(voters) - set(roles)):
        retire(connection, name, retired=True, by=SIMULATION, reason="other simulated people judge")
    tokens = {}
    for name, role in roles.items():
        check_name(name)
        if name in known_names:
            tokens[name] = new_link(connection, name, SIMULATION)
        else:
            tokens[name] = add_person(connection, name, role, simulated=True, by=SIMULATION)
        if name in retired:
            retire(
                connection, name, retired=False, by=SIMULATION, reason="these simulated people judge again"
            )
    return tokens


def work_through(
    address: str, token: str, name: str, round_number: int, people: SimulatedPeople, values: dict[str, float]
) -> int:
    """Sign in as one simulated person and answer every open job; returns how many that were."""
    with httpx.Client(base_url=address, timeout=ANSWER_SECONDS) as client:
        csrf = _json(client.post("/api/sign-in", json={"token": token}))["csrf"]
        client.headers["X-CSRF-Token"] = csrf
        count, job = 0, _json(client.post("/api/next", json={}))["job"]
        while job:
            # a strip's address ends in its digest, by which the clip was looked at
            digests = {clip["id"]: PurePosixPath(clip["url"]).stem for clip in job["clips"]}
            picks = [
                clip
                for clip, digest in digests.items()
                if people.shares(name, digest, values[digest], round_number=round_number)
            ]
            answer = {"picks": picks, "revision": job["revision"], "seconds": 0}
            job = _json(client.post(f"/api/jobs/{job['job_id']}/answer", json=answer))["job"]
            count += 1
    return count


def _json(answer: httpx.Response) -> dict[str, Any]:
    """The service's answer. UserError: it is a refusal."""
    if answer.is_error:
        raise UserError(f"the annotation service answered {answer.status_code}: {answer.text[:300]}")
    body: dict[str, Any] = answer.json()
    return body


def all_rounds(url: str, tokens: dict[str, str], values: dict[str, float], people: SimulatedPeople) -> None:
    """Round after round, its people side by side, against a service that runs for as long as that takes."""
    roles = people.roles()
    with running(open_annotation(AnnotationOptions(votes=url, limits=UNHURRIED))) as address:
        for number, rules in enumerate(people.settings.rounds, 1):
            names = [name for name, role in roles.items() if role == rules.role]
            with ThreadPoolExecutor(len(names)) as pool:
                answers = [
                    pool.submit(work_through, address, tokens[name], name, number, people, values)
                    for name in names
                ]
                for name, answered in zip(names, answers, strict=True):
                    console.print(f"{name}: {answered.result()} new answers", highlight=False)


def main(
    runs: Runs = RUNS,
    project: ProjectName = None,
    plan: str | None = None,
    votes: str | None = None,
    dry_run: bool = False,
) -> None:
    """Let the project's simulated people keep clips of a plan.

    Args:
        plan: the finished plan; by default the last one.
        votes: SQLAlchemy URL of the vote store; by default votes-simulated.db in the runs folder, apart from the
            votes of real people.
        dry_run: print which plan would be judged and stop.
    """
    chosen, runs_uri = choose_project(project), storage.resolve_runs(runs)
    people = chosen.people
    if isinstance(people, People):
        raise UserError(
            f"in project {chosen.name!r} real people choose: run experiments/annotate.py serve; a project that names "
            "simulated people, such as RandomPeople(), can be simulated"
        )
    url = votes_url(runs_uri, votes, simulated=True)
    judged = storage.find_record(runs_uri, "plans", plan) if plan else current(runs_uri, "plans", chosen)
    console.print(f"[bold]simulated[/] people judge plan {judged.folder}: {people.description()['rule']}")
    if dry_run:
        return
    plan_id, archive = judged.record["plan_id"], Candidates(judged.uri)
    stages = Stages(*STAGES)
    stages.begin(STAGES[0])
    values = look_at(runs_uri, people, judged, archive, [row for row in archive if row.status == MADE])
    with VoteStore(url) as store:
        if store.read(read_settings) != people.settings:
            changes = json.loads(json.dumps(asdict(people.settings)))
            store.write(lambda connection: change_settings(connection, changes, SIMULATION)).result()
        tokens = store.write(lambda connection: seat_people(connection, people, plan_id)).result()
        join_queue(store, judged, SIMULATION)
        stages.begin(STAGES[1])
        all_rounds(url, tokens, values, people)
        cast, settings = votes_on(store, plan_id)

    def further(candidates: list[Candidate], kept: list[Kept]) -> dict[str, Any]:
        return {"panel": people.description(), **people.summary(candidates, kept, values)}

    stages.begin(STAGES[2])
    kept, fresh = keep(runs_uri, judged, cast, settings, chosen, further)
    if not fresh:
        console.print(f"nothing to do, the kept set is finished: {kept.uri}")
    show(kept.record)


if __name__ == "__main__":
    run_script(main)
