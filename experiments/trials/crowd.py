"""Fifty people choose at once: `python experiments/trials/crowd.py {load,kills}`; `make soak` runs the kills.

`load` answers 20,000 jobs, each by three people, over real HTTP. It then compares the store with the answers that the
service acknowledged, and the pace with the durable commits of the store alone in the same run. `kills` does the same
while the service is killed with SIGKILL again and again. The people are simulated: they answer at random and never
rest.
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
from pathlib import Path
from typing import Annotated, Any, Literal

import aiohttp
import tyro
from rich.table import Table
from sqlalchemy import URL, make_url, select

from actors.screen import Bar, console
from experiments.cli.options import run_script
from experiments.trials.commits import LEASE_SECONDS, PEOPLE_PER_JOB, PLAN_ID, bare_rates, prepare
from experiments.trials.ports import free_ports
from serve.annotation.deployment import AnnotationOptions, open_annotation
from serve.annotation.engine import Limits
from serve.standalone import HOST, listen, run
from stickers.annotation.store.database import seats
from stickers.annotation.store.votes import VoteStore
from stickers.errors import UserError

UNHURRIED = Limits(wrong_sign_ins="10000 per minute", requests="10000000 per minute")
#: range of the random seconds before a person tries a service again that did not answer
RETRY_SECONDS = (0.05, 0.3)
#: in the trial with kills: a job that somebody lost is free again soon
SHORT_LEASE_SECONDS = 5.0
#: replies without a job, a second apart, after which a person goes home: by then every lease has run out
EMPTY_REPLIES = 2 * int(SHORT_LEASE_SECONDS)
#: chance that a person picks a clip
PICK_RATE = 0.3
#: of one commit measurement; two surround the trial
BARE_SECONDS = 3.0
#: seconds between two looks at whether the service answers
POLL_SECONDS = 0.05
#: importing the service takes minutes on a loaded machine
START_SECONDS = 300.0
FAULTS_SHOWN = 20
OK = 200


@dataclass
class Crowd:
    """What the people did: the acknowledged answers by person and job, and what went wrong meanwhile."""

    acknowledged: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    twice: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost_contact: int = 0
    goal: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def record(self, name: str, job_id: str, picks: list[str]) -> None:
        """Remember an answer that the service acknowledged."""
        if (name, job_id) in self.acknowledged:
            self.twice += 1
        self.acknowledged[name, job_id] = picks
        if len(self.acknowledged) >= self.goal:
            self.reached.set()

    async def answer_more(self, count: int) -> None:
        """Wait until so many more answers are acknowledged."""
        self.goal = len(self.acknowledged) + count
        self.reached.clear()
        await self.reached.wait()


async def person(
    crowd: Crowd, base: Callable[[], str], name: str, token: str, is_open: Callable[[], bool], bar: Bar
) -> None:
    """Sign in, take jobs and answer them while `is_open`, or until no more jobs come."""
    rng, csrf, job = random.Random(name), "", None
    # aiohttp drops the cookies of a bare IP address unless told otherwise; here it is the loopback's
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:

        async def post(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            while True:
                try:
                    headers = {"X-CSRF-Token": csrf}
                    async with session.post(base() + path, json=body, headers=headers) as answer:
                        return answer.status, await answer.json()
                except (aiohttp.ClientError, ValueError, OSError):
                    crowd.lost_contact += 1
                    await asyncio.sleep(rng.uniform(*RETRY_SECONDS))

        status, reply = await post("/api/sign-in", {"token": token})
        assert status == OK, reply
        csrf, empty_replies = reply["csrf"], 0
        while is_open():
            if job is None:
                _, reply = await post("/api/next", {})
                job, empty_replies = reply["job"], empty_replies + 1
                if job is None:
                    if empty_replies > EMPTY_REPLIES:
                        return
                    await asyncio.sleep(1.0)
                    continue
            empty_replies = 0
            picks = [clip["id"] for clip in job["clips"] if rng.random() < PICK_RATE]
            body = {"picks": picks, "revision": 0, "seconds": 1.0}
            status, reply = await post(f"/api/jobs/{job['job_id']}/answer", body)
            if status == OK:
                crowd.record(name, job["job_id"], picks)
                bar.advance()
                job = reply["job"]
            else:
                crowd.refused[f"{status}"] += 1
                job = None


def faults_of(url: str, crowd: Crowd, num_jobs: int, *, finished: bool) -> list[str]:
    """What is wrong in the store, compared with the acknowledged answers: a sentence a fault."""
    with VoteStore(url) as store:
        votes = [vote for vote in store.all() if vote.plan_id == PLAN_ID]
        held = store.read(
            lambda c: c.execute(
                select(seats.c.job_id).where(~seats.c.answered, seats.c.holder.is_not(None))
            ).all()
        )
    stored = {(vote.annotator, vote.job_id): vote for vote in votes}
    faults = [
        f"{name} was told that the answer to {job_id} is saved, but it is not"
        for (name, job_id), picks in crowd.acknowledged.items()
        if (name, job_id) not in stored or sorted(stored[name, job_id].picks) != sorted(picks)
    ]
    if len(stored) < len(votes):
        faults.append(f"{len(votes) - len(stored)} votes are stored twice")
    counts = Counter(vote.job_id for vote in votes)
    faults += [
        f"job {job_id} has {count} answers" for job_id, count in counts.items() if count > PEOPLE_PER_JOB
    ]
    if finished:
        short = num_jobs * PEOPLE_PER_JOB - sum(counts.values())
        if short:
            faults.append(f"{short} answers are missing though nobody is at work; {len(held)} seats are held")
    return faults


@contextmanager
def running_service(url: str, port: int, log: Path) -> Iterator["ServiceProcess"]:
    """The service over the store at `url`, for as long as the block lasts."""
    service = ServiceProcess(url, port, log)
    service.start()
    try:
        yield service
    finally:
        service.process.kill()
        service.process.wait()


class ServiceProcess:
    """The service in a process that can be killed."""

    def __init__(self, url: str, port: int, log: Path) -> None:
        self.url, self.port, self.log = url, port, log

    def start(self) -> None:
        """Start the process; its output goes to the log."""
        command = [sys.executable, __file__, "serve", "--url", self.url, "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        """Kill the process with SIGKILL and start another."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.start()


async def _all(
    crowd: Crowd, port: int, tokens: dict[str, str], is_open: Callable[[], bool], bar: Bar
) -> None:
    def base() -> str:
        return f"http://{HOST}:{port}"

    await asyncio.gather(*(person(crowd, base, name, token, is_open, bar) for name, token in tokens.items()))


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    """URLs of two empty databases, one for the trial and one for bare commits."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/votes.db", f"sqlite:///{folder}/bare.db"
        return
    address = os.environ.get("STICKERS_POSTGRES")
    if not address:
        raise UserError(
            "STICKERS_POSTGRES is not set; give it the URL of a PostgreSQL that may create databases"
        )
    import psycopg

    server = make_url(address).set(drivername="postgresql")
    crowd, bare = (f"{name}_{time.time_ns()}" for name in ("crowd", "bare"))
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
        for name in (crowd, bare):
            connection.execute(f"CREATE DATABASE {name}")
    yield _url(server, crowd), _url(server, bare)


def _url(server: URL, database: str) -> str:
    return server.set(database=database).render_as_string(hide_password=False)


def load(
    kind: str, num_jobs: int, num_people: int, folder: Path, bare_seconds: float = BARE_SECONDS
) -> list[str]:
    """Answer all jobs with nothing killed; prints the pace and returns what is wrong.

    Args:
        bare_seconds: for each kind of bare commit, before and after.
    """
    with databases(kind, folder) as (url, bare):
        tokens = prepare(url, num_jobs, num_people, LEASE_SECONDS)
        rates = [bare_rates(bare, bare_seconds)]
        crowd, port = Crowd(), free_ports(1)[0]
        total = num_jobs * PEOPLE_PER_JOB
        with running_service(url, port, folder / "log"), Bar(kind, total, "answers") as bar:
            wait_until_it_answers(port)
            start = time.monotonic()
            asyncio.run(_all(crowd, port, tokens, lambda: len(crowd.acknowledged) < total, bar))
            seconds = time.monotonic() - start
        rates.append(bare_rates(bare, bare_seconds))
        faults = faults_of(url, crowd, num_jobs, finished=True)
    rate = len(crowd.acknowledged) / seconds
    table = Table(title=f"{kind}: {num_people} people at once, {num_jobs} jobs, {len(faults)} faults")
    table.add_column("")
    table.add_column("a second", justify="right")
    table.add_column("answers are", justify="right")
    table.add_row("answers over HTTP, each with the next job", f"{rate:.0f}", "")
    for name in rates[0]:
        bare_rate = sum(rate_by_name[name] for rate_by_name in rates) / len(rates)
        table.add_row(name, f"{bare_rate:.0f}", f"{rate / bare_rate:.2f} of it")
    console.print(table)
    return faults


def kills(kind: str, num_kills: int, num_people: int, num_jobs: int, seed: int, folder: Path) -> list[str]:
    """Kill the service `num_kills` times while people choose, let them finish, and return what is wrong."""
    rng = random.Random(seed)
    # By answers and not by time, and within half of all: however fast the machine is, all kills come before the end
    most_between = max(1, num_jobs * PEOPLE_PER_JOB // (2 * num_kills))
    with databases(kind, folder) as (url, _):
        tokens = prepare(url, num_jobs, num_people, SHORT_LEASE_SECONDS)
        crowd, port, total = Crowd(), free_ports(1)[0], num_jobs * PEOPLE_PER_JOB
        with (
            running_service(url, port, folder / "log") as service,
            Bar(kind, total, "answers") as bar,
        ):

            async def choose_and_kill() -> int:
                work = asyncio.create_task(
                    _all(crowd, port, tokens, lambda: len(crowd.acknowledged) < total, bar)
                )
                done = 0
                while done < num_kills and not work.done():
                    more = asyncio.create_task(crowd.answer_more(rng.randint(1, most_between)))
                    await asyncio.wait({more, work}, return_when=asyncio.FIRST_COMPLETED)
                    if work.done():
                        more.cancel()
                        break
                    service.kill()
                    done += 1
                    bar.update(bar.done, f"{done} kills")
                await work
                return done

            killed = asyncio.run(choose_and_kill())
        faults = faults_of(url, crowd, num_jobs, finished=True)
    if killed < num_kills:
        faults.append(f"only {killed} of {num_kills} kills: everything was answered before")
    console.print(
        f"{kind}: {killed} kills, {len(crowd.acknowledged)} answers acknowledged, {crowd.lost_contact} tries without "
        f"an answer, refused {dict(crowd.refused)}, {len(faults)} faults", highlight=False, soft_wrap=True,
    )  # fmt: skip
    return faults


def wait_until_it_answers(port: int) -> None:
    """Wait for the service at `port`. UserError: it does not answer in time."""
    import httpx

    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            httpx.get(f"http://{HOST}:{port}/healthz").raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(POLL_SECONDS)
    raise UserError("the service does not answer")


def main(
    trial: Annotated[Literal["load", "kills", "serve"], tyro.conf.Positional],
    store: Literal["sqlite", "postgresql"] = "sqlite",
    jobs: int = 20_000,
    people: int = 50,
    num_kills: int = 100,
    seed: int = 0,
    url: str = "",
    port: int = 0,
) -> int:
    """Let many people choose at once, and report what was lost.

    Args:
        trial: load, kills, or serve, which is the service that the others start.
        store: sqlite, or postgresql at the URL in STICKERS_POSTGRES.
        jobs: how many, each of six clips and for three people.
        people: how many choose at once.
        num_kills: how often the service is killed.
        seed: decides when it is killed.
        url: of the store, for serve.
        port: for serve.
    """
    if trial == "serve":
        run(open_annotation(AnnotationOptions(votes=url, limits=UNHURRIED)), listen(port))
        return 0
    gc.collect()
    gc.freeze()  # as the service does, so that garbage collection costs both sides of the comparison the same
    with tempfile.TemporaryDirectory(prefix="crowd-") as folder:
        scratch = Path(folder)
        faults = (
            load(store, jobs, people, scratch)
            if trial == "load"
            else kills(store, num_kills, people, jobs, seed, scratch)
        )
    for fault in faults[:FAULTS_SHOWN]:
        console.print(fault, highlight=False, soft_wrap=True)
    return int(bool(faults))


if __name__ == "__main__":
    run_script(main)
