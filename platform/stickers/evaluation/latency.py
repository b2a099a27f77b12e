"""Measures the time, memory and FLOPs of a network, and the peak FLOP/s of the machine.

Needs only torch, so it runs where neither Ray nor a video library is installed. On a shared machine single times say
little; calls are compared within one run, taking turns.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from stickers.errors import UserError


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call, per repetition."""

    milliseconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median, in milliseconds."""
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        """The 99th percentile, in milliseconds: the slowest of fewer than a hundred."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


@torch.no_grad()
def time_in_turns(
    runs: dict[str, Callable[[], object]], *, device: torch.device, repeats: int, warmup: int = 1
) -> dict[str, Timing]:
    """Time several calls in turns, so that a slow moment of the machine affects all alike."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warmup + repeats):
        for name, run in runs.items():
            _wait(device)
            start = time.perf_counter()
            run()
            _wait(device)
            if turn >= warmup:
                spent[name].append((time.perf_counter() - start) * 1e3)
    return {name: Timing(tuple(times)) for name, times in spent.items()}


@torch.no_grad()
def peak_memory(run: Callable[[], object], device: torch.device) -> int:
    """The most bytes that a call holds beyond those held before it.

    On a CPU this is resident memory of the process (Linux), so caches of earlier calls do not count.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - held
    Path("/proc/self/clear_refs").write_text("5")
    held = _status("VmRSS")
    run()
    return max(0, _status("VmHWM") - held)


@torch.no_grad()
def count_flops(run: Callable[[], object]) -> int:
    """FLOPs of a call, two per multiply-add: convolutions, products and attention. Use meta tensors."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


@torch.no_grad()
def matmul_peak(device: torch.device, dtype: torch.dtype, *, side: int | None = None) -> float:
    """FLOP/s of the fastest of ten large matrix products: the practical peak of this machine."""
    side = side or (8192 if device.type == "cuda" else 2048)
    first, second = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    timing = time_in_turns({"product": lambda: first @ second}, device=device, repeats=10, warmup=3)[
        "product"
    ]
    return 2 * side**3 / (min(timing.milliseconds) / 1e3)


def psnr(one: torch.Tensor, other: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of uint8 pixels, in dB; infinite where they are equal."""
    error = (one.double() - other.double()).square().mean()
    return float(10 * torch.log10(255**2 / error)) if error else float("inf")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _status(field: str) -> int:
    """Bytes of one field of this process's status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise UserError(f"/proc/self/status has no {field}; peak memory on a CPU needs Linux")
