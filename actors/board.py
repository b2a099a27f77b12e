"""How far trainings are: bars on a terminal, lines now and then elsewhere. The figures come from MLflow."""

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from actors.tracking import STEP, Tracking

LINES_PER_RUN = 5


class Board:
    """One bar for each run, `steps` long. It is a context manager."""

    def __init__(self, runs: Iterable[tuple[str, str, int]], tracking: Tracking, console: Console) -> None:
        """Args: `runs` are (run id, name, steps)."""
        self.tracking, self.console = tracking, console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.steps = {run_id: steps for run_id, _, steps in runs}
        self.names = {run_id: name for run_id, name, _ in runs}
        self.printed_step = dict.fromkeys(self.steps, 0)
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Board":
        self.bars.start()
        for run_id, steps in self.steps.items():
            self.tasks[run_id] = self.bars.add_task(
                self.names[run_id], total=steps, start=False, status="waiting"
            )
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bars.stop()

    def start(self, run_id: str) -> None:
        """Show that the run's processes are starting."""
        self.bars.start_task(self.tasks[run_id])
        self.bars.update(self.tasks[run_id], status="starting")
        if not self.console.is_terminal:
            self.console.print(f"{self.names[run_id]}: starting", highlight=False)

    def refresh(self, run_ids: Iterable[str]) -> None:
        """Show the last step and loss of these runs."""
        for run_id in run_ids:
            metrics = self.tracking.latest(run_id)
            step = int(metrics.get(STEP, 0))
            if not step or "train/loss" not in metrics:
                continue
            loss = f"loss {metrics['train/loss']:.4f}"
            self.bars.update(self.tasks[run_id], completed=step, status=loss)
            if (
                not self.console.is_terminal
                and step >= self.printed_step[run_id] + self.steps[run_id] / LINES_PER_RUN
            ):
                self.console.print(
                    f"{self.names[run_id]}: step {step} of {self.steps[run_id]}, {loss}", highlight=False
                )
                self.printed_step[run_id] = step

    def done(self, run_id: str, status: str) -> None:
        """Show how the run ended."""
        self.refresh([run_id])
        self.bars.update(self.tasks[run_id], status=status)
        self.bars.stop_task(self.tasks[run_id])
        if not self.console.is_terminal:
            self.console.print(f"{self.names[run_id]}: {status}", highlight=False)
