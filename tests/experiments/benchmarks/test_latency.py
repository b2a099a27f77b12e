"""The benchmark's commands run on a CPU and count what they say; times are not asserted."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.benchmarks import peers

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def rows(*arguments: str, script: str = "benchmarks/latency.py") -> list[dict[str, Any]]:
    """What the command answers as JSON."""
    command = [
        sys.executable,
        str(EXPERIMENTS / script),
        *arguments,
        "--device",
        "cpu",
        "--repeats",
        "1",
        "--json",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=EXPERIMENTS.parent)
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


def test_latency_has_the_papers_variants() -> None:
    table = rows("latency", "--graph", "none")
    assert [(row["variant"], row["passes"]) for row in table] == [
        ("naive", 150),
        ("training-free", 31),
        ("guidance-distilled", 15),
        ("guidance+step", 8),
    ]
    assert all(row["whole_ms"] > row["pass_ms"] > 0 and row["tflops"] > 0 for row in table)
    assert table[0]["psnr_db"] == float("inf") and all(row["psnr_db"] < 60 for row in table[1:])


def test_each_factor_stands_beside_its_drift() -> None:
    table = rows("factors", "--dtype", "float32")
    assert [row["step"].split(" (")[0] for row in table] == [
        *("naive", "fewer passes", "precision", "late context expansion", "layers for this device", "graph")
    ]
    # in float32, whatever comes after the fewer passes is the same function
    assert all(row["psnr_to_31_passes_db"] > 55 for row in table[1:])


def test_longer_clips_go_through_the_same_weights() -> None:
    assert [row["frames"] for row in rows("frames", "--graph", "none")] == [8, 16, 24, 32]


def test_peers_take_turns() -> None:
    small = ("--size", "trial", "--picture", "64", "--frames", "2", "--networks", "ours", "UNetMotionModel")
    table = {row["network"]: row for row in rows("forward", *small, script="benchmarks/peers.py")}
    assert set(table) == {"ours", "UNetMotionModel"}
    assert all(row["memory_mib"] > 0 and row["ms"] > 0 for row in table.values())


@pytest.mark.parametrize("name", peers.NAMES)
def test_one_clip_of_each_pipeline(name: str) -> None:
    args = Namespace(size="trial", frames=2, picture=64, steps=1, device="cpu")
    output: Any = peers.pipelines(name, args)()
    frames = output if name in (peers.OURS, peers.FAST) else output.frames
    assert np.asarray(frames).shape[:4] == (1, 2, 64, 64)


@pytest.mark.parametrize("name", peers.NAMES)
def test_one_forward_of_each_network(name: str) -> None:
    args = Namespace(size="trial", frames=2, picture=64, device="cpu")
    output: Any = peers.forward(name, args)()
    frames = output if name in (peers.OURS, peers.FAST) else output.sample.transpose(1, 2)
    assert frames.shape == (1, 2, 4, 8, 8) and torch.isfinite(frames).all()


def test_the_nearest_peer_is_as_large() -> None:
    """Weights within 2 % at the size that figures are taken at; FLOPs differ, so times stand beside times a FLOP."""
    args = Namespace(size="100m", frames=8, picture=256)
    ours, theirs = peers.count("ours", args), peers.count("UNetMotionModel", args)
    assert abs(ours.weights / theirs.weights - 1) < 0.02
    assert abs(ours.flops / theirs.flops - 1) < 0.05


def test_graphs_agree() -> None:
    table = rows("graphs", "--dtype", "float32", "--no-compile")
    assert [row["graph"] for row in table] == ["none", "script", "export"]
    assert all(row["largest_difference"] < 1e-4 and row["pass_ms"] > 0 for row in table)


def test_an_unknown_size_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(EXPERIMENTS / "benchmarks" / "latency.py"), "latency", "--size", "huge"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "invalid choice: 'huge'" in done.stderr


@pytest.mark.parametrize("arguments", [("--json",), ("--only", "sm")])
def test_sizes_print_what_they_count(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, str(EXPERIMENTS / "benchmarks" / "sizes.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    if "--json" in arguments:
        assert [row["size"] for row in json.loads(done.stdout)] == ["lg", "lg-e", "med", "sm"]
    else:
        assert "1.21" in done.stdout and "lg" not in done.stdout
