"""Short versions of the crowd's trials: everyone at once, and a service that is killed under them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from experiments.trials.commits import prepare
from experiments.trials.crowd import Crowd, faults_of, kills, load


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "postgresql":
        monkeypatch.setenv("STICKERS_POSTGRES", request.getfixturevalue("postgres_url"))
    return str(request.param)


def faults(trial: Callable[..., list[str]], *values: Any) -> list[str]:
    """The faults that a trial reports, run in another thread: browser tests leave an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(trial, *values).result()


def test_fifty_at_once_answer_each_job_three_times(kind: str, tmp_path: Path) -> None:
    assert faults(load, kind, 30, 50, tmp_path, 0.2) == []


@pytest.mark.long
def test_three_kills_lose_and_double_nothing(kind: str, tmp_path: Path) -> None:
    assert faults(kills, kind, 3, 20, 1_000, 0, tmp_path) == []


def test_faults_are_found(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/votes.db"
    prepare(url, 2, 3, 900)
    crowd = Crowd()
    crowd.record("simulated-00", "a job", ["a clip"])
    reported = faults_of(url, crowd, 2, finished=True)
    assert len(reported) == 2 and "is not" in reported[0] and "6 answers are missing" in reported[1]
