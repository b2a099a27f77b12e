"""What is left of a plan: the estimate's interval holds the truth, whatever was there before and whatever changes."""

from collections.abc import Iterator
from math import inf
from pathlib import Path

import numpy as np
import pytest

from stickers import storage
from stickers.artifacts.records import CANDIDATES, Candidate
from stickers.artifacts.schema import table_of
from stickers.candidates.progress import Durable, Pace, Remaining, summary

BLOCK, TOTAL = 16, 4800


def arrivals(
    seed: int, seconds_a_block: float, blocks: int, start: float = 40.0
) -> Iterator[tuple[float, int]]:
    """When each block of a run becomes durable, at random round an even pace, after the time that actors take."""
    dice = np.random.default_rng(seed)
    at = start
    for number in range(1, blocks + 1):
        at += dice.gamma(4.0, seconds_a_block / 4.0)
        yield at, number * BLOCK


@pytest.mark.parametrize("before", [0, TOTAL - 60 * BLOCK])
def test_the_interval_holds_the_truth(before: int) -> None:
    held, spoken = 0, 0
    for seed in range(30):
        pace, todo = Pace(BLOCK), TOTAL - before
        pace.add(0.0, before)
        times = list(arrivals(seed, 5.0, todo // BLOCK))
        for at, new in times:
            pace.add(at, before + new)
            remaining = pace.remaining(at, todo - new)
            if remaining and remaining.high < inf and new < todo:
                spoken += 1
                held += remaining.low <= times[-1][0] - at <= remaining.high
    assert held / spoken >= 0.9, f"{held / spoken:.0%} of {spoken} estimates hold the truth"


def test_what_was_there_and_the_start_are_no_pace() -> None:
    pace = Pace(BLOCK)
    pace.add(0.0, 4000)
    assert pace.remaining(30.0, 800) is None
    pace.add(60.0, 4016)
    assert pace.remaining(61.0, 784) is None, "one block after a start says nothing about the pace"
    for number in range(2, 12):
        pace.add(60.0 + 10 * (number - 1), 4000 + number * BLOCK)
    remaining = pace.remaining(160.0, 624)
    assert remaining is not None and remaining.likely == pytest.approx(390.0)


def test_it_follows_a_pace_that_halves_and_a_stall() -> None:
    pace = Pace(BLOCK)
    pace.add(0.0, 0)
    at = 0.0
    for number in range(1, 101):
        at += 1.0 if number <= 50 else 2.0
        pace.add(at, number * BLOCK)
    slower = pace.remaining(at, 50 * BLOCK)
    assert slower is not None and slower.likely == pytest.approx(100.0, rel=0.15), (
        "two seconds a block by now"
    )
    stalled = pace.remaining(at + 600, 50 * BLOCK)
    assert stalled is not None and stalled.likely > 5 * slower.likely
    assert pace.remaining(at, 0) == Remaining(0.0, 0.0, 0.0)


def test_words() -> None:
    assert str(Remaining(0, 0, 0)) == "nothing" and str(Remaining(100, 95, 130)) == "2 min"
    assert str(Remaining(20, 12, inf)) == "more than 10 s"
    assert str(Remaining(9000, 8000, 40_000)) == "2.2 h to 11.1 h"


def test_only_what_is_readable_counts_and_the_last_pass_decides(tmp_path: Path) -> None:
    def rows(attempt: int, status: dict[str, str]) -> None:
        candidates = [
            Candidate(
                candidate_id=name, sticker_id="s", teacher="calm", checkpoint="c", seed=0, prompt="p", bucket="action",
                plan_id="p", attempt=attempt, status=state, error="", clip=None, clip_digest=None, num_frames=1, fps=1,
                seconds=0.0,
            )
            for name, state in status.items()
        ]  # fmt: skip
        block = storage.join(
            str(tmp_path), "candidates", "calm", str(attempt), "rows", f"{len(status)}.parquet"
        )
        storage.write_table(block, table_of(candidates, Candidate), CANDIDATES)

    durable = Durable(str(tmp_path), ["calm", "wild"])
    planned = {("calm", "action"): ["a", "b", "c", "d"], ("wild", "action"): ["e"]}
    assert [row["pending"] for row in summary(planned, durable.look())] == [4, 1]
    rows(0, {"a": "made", "b": "failed", "c": "failed"})
    (tmp_path / "candidates" / "calm" / "0" / "rows" / "torn.parquet").write_bytes(b"PAR1 half")
    rows(1, {"b": "made", "c": "failed"})
    assert summary(planned, durable.look())[0] == {
        "teacher": "calm", "bucket": "action", "planned": 4, "made": 2, "failed": 1, "pending": 1,
    }  # fmt: skip
