"""The moving average against values worked by hand."""

from pathlib import Path

import pytest
import torch
from torch import nn

from stickers.training.ema import Ema


def average_of(values: list[float], decay: float) -> Ema:
    """The average of one trained weight that takes these values; a frozen one lies beside it."""
    network = nn.Linear(1, 1)
    network.bias.requires_grad_(False)
    network.weight.data.fill_(values[0])
    ema = Ema(network, decay)
    for value in values[1:]:
        network.weight.data.fill_(value)
        ema.update()
    return ema


def test_the_decay_rises_from_a_tenth_to_its_value() -> None:
    ema = average_of([0.0, 1.0, 2.0, 3.0], decay=0.15)
    first = 0.9 * 1.0
    second = 0.15 * first + 0.85 * 2.0  # 2 / 11 exceeds the decay
    assert float(ema.state_dict()["weight"]) == pytest.approx(0.15 * second + 0.85 * 3.0)
    assert set(ema.state_dict()) == {"weight"}, "frozen weights have no average"


def test_a_saved_average_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    straight = average_of([0.0, 1.0, 2.0], decay=0.9)
    straight.save(tmp_path, rank=0)
    resumed = average_of([7.0], decay=0.9)
    resumed.load(tmp_path, rank=0, steps=straight.steps)
    for ema in (straight, resumed):
        ema.network.weight.data.fill_(3.0)
        ema.update()
    assert torch.equal(straight.state_dict()["weight"], resumed.state_dict()["weight"])
