"""How fast the next job is painted: what is said of it, and what it needs before a browser starts."""

import sys
from pathlib import Path

import pytest

from experiments.trials.painting import main, show
from stickers.errors import UserError
from tests.support.plans import finish_plan


def test_a_program_and_enough_jobs_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no program 'no-such-browser'"):
        main(str(tmp_path), "tiny", chromium="no-such-browser")
    with pytest.raises(UserError, match="run experiments/candidates.py first"):
        main(str(tmp_path), "tiny", chromium=sys.executable)
    plan = finish_plan(tmp_path, 1)
    for name in (None, plan.plan_id):
        with pytest.raises(UserError, match=f"plan {plan.plan_id} has 1 jobs; at least 3 are needed"):
            main(str(tmp_path), "tiny", plan=name, chromium=sys.executable)
    assert not list(tmp_path.glob("votes*")), "its votes are no votes of the runs folder"


def test_times_are_told_beside_the_browsers_own(capsys: pytest.CaptureFixture[str]) -> None:
    show([10.0, 20.0, 90.0], [16.0, 17.0], "3 jobs")
    text = capsys.readouterr().out
    painted = next(line for line in text.splitlines() if "next job painted" in line)
    assert "3 jobs" in text and [cell.strip() for cell in painted.split("│")[2:5]] == ["20", "83", "90"]
