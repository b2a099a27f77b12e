"""The benchmark's commands run on a CPU and count what they say; times are not asserted."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from experiments.benchmarks import latency

Rows = list[dict[str, Any]]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Rows]:
    """Runs a command line, and gives what it answers as JSON."""

    def run(*arguments: str) -> Rows:
        small = ("--picture", "16", "--device", "cpu", "--repeats", "1")
        line = ["latency.py", *arguments, *small, "--json"]
        monkeypatch.setattr(sys, "argv", line)
        latency.main()
        answer: Rows = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_latency_has_the_papers_variants(rows: Callable[..., Rows]) -> None:
    table = rows("latency", "--graph", "none", "--frames", "4")
    assert [(row["variant"], row["passes"]) for row in table] == [
        ("naive", 150),
        ("training-free", 31),
        ("guidance-distilled", 15),
        ("guidance+step", 8),
    ]
    assert all(row["whole_ms"] > row["pass_ms"] > 0 and row["tflops"] > 0 for row in table)
    assert table[0]["psnr_db"] == float("inf") and all(row["psnr_db"] < 60 for row in table[1:])


def test_each_factor_stands_beside_its_drift(rows: Callable[..., Rows]) -> None:
    table = rows("factors", "--dtype", "float32", "--frames", "4")
    assert [row["step"].split(" (")[0] for row in table] == [
        *("naive", "fewer passes", "precision", "late context expansion", "layers for this device", "graph")
    ]
    # in float32, whatever comes after the fewer passes is the same function
    assert all(row["psnr_to_31_passes_db"] > 55 for row in table[1:])


def test_longer_clips_go_through_the_same_weights(rows: Callable[..., Rows]) -> None:
    assert [row["frames"] for row in rows("frames", "--graph", "none")] == [8, 16, 24, 32]


def test_graphs_agree(rows: Callable[..., Rows]) -> None:
    table = rows("graphs", "--dtype", "float32", "--no-compile")
    assert [row["graph"] for row in table] == ["none", "script", "export"]
    assert all(row["largest_difference"] < 1e-4 and row["pass_ms"] > 0 for row in table)


def test_an_unknown_size_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["latency.py", "latency", "--size", "huge"])
    with pytest.raises(SystemExit) as ended:
        latency.main()
    assert ended.value.code == 2 and "invalid choice: 'huge'" in capsys.readouterr().err
