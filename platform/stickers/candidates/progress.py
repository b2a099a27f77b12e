"""How far the making of a plan has come, and when it will be done.

Progress is read off storage, where alone a candidate counts. An estimate rests on this run's own recent pace: what was
there before says nothing about it, nor does the time that actors take to start. It comes as an interval, because a few
blocks tell little.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, sqrt

from stickers import storage
from stickers.artifacts.records import CANDIDATES, FAILED, MADE
from stickers.errors import UserError

#: of this run's time that its pace is taken from, and seconds below which that share is not cut
RECENT, LEAST_SECONDS = 0.5, 60.0
#: standard deviations to each side
WIDTH = 2.0


class Durable:
    """The rows of an unfinished plan that are on storage; every block is read once, without its clips."""

    def __init__(self, uri: str, teachers: Sequence[str]) -> None:
        self.uri, self.teachers = uri, teachers
        self.read: set[str] = set()
        self.passes: dict[tuple[str, int], dict[str, str]] = {}

    def look(self) -> dict[str, dict[str, str]]:
        """By teacher, the last status of each candidate id that any pass has written."""
        for name in self.teachers:
            for out in storage.listing(storage.join(self.uri, "candidates", name)):
                known = self.passes.setdefault((name, int(out.rsplit("/", 1)[1])), {})
                for block in storage.listing(storage.join(out, "rows"), recursive=True):
                    if block not in self.read and block.endswith(".parquet"):
                        self._read(block, known)
        return {name: self._last(name) for name in self.teachers}

    def _last(self, name: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for attempt in sorted(number for teacher, number in self.passes if teacher == name):
            found |= self.passes[name, attempt]
        return found

    def _read(self, block: str, known: dict[str, str]) -> None:
        try:
            table = storage.read_table(block, CANDIDATES, columns=["candidate_id", "status"])
        except UserError:  # it is being written, or torn: it does not count yet
            return
        known |= zip(table["candidate_id"].to_pylist(), table["status"].to_pylist(), strict=True)
        self.read.add(block)


def summary(
    planned: Mapping[tuple[str, str], Sequence[str]], found: Mapping[str, Mapping[str, str]]
) -> list[dict[str, str | int]]:
    """Planned, made, failed and pending rows by teacher and bucket.

    Args:
        planned: candidate ids by teacher and bucket.
        found: status by candidate id, by teacher.
    """
    rows: list[dict[str, str | int]] = []
    for (teacher, bucket), ids in sorted(planned.items()):
        there = Counter(found.get(teacher, {}).get(each, "pending") for each in ids)
        counts = {"made": there[MADE], "failed": there[FAILED], "pending": there["pending"]}
        rows.append({"teacher": teacher, "bucket": bucket, "planned": len(ids), **counts})
    return rows


@dataclass(frozen=True)
class Remaining:
    """Seconds that are left: the likeliest and an interval, whose end is infinite while too little is known."""

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
    """Estimates what is left from when rows became durable.

    Args:
        rows_per_block: rows that become durable together; fewer independent events make a wider interval.
    """

    def __init__(self, rows_per_block: int) -> None:
        self.rows_per_block = rows_per_block
        self.seen: deque[tuple[float, int]] = deque()

    def add(self, at: float, done: int) -> None:
        """At that second so many rows were durable. The first call says what was there before this run."""
        if not self.seen or done > self.seen[-1][1]:
            self.seen.append((at, done))

    def remaining(self, at: float, todo: int) -> Remaining | None:
        """What is left at that second of so many rows, or none while nothing is known."""
        if todo <= 0:
            return Remaining(0.0, 0.0, 0.0)
        if len(self.seen) < 3:  # what was there, the first that came, and one more
            return None
        first = self.seen[1][0]
        begin = at - max(LEAST_SECONDS, RECENT * (at - first))
        inside = [each for each in list(self.seen)[1:] if each[0] >= begin]
        start = inside[0] if len(inside) > 1 else self.seen[-2]
        rows, seconds = self.seen[-1][1] - start[1], at - start[0]
        if seconds <= 0:
            return None
        blocks = rows / self.rows_per_block
        error = WIDTH / sqrt(max(blocks, 1.0))
        likely = todo * seconds / rows
        return Remaining(likely, likely / (1 + error), likely / (1 - error) if error < 1 else inf)


def _words(seconds: float) -> str:
    """Rounded as a person would say it."""
    if seconds < 90:
        return f"{max(1, round(seconds / 10)) * 10} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} days"
