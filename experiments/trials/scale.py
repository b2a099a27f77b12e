"""The paper's plan at its real length on one machine: `python experiments/trials/scale.py`.

15,000 prompts, two pictures each, four teachers, on a Ray cluster of a head and four nodes. Pictures and clips are of
512 pixels, drawn by the toy world, a few hundred different ones over and over; the encoders and everything that plans,
writes, resumes, compacts and audits are the real ones. Only the teachers are not: each sleeps for as long as it is
told to and gives a clip that was encoded and scored before. The driver is killed when half of the plan is made, and
started again.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from rich.table import Table

from actors.screen import Bar, console, track
from stickers.errors import UserError

os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # before Ray's first import

from ray.cluster_utils import Cluster

from actors.ensemble import BATCH_SIZE
from actors.teacher import CPUS_PER_EXECUTION, Teacher, TeacherWork, rows_per_block
from experiments.candidates import PlanRequest, make_candidates
from experiments.cli.ensembles import planned
from experiments.cli.options import run_script
from experiments.cli.plans import audit_plan
from recipes.toy.projects import TINY
from recipes.toy.world import Mode, look_of, meaning, render_motion, toy_prompts, toy_stickers
from stickers import storage
from stickers.artifacts.ids import clip_digest, content_id, prompt_id, sticker_id
from stickers.artifacts.records import MADE, Candidate, PlanRow, Prompt, Sticker
from stickers.artifacts.schema import records_of, table_of
from stickers.candidates.audit import audit_part, parts_of
from stickers.candidates.plan import Plan, load_plan, make_plan, save_plan
from stickers.diffusion.sampling import SamplerSettings
from stickers.metrics.clip_checks import check
from stickers.prompts.sticker_tables import IMAGES_PER_PROMPT
from stickers.video.codec import encode_strip

TEACHERS = ("appearance", "consistency", "motion", "prompt")
SETTINGS = SamplerSettings(num_steps=50, guided_steps=50, solver="ddim", num_frames=8, fps=8)
PICTURE = 512
#: different clips, and prompts whose pictures are drawn
NUM_DRAWN = 192
MIB = 1 << 20
DRAWN = pa.schema(
    [pa.field("clip", pa.binary(), nullable=False), pa.field("looks", pa.string(), nullable=False)]
)
PICTURES = pa.schema([pa.field("png", pa.binary(), nullable=False)])


class Sleeper(Teacher):
    """A teacher that sleeps instead of drawing: STICKERS_SLEEP seconds for each clip."""

    def __init__(self, work: TeacherWork) -> None:
        self.work, self.seconds = work, float(os.environ["STICKERS_SLEEP"])
        self.drawn = storage.read_table(storage.below(work.plan, "../../drawn.parquet"), DRAWN).to_pylist()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Sleep for each row, and give it one of the clips that were drawn before."""
        time.sleep(self.seconds * table.num_rows)
        return table_of([self._candidate(row) for row in records_of(table, PlanRow)], Candidate)

    def _candidate(self, row: PlanRow) -> Candidate:
        drawn = self.drawn[row.seed % len(self.drawn)]
        return Candidate(
            **asdict(row),
            **json.loads(drawn["looks"]),
            plan_id=self.work.plan_id,
            attempt=self.work.attempt,
            status=MADE,
            error="",
            clip=drawn["clip"],
            clip_digest=clip_digest(drawn["clip"]),
            num_frames=SETTINGS.num_frames,
            fps=SETTINGS.fps,
            seconds=self.seconds,
        )


def draw(seed: int) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Clips as strips with their scores, and pictures; all of full size and all different."""
    dice, drawn = np.random.default_rng(seed), []
    prompts = toy_prompts(NUM_DRAWN, seed)
    for prompt in track(prompts, "draw clips to hand out", unit="clips"):
        times = np.arange(SETTINGS.num_frames) / SETTINGS.fps
        motion = meaning(prompt.text).motions[0]
        clip = render_motion(look_of(prompt.text, 0), motion, Mode.draw(dice), times, PICTURE)
        examined = check(clip, SETTINGS.fps)
        looks = json.dumps({**asdict(examined.flags), **asdict(examined.measures)})
        drawn.append({"clip": encode_strip(clip), "looks": looks})
    return drawn, [sticker.png for sticker in toy_stickers(prompts, PICTURE)]


def sources(num_prompts: int, pictures: list[bytes], seed: int) -> tuple[list[Prompt], list[Sticker]]:
    """`num_prompts` different prompts with two pictures each."""
    phrases = toy_prompts(NUM_DRAWN, seed)
    prompts, stickers = [], []
    for number in range(num_prompts):
        phrase = phrases[number % len(phrases)]
        text = f"{phrase.text}, story {number}"
        prompts.append(Prompt(prompt_id=prompt_id(text), text=text, bucket=phrase.bucket, source="simulated"))
        for index in range(IMAGES_PER_PROMPT):
            png = pictures[(IMAGES_PER_PROMPT * number + index) % len(pictures)]
            name = sticker_id(prompts[-1].prompt_id, index, png)
            stickers.append(
                Sticker(sticker_id=name, prompt_id=prompts[-1].prompt_id, image_index=index, png=png)
            )
    return prompts, stickers


def prepare(runs: str, seed: int) -> None:
    """What sleepers hand out and prompts are shown with, and trainings that never trained."""
    drawn, pictures = draw(seed)
    storage.write_table(storage.join(runs, "drawn.parquet"), pa.Table.from_pylist(drawn, DRAWN), DRAWN)
    storage.write_table(
        storage.join(runs, "pictures.parquet"), pa.table({"png": pictures}, schema=PICTURES), PICTURES
    )
    for name in TEACHERS:
        record = {
            "name": name,
            "weights": content_id("simulated", name),
            "prediction": "v_prediction",
            "settings": asdict(SETTINGS),
            "picture_size": TINY.teacher_sizes[0],
        }
        storage.write_record(storage.join(runs, "teachers", name), record)


def write_plan(runs: str, num_prompts: int, seed: int) -> dict[str, Any]:
    """The driver's first stage: the plan, from prompts and pictures in memory to storage."""
    pictures = storage.read_table(storage.join(runs, "pictures.parquet"), PICTURES)["png"].to_pylist()
    prompts, stickers = sources(num_prompts, pictures, seed)
    base = TINY.foundation.place
    teachers = [planned(name, storage.find_record(runs, "teachers", name), base) for name in TEACHERS]
    started = time.monotonic()
    plan = make_plan(prompts, stickers, teachers, seed)
    planned_at = time.monotonic()
    save_plan(runs, plan)
    return {
        "make_plan": planned_at - started,
        "save_plan": time.monotonic() - planned_at,
        "rows": len(plan.rows),
    }


def drive(runs: str, stage: str, num_prompts: int, seed: int) -> dict[str, Any]:
    """One stage, in a process of its own."""
    if stage == "plan":
        return write_plan(runs, num_prompts, seed)
    uri = the_plan(runs)
    if stage == "audit":
        return audit(uri)
    plan: Plan = load_plan(uri)
    teachers = {name: storage.find_record(runs, "teachers", name) for name in TEACHERS}
    encoders = dict.fromkeys(teachers, TINY.foundation.place)
    request = PlanRequest(plan=plan, teachers=teachers, encoders=encoders)
    make_candidates(runs, request, project="scale", actor=Sleeper)
    return {}


def audit(uri: str) -> dict[str, Any]:
    """The whole plan by digests, and one part with every clip decoded."""
    faults = audit_plan(uri, decode=False)
    parts, started = parts_of(uri), time.monotonic()
    faults += len(audit_part(uri, *next(iter(parts.items()))))
    return {"faults": faults, "parts": len(parts), "one part decoded": time.monotonic() - started}


def the_plan(runs: str) -> str:
    """The one plan below `runs`."""
    return next(uri for uri in storage.listing(storage.join(runs, "plans")) if not uri.endswith("/current"))


@dataclass
class Measured:
    """A stage's seconds, the most memory that its driver held, and its report."""

    seconds: float
    peak_bytes: int
    report: dict[str, Any]


@dataclass
class Driver:
    """One stage's process."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float

    def end(self, *, kill: bool = False) -> Measured:
        """Wait until it ends, or kill it. UserError: it ended with an error."""
        if kill:
            self.process.send_signal(signal.SIGKILL)
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if not kill and status:
            raise UserError(f"{self.log.stem} ended with status {self.process.returncode}; see {self.log}")
        report = json.loads(self.log.read_text().splitlines()[-1]) if not kill else {}
        return Measured(time.monotonic() - self.started, usage.ru_maxrss * 1024, report)


def start(runs: str, stage: str, prompts: int, seed: int, environment: dict[str, str], name: str) -> Driver:
    """Start one stage as a process of its own, with its output in a log."""
    command = [sys.executable, __file__, "--runs", runs, "--stage", stage]
    log_path = Path(runs, f"{name}.log")
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--prompts", str(prompts), "--seed", str(seed)],
            stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment},
        )  # fmt: skip
    return Driver(process, log_path, time.monotonic())


@contextmanager
def cluster(sleep: float) -> Iterator[str]:
    """The address of a head and a node a teacher."""
    os.environ["STICKERS_SLEEP"] = str(sleep)  # the nodes hand it on to what they run
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in TEACHERS:
            nodes.add_node(num_cpus=CPUS_PER_EXECUTION, object_store_memory=256 * MIB)
        yield nodes.address
    finally:
        nodes.shutdown()


def files_below(folder: Path, pattern: str = "**/*") -> list[int]:
    """The sizes of the finished files below a folder."""
    sizes = []
    for path in folder.glob(pattern):
        try:
            if path.is_file():
                sizes.append(path.stat().st_size)
        except FileNotFoundError:  # it was renamed since
            continue
    return sizes


def count_blocks(rows: Path) -> int:
    """How many blocks of candidates are durable; beside each lies a file of Ray Data's checkpoint."""
    return len(files_below(rows, "*/*/rows/*.parquet"))


def wait_for(driver: Driver, rows: Path, num_awaited: int, title: str) -> int:
    """Wait until `num_awaited` blocks exist or the driver has ended; returns how many exist."""
    with Bar(title, num_awaited, "blocks") as bar:
        while True:
            num_blocks = count_blocks(rows)
            bar.update(min(num_blocks, num_awaited))
            if (
                num_blocks >= num_awaited
                or psutil.Process(driver.process.pid).status() == psutil.STATUS_ZOMBIE
            ):
                return num_blocks
            time.sleep(1.0)


def measure(runs: str, prompts: int, sleep: float, seed: int) -> None:
    """All stages, one after the other."""
    prepare(runs, seed)
    stages: dict[str, Measured] = {"plan": start(runs, "plan", prompts, seed, {}, "plan").end()}
    block = rows_per_block(stages["plan"].report["rows"] // len(TEACHERS), BATCH_SIZE)
    blocks = stages["plan"].report["rows"] // block
    uri = Path(the_plan(runs))
    with cluster(sleep) as address:
        environment = {"RAY_ADDRESS": address}
        first = start(runs, "make", prompts, seed, environment, "make")
        wait_for(first, uri / "candidates", blocks // 2, "until killed")
        stages["make, killed"] = first.end(kill=True)
        before = count_blocks(uri / "candidates")
        again = start(runs, "make", prompts, seed, environment, "resume")
        wait_for(again, uri / "candidates", before + 1, "until it goes on")
        to_first = time.monotonic() - again.started
        most = wait_for(again, uri / "candidates", blocks, "until made")
        to_last = time.monotonic() - again.started
        sizes = files_below(uri / "candidates")
        stages["resume and finish"] = again.end()
        stages["again, finished"] = start(runs, "make", prompts, seed, environment, "again").end()
        stages["audit"] = start(runs, "audit", prompts, seed, environment, "audit").end()
    show(stages, prompts, sleep)
    console.print(
        f"resumed at {before} of {blocks} blocks: the first new one after {to_first:.0f} s, "
        f"{(most - before) * block / (to_last - to_first):.0f} candidates/s from there to the last; "
        f"while it is made {len(sizes)} files of {sum(sizes) / 1e9:.2f} GB",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    for part in ("plan", "clips", ""):
        sizes = files_below(uri / part)
        console.print(
            f"{part or 'all'}: {len(sizes)} files, {sum(sizes) / 1e9:.2f} GB, largest {max(sizes) / 1e6:.0f} MB",
            highlight=False,
        )


def show(stages: dict[str, Measured], prompts: int, sleep: float) -> None:
    """Print seconds, memory and facts of every stage."""
    table = Table(
        "stage", "s", "driver, MiB", "", title=f"{prompts} prompts, {sleep} s a clip by sleeping teachers"
    )
    for name, stage in stages.items():
        facts = ", ".join(
            f"{key} {value:.1f} s" if isinstance(value, float) else f"{key} {value}"
            for key, value in stage.report.items()
        )
        table.add_row(name, f"{stage.seconds:.0f}", f"{stage.peak_bytes / MIB:.0f}", facts)
    console.print(table)


def main(
    prompts: int = 15_000,
    sleep: float = 0.02,
    seed: int = 0,
    runs: str | None = None,
    stage: str | None = None,
) -> None:
    """Plan, make, kill, resume, make again and audit; print what each stage takes.

    Args:
        prompts: prompts of the plan; each has eight candidates.
        sleep: seconds that a teacher sleeps for each clip.
        seed: seed of the drawings and the plan.
        runs: keep everything in this folder; by default it is removed at the end.
        stage: act as the driver of one stage: plan, make or audit.
    """
    if stage:
        console.out(
            json.dumps(drive(storage.resolve_runs(runs or ""), stage, prompts, seed)), highlight=False
        )
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if runs:
        measure(storage.resolve_runs(runs), prompts, sleep, seed)
    else:
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            measure(storage.resolve_runs(folder), prompts, sleep, seed)


if __name__ == "__main__":
    run_script(main)
