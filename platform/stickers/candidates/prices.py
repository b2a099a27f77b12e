"""The cost of candidates, and how many of them people kept, by teacher and bucket: the price of a kept clip.

All candidates count, also failed and regenerated ones. A clip counts as judged once people have decided on its plan.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from scipy.stats import binomtest

from stickers import storage
from stickers.artifacts.records import MADE, Candidate
from stickers.candidates.archive import Candidates
from stickers.candidates.plan import PLAN_FILE


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A teacher's candidates in a bucket.

    `seconds` were spent on all of them, made and failed. Of the `judged` ones people kept `kept`.
    """

    teacher: str
    bucket: str
    made: int
    failed: int
    seconds: float
    judged: int = 0
    kept: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """The teacher and the bucket."""
        return self.teacher, self.bucket

    @property
    def seconds_each(self) -> float:
        """Seconds per made candidate; failed ones are part of the price."""
        return self.seconds / self.made if self.made else inf

    @property
    def keep_rate(self) -> float | None:
        """The share of judged candidates that was kept; None while nothing is judged."""
        return self.kept / self.judged if self.judged else None

    @property
    def keep_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the keep rate."""
        if not self.judged:
            return 0.0, 1.0
        interval = binomtest(self.kept, self.judged).proportion_ci(method="wilson")
        return float(interval.low), float(interval.high)

    @property
    def seconds_per_kept(self) -> float | None:
        """The price of one kept clip; infinite while none is kept, None while nothing is judged."""
        rate = self.keep_rate
        return None if rate is None else self.seconds_each / rate if rate else inf

    @property
    def seconds_per_kept_interval(self) -> tuple[float, float]:
        """From the interval of the keep rate; the price of a made clip counts as exact."""
        low, high = self.keep_interval
        return self.seconds_each / high, self.seconds_each / low if low else inf


def spent(uri: str) -> Iterator[Candidate]:
    """All candidates that a finished plan paid for: its own, and those of superseded plans that it replaced, also where
    the new ones have the same ids."""
    candidates = Candidates(uri)
    yield from candidates
    current = {(row.candidate_id, row.plan_id) for row in candidates}
    supersedes = storage.read_json(storage.join(uri, PLAN_FILE))["supersedes"]
    if supersedes:
        yield from (
            row
            for row in spent(storage.below(uri, f"../{supersedes}"))
            if (row.candidate_id, row.plan_id) not in current
        )


def spending(rows: Iterable[Candidate], rates: Iterable[Mapping[str, str | int]] = ()) -> list[Cell]:
    """Cells sorted by teacher and bucket.

    Args:
        rows: all candidates that were paid for.
        rates: teacher, bucket, and numbers of made and kept clips, as in the record of a kept set.
    """
    counts: Counter[tuple[str, str, bool]] = Counter()
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        counts[row.teacher, row.bucket, row.status == MADE] += 1
        seconds[row.teacher, row.bucket] += row.seconds
    judged: Counter[tuple[str, str]] = Counter()
    kept: Counter[tuple[str, str]] = Counter()
    for rate in rates:
        cell = str(rate["teacher"]), str(rate["bucket"])
        judged[cell] += int(rate["made"])
        kept[cell] += int(rate["kept"])
    return [
        Cell(
            teacher=teacher,
            bucket=bucket,
            made=counts[teacher, bucket, True],
            failed=counts[teacher, bucket, False],
            seconds=seconds[teacher, bucket],
            judged=judged[teacher, bucket],
            kept=kept[teacher, bucket],
        )
        for teacher, bucket in sorted(seconds)
    ]


def together(cells: Iterable[Cell]) -> list[Cell]:
    """The cells of several plans added up."""
    by_name: defaultdict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        by_name[cell.name].append(cell)
    return [total(group, *name) for name, group in sorted(by_name.items())]


def total(cells: Sequence[Cell], teacher: str = "all", bucket: str = "") -> Cell:
    """Several cells as one."""
    return Cell(
        teacher=teacher,
        bucket=bucket,
        made=sum(cell.made for cell in cells),
        failed=sum(cell.failed for cell in cells),
        seconds=sum(cell.seconds for cell in cells),
        judged=sum(cell.judged for cell in cells),
        kept=sum(cell.kept for cell in cells),
    )


def unit_of(uri: str) -> str:
    """The kind of device that a finished plan's seconds were spent on: GPU, CPU or both."""
    names = Candidates(uri).table["device"].unique().to_pylist()
    kinds = {"CPU" if name == "cpu" else "GPU" for name in names}
    return " and ".join(sorted(kinds)) or "CPU"
