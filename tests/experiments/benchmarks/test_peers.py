"""Our network beside diffusers': each is ready to run, and they are as large as the comparison says."""

import json
import sys
from argparse import Namespace
from typing import Any

import numpy as np
import pytest
import torch

from experiments.benchmarks import peers


@pytest.mark.long
def test_peers_take_turns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--size", "trial", "--picture", "64", "--frames", "2", "--networks", "ours", "UNetMotionModel")
    arguments = ["forward", *small, "--device", "cpu", "--repeats", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["peers.py", *arguments])
    peers.main()
    table = {row["network"]: row for row in json.loads(capsys.readouterr().out)}
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
