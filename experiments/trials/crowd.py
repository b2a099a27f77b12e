"""Fifty people choose at once: `python experiments/trials/crowd.py {load,kills}`; `make soak` runs the kills.

`load`: 20,000 jobs, three people each, over real HTTP, until all is answered; what is in the store is then compared
with what was acknowledged, and the pace with durable commits of such votes without HTTP in the same run. `kills`: the
same with the service killed -9 again and again. The people are simulated: they answer at random and never rest.
"""

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import aiohttp
import tyro
from rich.console import Console
from rich.table import Table
from sqlalchemy import insert, make_url, select
from tqdm import tqdm

from experiments.cli.options import run_script
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.engine import Limits
from serve.standalone import HOST, listen, run
from stickers.annotation.jobs import CLIPS_PER_JOB, Job
from stickers.annotation.rounds import change_settings, import_jobs, read_settings
from stickers.annotation.store.database import seats, votes
from stickers.annotation.store.people import Person, add_person
from stickers.annotation.store.seats import Answer, Lease, Submission, submit, take
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import Vote
from stickers.errors import UserError

UNHURRIED = Limits(wrong_sign_ins="10000 per minute", requests="10000000 per minute")
PEOPLE_A_JOB = 3
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
#: seconds between two kills, at random
LEAST, MOST = 0.05, 0.35
#: of the trial with kills: what a person walks away from is free again soon
LEASE_SECONDS = 5.0
console = Console()


def jobs_of(count: int) -> list[Job]:
    """So many jobs of six clips that nobody will look at."""
    return [_job(number) for number in range(count)]


def _job(number: int) -> Job:
    names = tuple(content_id("candidate", number, place) for place in range(CLIPS_PER_JOB))
    return Job(
        job_id=content_id("job", number),
        plan_id="crowd",
        round=1,
        candidates=names,
        digests=tuple(content_id("clip", name) for name in names),
        prompts=(f"prompt {number}",) * CLIPS_PER_JOB,
        frames=(8,) * CLIPS_PER_JOB,
        fps=(8,) * CLIPS_PER_JOB,
    )


def prepare(url: str, num_jobs: int, num_people: int, lease_seconds: float) -> dict[str, str]:
    """A store with jobs and people; the tokens of their links by name."""
    one_round = [{"role": "annotator", "people": PEOPLE_A_JOB, "quorum": 2}]
    values = {"rounds": one_round, "lease_seconds": lease_seconds}
    with VoteStore(url) as there:
        there.write(lambda connection: change_settings(connection, values, "crowd")).result()
        there.write(lambda connection: import_jobs(connection, jobs_of(num_jobs))).result()
        names = [f"simulated-{number:02d}" for number in range(num_people)]
        return there.write(
            lambda connection: {
                name: add_person(connection, name, "annotator", simulated=True) for name in names
            }
        ).result()


def bare_rates(url: str, seconds: float) -> dict[str, float]:
    """Durable commits a second, each over before the next begins: of what an answer writes, of a vote, of a row."""
    prepare(url, 5_000, 0, lease_seconds=900)
    with VoteStore(url) as there:
        now = there.read(read_settings)
        held: list[Lease] = []

        def submission() -> None:
            """What the service does with an answer: the vote, its seat, and a seat of the next job."""
            me = Person(name=f"bare {len(held) % 50}", role="annotator", simulated=True)
            mine = held[-50] if len(held) >= 50 else there.write(lambda c: take(c, me, now)).result()
            assert mine is not None

            wish = Submission(
                person=me, settings=now, job_id=mine.job.job_id, answer=Answer(picks=mine.job.candidates[:2])
            )
            _, following = there.write_along(submit, wish).result()
            assert following is not None
            held.append(following)

        def vote() -> Vote:
            job = _job(-1)
            return Vote(
                job_id=job.job_id, annotator=f"bare {time.monotonic_ns()}", round=1, plan_id="bare",
                shown=list(job.candidates), shown_digests=list(job.digests), picks=[], started_at=NOON,
                submitted_at=NOON, simulated=True,
            )  # fmt: skip

        def row() -> None:
            with there.engine.begin() as connection:
                connection.execute(insert(votes), vars(vote()))

        commits: dict[str, Callable[[], Any]] = {
            "the store alone, an answer a commit": submission,
            "the store alone, a vote a commit": lambda: there.add([vote()]),
            "a plain insertion a commit": row,
        }
        rates = {}
        for name, commit in commits.items():
            begun, count = time.monotonic(), 0
            while time.monotonic() < begun + seconds:
                commit()
                count += 1
            rates[name] = count / (time.monotonic() - begun)
        return rates


@dataclass
class Crowd:
    """What the people did: every answer that was acknowledged, by person and job, and what went wrong meanwhile."""

    acknowledged: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    twice: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost_contact: int = 0

    def note(self, name: str, job_id: str, picks: list[str]) -> None:
        if (name, job_id) in self.acknowledged:
            self.twice += 1
        self.acknowledged[name, job_id] = picks


async def person(
    crowd: Crowd, base: Callable[[], str], name: str, token: str, wanted: Callable[[], bool], bar: tqdm
) -> None:
    """Sign in, take jobs and answer them until there are none or nobody is wanted any more."""
    dice, csrf, job = random.Random(name), "", None
    # addresses of this machine's loopback only; cookies of an address without a name have to be allowed
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:

        async def post(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            while True:
                try:
                    headers = {"X-CSRF-Token": csrf}
                    async with session.post(base() + path, json=body, headers=headers) as answer:
                        return answer.status, await answer.json()
                except (aiohttp.ClientError, ValueError, OSError):
                    crowd.lost_contact += 1
                    await asyncio.sleep(dice.uniform(0.05, 0.3))

        status, found = await post("/api/sign-in", {"token": token})
        assert status == 200, found
        csrf, nothing = found["csrf"], 0
        while wanted():
            if job is None:
                _, found = await post("/api/next", {})
                job, nothing = found["job"], nothing + 1
                if job is None:
                    if nothing > 2 * LEASE_SECONDS:
                        return
                    await asyncio.sleep(1.0)
                    continue
            nothing = 0
            picks = [clip["id"] for clip in job["clips"] if dice.random() < 0.3]
            body = {"picks": picks, "revision": 0, "seconds": 1.0}
            status, found = await post(f"/api/jobs/{job['job_id']}/answer", body)
            if status == 200:
                crowd.note(name, job["job_id"], picks)
                bar.update()
                job = found["job"]
            else:
                crowd.refused[f"{status}"] += 1
                job = None


def faults_of(url: str, crowd: Crowd, num_jobs: int, *, finished: bool) -> list[str]:
    """What is wrong in the store, by what was acknowledged."""
    with VoteStore(url) as there:
        cast = [vote for vote in there.all() if vote.plan_id == "crowd"]
        held = there.read(
            lambda c: c.execute(
                select(seats.c.job_id).where(~seats.c.answered, seats.c.holder.is_not(None))
            ).all()
        )
    found = {(vote.annotator, vote.job_id): vote for vote in cast}
    faults = [
        f"{name} was told that the answer to {job_id} is saved, and it is not"
        for (name, job_id), picks in crowd.acknowledged.items()
        if (name, job_id) not in found or sorted(found[name, job_id].picks) != sorted(picks)
    ]
    if len(found) < len(cast):
        faults.append(f"{len(cast) - len(found)} votes are there twice")
    counts = Counter(vote.job_id for vote in cast)
    faults += [
        f"job {job_id} has {count} answers" for job_id, count in counts.items() if count > PEOPLE_A_JOB
    ]
    if finished:
        short = num_jobs * PEOPLE_A_JOB - sum(counts.values())
        if short:
            faults.append(
                f"{short} answers are missing though nobody waits for anything; {len(held)} seats are held"
            )
    return faults


@contextmanager
def service(url: str, port: int, log: Path) -> Iterator["Service"]:
    made = Service(url, port, log)
    made.start()
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


class Service:
    """The service as a process of its own, to be killed."""

    def __init__(self, url: str, port: int, log: Path) -> None:
        self.url, self.port, self.log = url, port, log

    def start(self) -> None:
        command = [sys.executable, __file__, "serve", "--url", self.url, "--port", str(self.port)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.start()


async def _all(
    crowd: Crowd, port: int, tokens: dict[str, str], wanted: Callable[[], bool], bar: tqdm
) -> None:
    def base() -> str:
        return f"http://{HOST}:{port}"

    await asyncio.gather(*(person(crowd, base, name, token, wanted, bar) for name, token in tokens.items()))


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    """An empty database and another for bare commits, as URLs."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/votes.db", f"sqlite:///{folder}/bare.db"
        return
    address = os.environ.get("STICKERS_POSTGRES")
    if not address:
        raise UserError(
            "STICKERS_POSTGRES is not set; give it the URL of a PostgreSQL whose databases may be made"
        )
    import psycopg

    plain, made = (
        make_url(address).set(drivername="postgresql"),
        [f"{name}_{time.time_ns()}" for name in ("crowd", "bare")],
    )
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as connection:
        for name in made:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    yield tuple(plain.set(database=name).render_as_string(hide_password=False) for name in made)  # type: ignore[misc]


def load(kind: str, num_jobs: int, num_people: int, folder: Path, bare_seconds: float = 3.0) -> list[str]:
    """All jobs, all people, nothing killed; prints the pace and returns what is wrong.

    Args:
        bare_seconds: for each of the paces that it is compared with, before and after.
    """
    with databases(kind, folder) as (url, bare):
        tokens = prepare(url, num_jobs, num_people, lease_seconds=900)
        rates = [bare_rates(bare, bare_seconds)]
        crowd, port = Crowd(), free_port()
        total = num_jobs * PEOPLE_A_JOB
        with service(url, port, folder / "log"), tqdm(total=total, desc=kind, mininterval=5) as bar:
            wait_until_it_answers(port)
            begun = time.monotonic()
            asyncio.run(_all(crowd, port, tokens, lambda: len(crowd.acknowledged) < total, bar))
            took = time.monotonic() - begun
        rates.append(bare_rates(bare, bare_seconds))
        faults = faults_of(url, crowd, num_jobs, finished=True)
    rate = len(crowd.acknowledged) / took
    table = Table(title=f"{kind}: {num_people} people at once, {num_jobs} jobs, {len(faults)} faults")
    table.add_column("")
    table.add_column("a second", justify="right")
    table.add_column("answers are", justify="right")
    table.add_row("answers over HTTP, each with the next job", f"{rate:.0f}", "")
    for name in rates[0]:
        bare_rate = sum(each[name] for each in rates) / len(rates)
        table.add_row(name, f"{bare_rate:.0f}", f"{rate / bare_rate:.2f} of it")
    console.print(table)
    return faults


def kills(kind: str, num_kills: int, num_people: int, num_jobs: int, seed: int, folder: Path) -> list[str]:
    """Kill the service so often while people choose, let them finish, and say what is wrong."""
    dice = random.Random(seed)
    with databases(kind, folder) as (url, _):
        tokens = prepare(url, num_jobs, num_people, LEASE_SECONDS)
        crowd, port, total = Crowd(), free_port(), num_jobs * PEOPLE_A_JOB
        with (
            service(url, port, folder / "log") as running,
            tqdm(total=total, desc=kind, mininterval=5) as bar,
        ):

            async def both() -> int:
                work = asyncio.create_task(
                    _all(crowd, port, tokens, lambda: len(crowd.acknowledged) < total, bar)
                )
                done = 0
                while done < num_kills and not work.done():
                    before = len(crowd.acknowledged)
                    while len(crowd.acknowledged) == before and not work.done():
                        await asyncio.sleep(0.05)  # not before the service has answered again
                    await asyncio.sleep(dice.uniform(LEAST, MOST))
                    running.kill()
                    done += 1
                    bar.set_postfix(kills=done)
                await work
                return done

            killed = asyncio.run(both())
        faults = faults_of(url, crowd, num_jobs, finished=True)
    if killed < num_kills:
        faults.append(f"only {killed} of {num_kills} kills: all was answered before")
    console.print(
        f"{kind}: {killed} kills, {len(crowd.acknowledged)} answers acknowledged, {crowd.lost_contact} tries without "
        f"an answer, refused {dict(crowd.refused)}, {len(faults)} faults", highlight=False, soft_wrap=True,
    )  # fmt: skip
    return faults


def free_port() -> int:
    bound = listen(0)
    port = int(bound.getsockname()[1])
    bound.close()
    return port


def wait_until_it_answers(port: int) -> None:
    import httpx

    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            httpx.get(f"http://{HOST}:{port}/healthz").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise UserError("the service does not answer")


def main(
    what: Annotated[Literal["load", "kills", "serve"], tyro.conf.Positional],
    store: Literal["sqlite", "postgresql"] = "sqlite",
    jobs: int = 20_000,
    people: int = 50,
    num_kills: int = 100,
    seed: int = 0,
    url: str = "",
    port: int = 0,
) -> int:
    """Choose at once, and say what was lost.

    Args:
        what: load, kills, or serve, which is the service that the others start.
        store: sqlite, or postgresql at the URL in STICKERS_POSTGRES.
        jobs: of six clips, for three people each.
        people: at once.
        num_kills: of the service.
        seed: of when it is killed.
        url: for serve, of the store.
        port: for serve.
    """
    if what == "serve":
        run(open_annotation(AnnotationOptions(votes=url, limits=UNHURRIED)), listen(port))
        return 0
    gc.collect()
    gc.freeze()  # as the service does, so that neither side of a comparison looks through what is imported
    with tempfile.TemporaryDirectory(prefix="crowd-") as folder:
        place = Path(folder)
        faults = (
            load(store, jobs, people, place)
            if what == "load"
            else kills(store, num_kills, people, jobs, seed, place)
        )
    for fault in faults[:20]:
        console.print(fault, highlight=False, soft_wrap=True)
    return int(bool(faults))


if __name__ == "__main__":
    run_script(main)
