"""The whole method, from video files to a distilled student: `make quickstart`.

Each stage is the script that also runs alone; stages share artifacts, never a process. Interrupt it whenever you like
and give the same command again: finished stages are left alone.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

from experiments.cli import times
from experiments.cli.options import run_script
from stickers import storage
from stickers.errors import UserError

console = Console()
RUNS = os.environ.get("STICKERS_RUNS", "runs")
STAGES = (
    "prepare",
    "teachers",
    "candidates",
    "simulate",
    "students",
    "distil",
    "export",
    "evaluate",
    "report",
)
#: a stage dies with the quickstart, however that ends: a second one would otherwise run beside it
TIED = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
WHAT = {
    "prepare": "draw the toy world's videos, list them, encode their frames",
    "teachers": "fine-tune four teachers: two data orders x two frame rates over two foundations",
    "candidates": "every teacher animates every sticker",
    "simulate": "simulated people keep the good clips: two of three, then an expert",
    "students": "a smaller network learns from what was kept",
    "distil": "32 guided steps become eight single passes",
    "export": "one folder, registered for serving",
    "evaluate": "every system on held-out stickers",
    "report": "one page with everything",
}


def main(
    runs: str = RUNS, profile: Literal["tiny", "full", "smoke"] = "tiny", videos: Path | None = None
) -> None:
    """Run every stage that is not finished, then show what came of it.

    Args:
        runs: where results go: a folder.
        profile: tiny (at most 15 minutes on two cores), full (at most 90) or smoke (a few steps of everything).
        videos: your own folder of videos with a captions.csv instead of the toy collections.
    """
    place = storage.resolve_runs(runs)
    if "://" in place:
        raise UserError(
            f"the quickstart keeps its videos and votes in a folder of this machine, not in {place}"
        )
    with PeakMemory() as memory:
        spent = {stage: run_stage(stage, place, profile, videos) for stage in STAGES}
    show(place, spent, memory.peak_gib)


def run_stage(stage: str, runs: str, profile: str, videos: Path | None) -> float:
    """One stage in a process of its own, its output shown as it comes. Returns its seconds."""
    console.rule(f"[bold]{stage}[/]  {WHAT[stage]}", align="left")
    script = Path(__file__).with_name(f"{stage}.py")
    command = [*TIED, sys.executable, str(script), "--runs", runs, "--profile", profile]
    if videos and stage == "prepare":
        command += ["--videos", str(videos)]
    start = time.monotonic()
    try:
        code = subprocess.run(command, check=False).returncode
    finally:
        seconds = time.monotonic() - start
        times.remember(runs, profile, stage, seconds)
    if code:
        raise SystemExit(
            f"error: stage {stage} failed (exit {code}); what it said stands above. The same command resumes"
        )
    return seconds


def show(runs: str, spent: dict[str, float], peak_gib: float) -> None:
    """The closing table: times, memory, and where to go on."""
    table = Table("stage", "what", "seconds", title="quickstart")
    for stage, seconds in spent.items():
        table.add_row(stage, WHAT[stage], f"{seconds:.0f}")
    table.add_row(
        "all", f"peak memory of all processes {peak_gib:.1f} GiB", f"{sum(spent.values()):.0f}", style="bold"
    )
    console.print(table)
    page = Path(runs, "report.html").as_uri()
    console.print(f"report    {page}", soft_wrap=True, highlight=False)
    console.print(f"MLflow    make mlflow RUNS={runs}", soft_wrap=True, highlight=False)
    console.print(f"endpoint  make serve RUNS={runs}", soft_wrap=True, highlight=False)


class PeakMemory:
    """Watches the proportional memory of this process and all below it, every few seconds."""

    INTERVAL = 3.0

    def __init__(self) -> None:
        self.peak_gib = 0.0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()

    def watch(self) -> None:
        mine = psutil.Process()
        while not self.done.wait(self.INTERVAL):
            total = sum(resident(process) for process in [mine, *mine.children(recursive=True)])
            self.peak_gib = max(self.peak_gib, total / 2**30)


def resident(process: psutil.Process) -> int:
    """Proportional set size in bytes where the system tells it, else resident; a process that is gone has none."""
    try:
        memory = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(memory, "pss", memory.rss))


if __name__ == "__main__":
    run_script(main)
