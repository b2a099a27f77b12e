"""The comparison script runs, and its claims that do not depend on the clock hold; what it times is not asserted."""

import argparse

import pytest

from experiments.benchmarks import reading


def test_scores_of_synthetic_clips_print_as_ffmpeg_s_do() -> None:
    rows = reading.motion(argparse.Namespace(videos=16, repeats=1, seed=3))
    assert sum(row["clips"] for row in rows) == 16
    assert {(row["bits"], row["unequal"]) for row in rows} == {(8, 0), (10, 0)}


def test_every_reader_that_works_here_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "ENCODINGS", {"gop12": {"g": "12"}})
    monkeypatch.setattr(reading, "SECONDS", 2)
    rows = reading.clips(argparse.Namespace(videos=1, repeats=1, seed=0))
    assert [row["threads"] for row in rows] == [1, "all"]
    assert all({"ours, ms", "plain PyAV, ms"} <= set(row) for row in rows)
