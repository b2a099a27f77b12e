"""How far trainings are: lines now and then where there is no terminal, bars where there is one."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from actors.board import Board
from actors.tracking import RunTracker, Tracking

STEPS = 20


def train_on_board(runs: Path, console: Console) -> None:
    """Log a run's figures step by step, and refresh the board after each."""
    tracking = Tracking.open(str(runs))
    run_id = tracking.run("calm", {"role": "teacher"})
    tracker = RunTracker(tracking.uri, run_id)
    with Board([(run_id, "calm", STEPS)], tracking, console) as board:
        board.refresh([run_id])
        board.start(run_id)
        for step in range(2, STEPS + 1, 2):
            tracker.log({"train/loss": 1 / step}, step)
            board.refresh([run_id])
        board.done(run_id, "trained")


@pytest.mark.parametrize("terminal", [False, True])
def test_a_run_is_followed_from_start_to_end(terminal: bool, tmp_path: Path) -> None:
    screen = io.StringIO()
    train_on_board(tmp_path / "runs", Console(file=screen, width=120, force_terminal=terminal))
    text = screen.getvalue()
    if terminal:
        assert "calm" in text and f"{STEPS} of {STEPS} steps" in text and "trained, loss 0.0500" in text
        return
    first, last = text.splitlines()
    assert first == "calm: starting" and last.startswith(
        f"calm: {STEPS} of {STEPS} steps, trained, loss 0.0500"
    )
