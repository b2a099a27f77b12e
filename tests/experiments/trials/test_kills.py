"""The short version of a long trial: three kills while a plan is made (`make soak` has a hundred)."""

from pathlib import Path

import pytest

from experiments.trials.kills import soak

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1200)]


def test_three_kills_lose_double_and_change_nothing(tmp_path: Path) -> None:
    assert soak(kills=3, rows=120, seed=4, folder=tmp_path) == []
