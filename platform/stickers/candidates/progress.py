"""The progress of making a plan, and an estimate of the remaining time.

Progress is read from storage: only stored candidates count. The estimate uses the recent pace of this run; candidates
from before it and the start-up time of actors do not enter. It is an interval, because a few blocks say little.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

from stickers import storage
from stickers.artifacts.records import CANDIDATES, FAILED, MADE
from stickers.errors import UserError

#: share of this run's time over which the pace is measured, and the least seconds of that window
RECENT, LEAST_SECONDS = 0.5, 60.0
#: half the width of the interval, in standard deviations
WIDTH = 2.0


class Durable:
    """The stored rows of an unfinished plan; every block is read once, without its clips."""

    def __init__(self, uri: str, teachers: Sequence[str]) -> None:
        self.uri, self.teachers = uri, teachers
        self.read: set[str] = set()
        self.passes: dict[tuple[str, int], dict[str, str]] = {}

    def look(self) -> dict[str, dict[str, str]]:
        """By teacher, the last status of each candidate id that a pass has written."""
        for name in self.teachers:
            for folder in storage.listing(storage.join(self.uri, "candidates", name)):
                statuses = self.passes.setdefault((name, int(folder.rsplit("/", 1)[1])), {})
                for block in storage.listing(storage.join(folder, "rows"), recursive=True):
                    if block not in self.read and block.endswith(".parquet"):
                        self._read(block, statuses)
        return {name: self._last(name) for name in self.teachers}

    def _last(self, name: str) -> dict[str, str]:
        statuses: dict[str, str] = {}
        for attempt in sorted(number for teacher, number in self.passes if teacher == name):
            statuses |= self.passes[name, attempt]
        return statuses

    def _read(self, block: str, statuses: dict[str, str]) -> None:
        try:
            table = storage.read_table(block, CANDIDATES, columns=["candidate_id", "status"])
        except UserError:  # half written or torn; it does not count yet
            return
        statuses |= zip(table["candidate_id"].to_pylist(), table["status"].to_pylist(), strict=True)
        self.read.add(block)


def summary(
    planned: Mapping[tuple[str, str], Sequence[str]], statuses: Mapping[str, Mapping[str, str]]
) -> list[dict[str, str | int]]:
    """Planned, made, failed and pending rows by teacher and bucket.

    Args:
        planned: candidate ids by teacher and bucket.
        statuses: by teacher and candidate id.
    """
    rows: list[dict[str, str | int]] = []
    for (teacher, bucket), ids in sorted(planned.items()):
        by_id = statuses.get(teacher, {})
        status = Counter(by_id.get(candidate_id, "pending") for candidate_id in ids)
        counts = {"made": status[MADE], "failed": status[FAILED], "pending": status["pending"]}
        rows.append({"teacher": teacher, "bucket": bucket, "planned": len(ids), **counts})
    return rows


@dataclass(frozen=True)
class Remaining:
    """The likeliest number of remaining seconds, and an interval, whose end is infinite on too little evidence."""

    likely: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.likely:
            return "nothing"
        if self.high == inf:
            return f"more than {_words(self.low)}"
        low, high = _words(self.low), _words(self.high)
        return low if low == high else f"{low} to {high}"


class Pace:
    """Estimates the remaining time from the times at which rows were stored.

    Args:
        rows_per_block: rows that are stored together; larger blocks are fewer events, which widens the interval.
    """

    def __init__(self, rows_per_block: int) -> None:
        self.rows_per_block = rows_per_block
        self.counts: deque[tuple[float, int]] = deque()

    def add(self, at: float, done: int) -> None:
        """Note that `done` rows are stored at second `at`. The first call gives the rows from before this run."""
        if not self.counts or done > self.counts[-1][1]:
            self.counts.append((at, done))

    def remaining(self, at: float, todo: int) -> Remaining | None:
        """The time for `todo` more rows, estimated at second `at`; None while nothing is known."""
        if todo <= 0:
            return Remaining(0.0, 0.0, 0.0)
        if len(self.counts) < 3:  # the rows from before this run, the first of this run, and one more
            return None
        first = self.counts[1][0]
        begin = at - max(LEAST_SECONDS, RECENT * (at - first))
        inside = [entry for entry in list(self.counts)[1:] if entry[0] >= begin]
        start = inside[0] if len(inside) > 1 else self.counts[-2]
        rows, seconds = self.counts[-1][1] - start[1], at - start[0]
        if seconds <= 0:
            return None
        blocks = rows / self.rows_per_block
        error = WIDTH / sqrt(max(blocks, 1.0))
        likely = todo * seconds / rows
        return Remaining(likely, likely / (1 + error), likely / (1 - error) if error < 1 else inf)


def _words(seconds: float) -> str:
    """A duration in words, rounded to what a person would say."""
    if seconds < 90:
        return f"{max(1, round(seconds / 10)) * 10} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
