"""What making candidates costs beside the teachers' own work.

`python experiments/benchmarks/throughput.py {rate,memory}`.

`rate` runs the same teachers and rows in a bare loop in one process without Ray and through the ensemble, in one run.
`memory` is the most memory that the driver and all processes hold at once while plans of growing length are made.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Literal

import psutil
import torch
import tyro
from rich.console import Console
from rich.table import Table

from actors.screen import console
from stickers.errors import UserError

os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # before Ray's first import

from actors.cluster import connect
from actors.conditions import encode_conditions
from actors.ensemble import BATCH_SIZE, Encoders, Ensemble, run_ensemble
from experiments.cli.options import encoder_digests, run_script
from experiments.trials.kills import TEACHERS, make_teachers, plan_of
from recipes.toy.projects import TINY
from stickers import storage
from stickers.candidates.archive import Candidates, compact
from stickers.candidates.conditions import EncodedConditions
from stickers.candidates.maker import CandidateMaker
from stickers.candidates.plan import Plan, save_plan
from stickers.candidates.scoring import score
from stickers.export import assemble

MIB = 1 << 20
#: rows of the plans whose memory is measured
LENGTHS = (500, 5000)


def ensemble_of(runs: str) -> Ensemble:
    """The trial's teachers as an ensemble, all with the tiny project's encoders."""
    base = TINY.foundation.place
    trainings = {name: storage.find_record(runs, "teachers", name) for name in TEACHERS}
    return Ensemble(
        teachers=trainings, encoders=dict.fromkeys(TEACHERS, Encoders(base, encoder_digests(base)))
    )


def bare(runs: str, plan: Plan, uri: str, threads: int) -> float:
    """Seconds of a loop over teachers and rows in this process, with clips checked and nothing written.

    Conditions are encoded and models loaded before the clock starts.
    """
    torch.set_num_threads(threads)
    ensemble, spent = ensemble_of(runs), 0.0
    for name in plan.teachers:
        work = ensemble.work(uri, plan, name, 0)
        pipeline = assemble(storage.local_folder(work.record), work.foundations, with_text=False)
        source = EncodedConditions(uri, work.conditions)
        maker = CandidateMaker(pipeline, source, plan_id=plan.plan_id, attempt=0, batch_size=BATCH_SIZE)
        rows = plan.of(name)
        maker.make(rows[:BATCH_SIZE])
        start = time.perf_counter()
        for row in maker.make(rows):
            score(row)
        spent += time.perf_counter() - start
    return spent


def rate(rows: int, seed: int, skip_single: bool) -> None:
    """Candidates a second, bare and by the ensemble."""
    with tempfile.TemporaryDirectory() as folder:
        runs = storage.resolve_runs(folder)
        settings = TINY.teachers[0].sampler
        make_teachers(runs, settings)
        plan = plan_of(runs, rows, seed)
        uri, ensemble = save_plan(runs, plan), ensemble_of(runs)
        with connect():
            for name in TEACHERS[:1]:  # the other has the same
                conditions_uri, size = ensemble.conditions(uri, name), ensemble.size(name)
                encode_conditions(plan, conditions_uri, ensemble.encoders[name].folder, size)
        ways = {
            f"bare loop, {threads} thread{'s' * (threads > 1)}": bare(runs, plan, uri, threads)
            for threads in (1, os.cpu_count() or 1)[skip_single:]
        }
        start = time.perf_counter()
        outs = run_ensemble(uri, plan, ensemble, Console(quiet=True))
        seconds = time.perf_counter() - start
        compact(uri, plan, outs)
        ways["ensemble, start to end"] = seconds
        ways["ensemble, of its own clock"] = made_within(outs)
    best = min(seconds for name, seconds in ways.items() if name.startswith("bare"))
    table = Table(
        "how", "s", "candidates/s", "of the best bare loop", title=f"{len(plan.rows)} candidates, {settings}"
    )
    for name, seconds in ways.items():
        table.add_row(name, f"{seconds:.1f}", f"{len(plan.rows) / seconds:.2f}", f"{best / seconds:.2f}")
    console.print(table)


def made_within(outs: list[str]) -> float:
    """Seconds from the first written block to the last, extended by the share of the first blocks."""
    stamps, rows = [], 0
    for pass_folder in outs:
        for path in Path(pass_folder, "rows").rglob("*.parquet"):
            stamps.append(path.stat().st_mtime)
            rows += 1
    stamps.sort()
    return (stamps[-1] - stamps[0]) * rows / max(1, rows - len(TEACHERS))


class MemoryWatch:
    """Watches the most bytes that a process and its children hold at once, by proportional set size."""

    def __init__(self, process: psutil.Process) -> None:
        self.process, self.most, self.driver = process, 0, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self) -> None:
        while not self.ended.wait(1.0):
            total = 0
            for process in [self.process, *self.process.children(recursive=True)]:
                try:
                    held = process.memory_full_info().pss
                except psutil.NoSuchProcess:
                    continue
                total += held
                if process.pid == self.process.pid:
                    self.driver = max(self.driver, held)
            self.most = max(self.most, total)

    def end(self) -> tuple[int, int]:
        """Stop watching; returns the bytes of the driver, and those of all processes."""
        self.ended.set()
        self.thread.join()
        return self.driver, self.most


def memory(seed: int) -> None:
    """Peak memory of plans of several lengths, each made by a driver of its own."""
    table = Table("candidates", "driver, MiB", "all processes, MiB", "to the first", "s")
    first = 0
    for rows in LENGTHS:
        with tempfile.TemporaryDirectory() as folder:
            runs = storage.resolve_runs(folder)
            make_teachers(runs)
            command = [sys.executable, str(Path(__file__).parents[1] / "trials" / "kills.py"), "--runs", runs]
            started = time.monotonic()
            driver = subprocess.Popen(
                [*command, "--rows", str(rows), "--plan-seed", str(seed)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            watch = MemoryWatch(psutil.Process(driver.pid))
            status = driver.wait()
            own_bytes, total_bytes = watch.end()
            if status or len(Candidates(storage.find_record(runs, "plans").uri)) != len(
                plan_of(runs, rows, seed).rows
            ):
                raise UserError(f"the plan of {rows} candidates was not made")
        first = first or total_bytes
        table.add_row(
            str(rows),
            f"{own_bytes / MIB:.0f}",
            f"{total_bytes / MIB:.0f}",
            f"{total_bytes / first:.2f}",
            f"{time.monotonic() - started:.0f}",
        )
    console.print(table)


def main(
    measurement: Annotated[Literal["rate", "memory"], tyro.conf.Positional],
    rows: int = 2000,
    seed: int = 0,
    skip_single: bool = False,
) -> None:
    """Measure what making candidates costs.

    Args:
        measurement: rate, candidates a second; or memory, by length of the plan.
        rows: for rate, candidates to make.
        seed: seed of the plan.
        skip_single: leave out the bare loop with a single thread, where it is known to be the slower one.
    """
    if measurement == "rate":
        rate(rows, seed, skip_single)
    else:
        memory(seed)


if __name__ == "__main__":
    run_script(main)
