"""The whole method, from videos to a distilled student: `make quickstart`, or with `--project` for any project.

Each stage is the script that also runs alone; stages share artifacts, never a process. Interrupt it whenever you like
and give the same command again: finished stages are left alone. Where real people choose, it stops when it is their
turn and goes on once they have chosen.
"""

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from rich.table import Table

from actors.screen import console, screen
from experiments.cli import times
from experiments.cli.logs import child_environment, tail_of
from experiments.cli.options import run_script
from experiments.cli.project_choice import ProjectName, choose_project, project_path
from experiments.cli.stages import NUMBERED, Stages
from stickers import storage
from stickers.errors import UserError
from stickers.project import Project
from stickers.prompts.sources import DrawnStickers

RUNS = os.environ.get("STICKERS_RUNS", "runs")
#: what each stage does
STAGES = {
    "prepare": "list the videos, encode their frames",
    "teachers": "fine-tune the teachers",
    "prompts": "write the prompts, sort them into buckets",
    "draw": "draw a sticker for every prompt",
    "candidates": "every teacher animates every sticker",
    "simulate": "simulated people keep the good clips",
    "students": "smaller networks learn from what was kept",
    "distil": "guided steps become few single passes",
    "export": "one folder, registered for serving",
    "evaluate": "every system on held-out stickers",
    "report": "one page with everything",
}
#: stages of a project whose stickers models draw
DRAWING = ("prompts", "draw")
PEOPLE = "simulate"
#: a stage dies with the quickstart, however that ends: a second one would otherwise run beside it
TIED = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def stages_of(project: Project) -> list[str]:
    """The stages that a project needs, in order."""
    draws = isinstance(project.stickers, DrawnStickers)
    return [stage for stage in STAGES if draws or stage not in DRAWING]


def main(runs: str = RUNS, project: ProjectName = None, videos: Path | None = None) -> None:
    """Run every stage that is not finished, then show what came of it.

    Args:
        runs: where results go: a folder.
        videos: your own folder of videos with a captions.csv instead of the project's collections.
    """
    chosen = choose_project(project)
    path = str(project_path(project))
    runs_uri = storage.resolve_runs(runs)
    if "://" in runs_uri:
        raise UserError(
            f"the quickstart keeps its videos and votes in a folder of this machine, not in {runs_uri}"
        )
    names = stages_of(chosen)
    stages, spent = Stages(*names), dict[str, float]()
    with PeakMemory() as memory:
        for name in names:
            stages.begin(name, STAGES[name])
            if name == PEOPLE and not chosen.simulated:
                if storage.current(runs_uri, "kept", chosen.name) is None:
                    ask_people(runs_uri, path)
                    return
                continue
            spent[name] = run_stage(name, runs_uri, chosen, path, videos)
    show(runs_uri, chosen, spent, memory.peak_gib)


def ask_people(runs: str, path: str) -> None:
    """Say that it is people's turn, and how the chain goes on after them."""
    named = shlex.join(["--project", path, "--runs", runs])
    console.print(
        f"people choose now: python experiments/annotate.py serve {named}\n"
        f"then make the kept set: python experiments/annotate.py keep {named}\n"
        f"then go on: python experiments/quickstart.py {named}",
        highlight=False,
        soft_wrap=True,
    )


def run_stage(stage: str, runs: str, project: Project, path: str, videos: Path | None) -> float:
    """One stage in a process of its own, on the same screen and with the same log. Returns its seconds."""
    script = Path(__file__).with_name(f"{stage}.py")
    command = [*TIED, sys.executable, str(script), "--runs", runs, "--project", path]
    if videos and stage == "prepare":
        command += ["--videos", str(videos)]
    log_size = screen.log_size()
    start = time.monotonic()
    try:
        code = subprocess.run(
            command,
            check=False,
            stdout=screen.output,
            stderr=screen.errors,
            env=child_environment() | {NUMBERED: "1"},
        ).returncode
    finally:
        seconds = time.monotonic() - start
        times.remember(runs, project.name, stage, seconds)
    if code < 0:  # it could not say why itself
        console.print(tail_of(log_size), highlight=False, markup=False, soft_wrap=True)
    if code:
        reason = f"signal {-code}" if code < 0 else f"exit {code}"
        raise SystemExit(
            f"error: stage {stage} failed ({reason}); its output stands above, what libraries said in {screen.log}. "
            "The same command resumes"
        )
    return seconds


def show(runs: str, project: Project, spent: dict[str, float], peak_gib: float) -> None:
    """The closing tables: times and memory, then the result in words, and where to go on."""
    table = Table("stage", "what it does", "seconds", title=f"quickstart of project {project.name}")
    for stage, seconds in spent.items():
        table.add_row(stage, STAGES[stage], f"{seconds:.0f}")
    table.add_row(
        "all", f"peak memory of all processes {peak_gib:.1f} GiB", f"{sum(spent.values()):.0f}", style="bold"
    )
    console.print(table)
    evaluation = storage.current(runs, "evaluation", project.name)
    result = Table("result on held-out stickers", title=project.name)
    for sentence in evaluation.record["verdicts"] if evaluation else ():
        result.add_row(sentence)
    console.print(result)
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
        """Look at the memory of this process and its children until the block ends."""
        driver = psutil.Process()
        while not self.done.wait(self.INTERVAL):
            total = sum(resident(process) for process in [driver, *driver.children(recursive=True)])
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
