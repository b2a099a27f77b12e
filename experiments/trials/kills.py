"""A hundred kill -9 while candidates are made: `python experiments/trials/kills.py`, part of `make soak`.

A Ray cluster of a head and two nodes on this machine; a driver makes a plan of 2,000 candidates, and is given again
whenever it ends before the plan is finished. At random instants the driver, a worker, a raylet or a whole node is
killed, and nodes come back. A finished plan is compared with the same plan made undisturbed, and the next one begins.
Ends with status 1 if anything is lost, doubled or different, or if too much was made twice.
"""

import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

import psutil
from rich.table import Table

from actors.screen import Bar, console
from stickers.errors import UserError

os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # before Ray's first import

import ray
from ray.cluster_utils import Cluster

from actors.teacher import CPUS_PER_EXECUTION, Teacher, TeacherWork
from experiments.candidates import PlanRequest, make_candidates
from experiments.cli.ensembles import planned
from experiments.cli.options import run_script
from experiments.cli.plans import audit_plan
from recipes.toy.projects import TINY
from recipes.toy.world import toy_prompts, toy_stickers
from stickers import storage
from stickers.artifacts.records import Candidate, PlanRow
from stickers.candidates.archive import FACTS, Candidates
from stickers.candidates.plan import Plan, make_plan
from stickers.data.latents import weights_digest
from stickers.diffusion.sampling import SamplerSettings

VICTIMS = ("driver", "worker", "raylet", "node")
TEACHERS = ("motion", "consistency")
SIZE = TINY.teacher_sizes[0]
SETTINGS = SamplerSettings(num_steps=2, guided_steps=0, solver="ddim", num_frames=8, fps=8)
NODES = 2
#: candidates that one kill may cost: 2 % of a plan of 2,000
LIMIT = 40
#: seconds from one kill to the next: at random, and half the time not before something new was made
LEAST, MOST = 1.0, 12.0
MEASURED = ("seconds",)


class Counting(Teacher):
    """A teacher that logs every candidate it has made in a file that survives a kill."""

    def __init__(self, work: TeacherWork) -> None:
        super().__init__(work)
        make, self.book = self.maker.make, made_of(work.plan) / uuid4().hex

        def counted(rows: list[PlanRow]) -> list[Candidate]:
            candidates = make(rows)
            with self.book.open("a") as book:
                book.writelines(f"{row.candidate_id}\n" for row in rows)
            return candidates

        self.maker.make = counted  # type: ignore[method-assign]


def made_of(uri: str) -> Path:
    """The folder in which a plan's teachers log their candidates."""
    return Path(uri + "-made")


def lines(uri: str) -> list[str]:
    """The id of every candidate that was made for a plan, as often as it was made."""
    return [line for book in made_of(uri).iterdir() for line in book.read_text().splitlines()]


def make_teachers(runs: str, settings: SamplerSettings = SETTINGS) -> None:
    """Write records of finished trainings whose networks are the shipped foundations, untrained."""
    for name in TEACHERS:
        teacher_uri = storage.join(runs, "teachers", name)
        storage.upload_folder(
            Path(TINY.foundation.place, "video_unets", name), storage.join(teacher_uri, "checkpoint")
        )
        record = {
            "prediction": "v_prediction",
            "settings": asdict(settings),
            "picture_size": SIZE,
        }
        storage.write_record(
            teacher_uri, {"name": name, "weights": weights_digest(Path(teacher_uri, "checkpoint")), **record}
        )


def plan_of(runs: str, rows: int, seed: int) -> Plan:
    """A plan of about `rows` rows: two pictures and two teachers for each prompt, and the seeds that this takes."""
    trainings = {n: storage.find_record(runs, "teachers", n) for n in TEACHERS}
    num_seeds = max(1, rows // 200)
    prompts = toy_prompts(max(1, rows // (4 * num_seeds)), seed)
    stickers = toy_stickers(prompts, SIZE)
    teachers = [planned(name, training, TINY.foundation.place) for name, training in trainings.items()]
    return make_plan(prompts, stickers, teachers, seed, num_seeds=num_seeds)


def drive(runs: str, rows: int, seed: int) -> None:
    """Act as the driver: make the plan, or what is missing of it."""
    plan = plan_of(runs, rows, seed)
    made_of(storage.join(runs, "plans", plan.plan_id)).mkdir(parents=True, exist_ok=True)
    teachers = {name: storage.find_record(runs, "teachers", name) for name in TEACHERS}
    encoders = dict.fromkeys(teachers, TINY.foundation.place)
    request = PlanRequest(plan=plan, teachers=teachers, encoders=encoders)
    make_candidates(runs, request, project="kills", actor=Counting)


@dataclass
class Round:
    """One plan from its first driver to its comparison.

    `self_ended` counts the drivers that ended unfinished without a kill.
    """

    uri: str
    rows: int
    kills: Counter[str]
    self_ended: int = 0
    seconds: float = 0.0

    @property
    def again(self) -> float:
        """Candidates made a second time, for each kill."""
        ids = lines(self.uri)
        return (len(ids) - len(set(ids))) / max(1, self.kills.total())


class Killer:
    """Runs drivers on a cluster of its own and kills parts of it."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.nodes = [self.cluster.add_node(num_cpus=CPUS_PER_EXECUTION) for _ in range(NODES)]

    def start(self, runs: str, rows: int, seed: int, log: Path) -> subprocess.Popen[bytes]:
        """Start a driver on the cluster; its output is appended to `log`."""
        command = [sys.executable, __file__, "--runs", runs, "--rows", str(rows), "--plan-seed", str(seed)]
        environment = {**os.environ, "RAY_ADDRESS": self.cluster.address}
        with log.open("ab") as stream:
            return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)

    def kill(self, victim: str, driver: subprocess.Popen[bytes]) -> bool:
        """Kill a victim; False when there is none."""
        if victim == "driver":
            driver.kill()
            driver.wait()
        elif victim == "worker":
            processes = [process for node in self.nodes for process in workers(node)]
            if not processes:
                return False
            self.dice.choice(processes).kill()
        else:
            node = self.nodes.pop(self.dice.randrange(len(self.nodes)))
            if victim == "raylet":
                raylet(node).kill()
            self.cluster.remove_node(node, allow_graceful=False)
            self.nodes.append(self.cluster.add_node(num_cpus=CPUS_PER_EXECUTION))
        return True

    def close(self) -> None:
        """Shut the cluster down."""
        self.cluster.shutdown()


def raylet(node: "ray._private.node.Node") -> psutil.Process:
    """The raylet process of a node."""
    return psutil.Process(node.all_processes["raylet"][0].process.pid)


def workers(node: "ray._private.node.Node") -> list[psutil.Process]:
    """The processes that a node runs for the driver: teachers, readers, writers."""
    started = raylet(node).children(recursive=True)
    return [
        process
        for process in started
        if process.name().startswith("ray::") and not process.name().endswith(("Agent", "IDLE"))
    ]


def disturbed(
    killer: Killer, runs: str, rows: int, seed: int, max_kills: int, victims: Iterator[str], log: Path
) -> Round:
    """Make one plan with at most `max_kills` kills."""
    plan, started = plan_of(runs, rows, seed), time.monotonic()
    uri = storage.join(runs, "plans", plan.plan_id)
    round_ = Round(uri, len(plan.rows), Counter())
    made_of(uri).mkdir(parents=True)
    driver = killer.start(runs, rows, seed, log)
    with Bar("made", len(plan.rows), "candidates") as bar:
        while True:
            wait = time.monotonic() + killer.dice.uniform(LEAST, MOST)
            num_awaited = len(set(lines(uri))) + killer.dice.randint(0, 1)
            while driver.poll() is None and (time.monotonic() < wait or len(set(lines(uri))) < num_awaited):
                time.sleep(0.2)
            bar.update(len(set(lines(uri))))
            if driver.poll() == 0:
                break
            if driver.poll() is not None:
                round_.self_ended += 1
            elif round_.kills.total() < max_kills:
                victim = next(victims)
                round_.kills[victim] += killer.kill(victim, driver)
                bar.update(bar.done, f"{round_.kills.total()} kills")
            if driver.poll() is not None:
                driver = killer.start(runs, rows, seed, log)
    round_.seconds = time.monotonic() - started
    return round_


def undisturbed(runs: str, rows: int, seed: int, log: Path) -> str:
    """Make the same plan without kills, on a cluster of its own; returns its URI."""
    command = [sys.executable, __file__, "--runs", runs, "--rows", str(rows), "--plan-seed", str(seed)]
    with log.open("ab") as stream:
        subprocess.run(command, check=True, stdout=stream, stderr=subprocess.STDOUT)
    return storage.join(runs, "plans", plan_of(runs, rows, seed).plan_id)


def differences(one: str, other: str) -> list[str]:
    """How two finished plans differ, in facts that are not measured and in the bytes of clips."""
    facts = [name for name in FACTS if name not in MEASURED]
    first, second = Candidates(one), Candidates(other)
    if first.table.select(facts) != second.table.select(facts):
        return ["facts differ"]
    return [
        row.candidate_id for row in first if first.clip(row.candidate_id) != second.clip(row.candidate_id)
    ]


def rerun(runs: str, rows: int, seed: int, uri: str, log: Path) -> float:
    """Seconds that a finished plan takes when it is given again. UserError: something was made."""
    before, started = len(lines(uri)), time.monotonic()
    undisturbed(runs, rows, seed, log)
    if len(lines(uri)) != before:
        raise UserError(f"the rerun of the finished plan {uri} made candidates")
    return time.monotonic() - started


def soak(kills: int, rows: int, seed: int, folder: Path) -> list[str]:
    """Make plans until `kills` kills have happened; returns the faults."""
    dice, wrong, done = random.Random(seed), list[str](), 0
    order = [VICTIMS[number % len(VICTIMS)] for number in range(10 * kills)]
    dice.shuffle(order)
    victims, log = iter(order), folder / "log"
    runs, quiet = storage.resolve_runs(folder / "runs"), storage.resolve_runs(folder / "undisturbed")
    make_teachers(runs)
    make_teachers(quiet)
    table = Table("plan", "rows", *VICTIMS, "driver ended", "made twice, a kill", "s", "s again", "wrong")
    number = 0
    while done < kills:
        # It ends before the undisturbed one begins: a port that a killed raylet has left would be taken by the other
        # cluster's, which answers for the dead one
        killer = Killer(dice)
        round_ = disturbed(killer, runs, rows, seed + number, kills - done, victims, log)
        killer.close()
        done += round_.kills.total()
        other = undisturbed(quiet, rows, seed + number, log)
        faults = differences(round_.uri, other)
        if len(set(lines(round_.uri))) != round_.rows or audit_plan(round_.uri):
            faults.append("not the planned rows")
        if round_.kills and round_.again > LIMIT:
            faults.append(f"{round_.again:.1f} made again for each kill")
        seconds = rerun(runs, rows, seed + number, round_.uri, log)
        counts = [str(round_.kills[victim]) for victim in VICTIMS]
        name = round_.uri.rsplit("/", 1)[1]
        again = f"{round_.again:.1f} ({round_.again / round_.rows:.2%})"
        table.add_row(
            name, str(round_.rows), *counts, str(round_.self_ended), again, f"{round_.seconds:.0f}", f"{seconds:.0f}",
            ", ".join(faults[:3]),
        )  # fmt: skip
        killed = ", ".join(f"{count} {victim}" for victim, count in round_.kills.items())
        console.print(
            f"plan {name}: {killed or 'no'} kills, {again} made again for each kill, {len(faults)} faults",
            highlight=False,
        )
        wrong, number = wrong + faults, number + 1
    console.print(table)
    return wrong


def main(
    kills: int = 100, rows: int = 2000, seed: int = 0, runs: str | None = None, plan_seed: int = 0
) -> int:
    """Kill drivers, workers and nodes while plans are made, and compare with plans that were left alone.

    Args:
        kills: kills in all, spread over as many plans as they take.
        rows: rows of each plan.
        seed: seed of the kills and the plans.
        runs: act as a driver, with results in this folder.
        plan_seed: seed of the driver's plan.
    """
    if runs is not None:
        drive(runs, rows, plan_seed)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    wrong = soak(kills, rows, seed, folder)
    console.print(f"{kills} kills, {len(wrong)} faults", highlight=False)
    return int(bool(wrong))


if __name__ == "__main__":
    run_script(main)
