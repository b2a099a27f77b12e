"""Timing, memory and work of a call: calls take turns, and work and likeness are those of the formulas."""

from math import inf, log10

import pytest
import torch

from stickers.evaluation.latency import Timing, count_flops, matmul_peak, peak_memory, psnr, time_in_turns

CPU = torch.device("cpu")


def test_calls_take_turns_and_the_first_ones_do_not_count() -> None:
    calls: list[str] = []
    timings = time_in_turns(
        {name: lambda name=name: calls.append(name) for name in ("a", "b")}, device=CPU, repeats=3, warmup=2
    )
    assert calls == ["a", "b"] * 5
    assert {name: len(timing.milliseconds) for name, timing in timings.items()} == {"a": 3, "b": 3}
    assert all(milliseconds >= 0 for timing in timings.values() for milliseconds in timing.milliseconds)


def test_nothing_is_differentiated_while_it_is_timed() -> None:
    weight = torch.ones(2, requires_grad=True)
    results: list[torch.Tensor] = []
    time_in_turns({"x": lambda: results.append(weight * 2)}, device=CPU, repeats=1, warmup=0)
    assert not results[0].requires_grad


def test_percentiles() -> None:
    assert Timing((3.0, 1.0, 2.0)).p50 == 2.0 and Timing((3.0, 1.0, 2.0)).p99 == 3.0
    hundred = Timing(tuple(float(number) for number in range(200)))
    assert hundred.p50 == 99.5 and hundred.p99 == 198.0


def test_flops_are_two_a_multiply_add() -> None:
    wide, tall = torch.empty(7, 5, device="meta"), torch.empty(5, 3, device="meta")
    assert count_flops(lambda: wide @ tall) == 2 * 7 * 5 * 3
    picture = torch.empty(1, 4, 10, 10, device="meta")
    convolution = torch.nn.Conv2d(4, 6, 3, padding=1, device="meta")
    assert count_flops(lambda: convolution(picture)) == 2 * (4 * 9) * 6 * 10 * 10
    assert count_flops(lambda: wide + 1) == 0


def test_peak_memory_is_what_a_call_held_at_most() -> None:
    def hold(megabytes: int) -> None:
        torch.ones(megabytes * 2**20, dtype=torch.uint8)

    def peak(megabytes: int) -> int:
        # the system may take pages of files back at the same moment, so the most of three calls counts
        return max(peak_memory(lambda: hold(megabytes), CPU) for _ in range(3))

    few, many = peak(1), peak(96)
    assert few < 48 * 2**20 < 90 * 2**20 < many < 140 * 2**20


def test_a_product_has_a_speed() -> None:
    assert matmul_peak(CPU, torch.float32, side=32) > 0


def test_likeness_in_decibels() -> None:
    picture = torch.full((4, 4), 100, dtype=torch.uint8)
    assert psnr(picture, picture) == inf
    assert psnr(picture, picture + 1) == pytest.approx(20 * log10(255))
    assert psnr(picture - 100, picture + 155) == pytest.approx(0), "uint8 must not wrap round"
