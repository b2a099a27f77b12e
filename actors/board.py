"""How far trainings are: a bar for each on a terminal, a line now and then elsewhere. The figures come from MLflow."""

from collections.abc import Iterable
from types import TracebackType

from rich.console import Console

from actors.screen import Bar, Bars
from actors.tracking import STEP, Tracking


class Board:
    """One bar for each run, `steps` long. It is a context manager."""

    def __init__(self, runs: Iterable[tuple[str, str, int]], tracking: Tracking, console: Console) -> None:
        """Args: `runs` are (run id, name, steps)."""
        self.tracking, self.console = tracking, console
        bars = Bars.of(console)
        self.bars = {run_id: Bar(name, steps, "steps", bars=bars) for run_id, name, steps in runs}

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for bar in self.bars.values():
            bar.close()

    def start(self, run_id: str) -> None:
        """The run's processes are starting."""
        bar = self.bars[run_id]
        bar.open()
        bar.update(0, "starting")
        if not self.console.is_terminal:
            self.console.print(f"{bar.description}: starting", highlight=False)

    def refresh(self, run_ids: Iterable[str]) -> None:
        """Show the last step and loss of these runs."""
        for run_id in run_ids:
            metrics = self.tracking.latest(run_id)
            step = int(metrics.get(STEP, 0))
            if step and "train/loss" in metrics:
                self.bars[run_id].update(step, f"loss {metrics['train/loss']:.4f}")

    def done(self, run_id: str, status: str) -> None:
        """Show how the run ended."""
        self.refresh([run_id])
        bar = self.bars[run_id]
        bar.update(bar.done, ", ".join(filter(None, (status, bar.note))))
        bar.close()
