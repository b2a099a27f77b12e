"""What candidates cost and what people kept of them, by teacher and bucket: the price of a kept clip.

Everything that was made counts, what failed and what was made again included; a clip counts as judged once people have
decided over its plan.
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
        return self.teacher, self.bucket

    @property
    def seconds_each(self) -> float:
        """Per made candidate; what failed is part of the price."""
        return self.seconds / self.made if self.made else inf

    @property
    def keep_rate(self) -> float | None:
        """Of the judged ones, or none before anyone has judged."""
        return self.kept / self.judged if self.judged else None

    @property
    def keep_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the keep rate."""
        if not self.judged:
            return 0.0, 1.0
        found = binomtest(self.kept, self.judged).proportion_ci(method="wilson")
        return float(found.low), float(found.high)

    @property
    def seconds_per_kept(self) -> float | None:
        """What one kept clip costs; infinite while none is kept, none before anyone has judged."""
        rate = self.keep_rate
        return None if rate is None else self.seconds_each / rate if rate else inf

    @property
    def seconds_per_kept_interval(self) -> tuple[float, float]:
        """By the keep rate's interval; the price of making is taken as known."""
        low, high = self.keep_interval
        return self.seconds_each / high, self.seconds_each / low if low else inf


def spent(uri: str) -> Iterator[Candidate]:
    """Every candidate that a finished plan paid for: its own, and those of the plans before it that it replaced, also
    where it made them again under the same id."""
    mine = Candidates(uri)
    yield from mine
    known = {(row.candidate_id, row.plan_id) for row in mine}
    before = storage.read_json(storage.join(uri, PLAN_FILE))["supersedes"]
    if before:
        yield from (
            row
            for row in spent(storage.below(uri, f"../{before}"))
            if (row.candidate_id, row.plan_id) not in known
        )


def spending(rows: Iterable[Candidate], rates: Iterable[Mapping[str, str | int]] = ()) -> list[Cell]:
    """Cells sorted by teacher and bucket.

    Args:
        rows: everything that was paid for.
        rates: of what people have judged: teacher, bucket, made and kept, as a kept set's record has them.
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
    found: defaultdict[tuple[str, str], list[Cell]] = defaultdict(list)
    for each in cells:
        found[each.name].append(each)
    return [total(some, *name) for name, some in sorted(found.items())]


def total(cells: Sequence[Cell], teacher: str = "all", bucket: str = "") -> Cell:
    """Several cells as one."""
    return Cell(
        teacher=teacher,
        bucket=bucket,
        made=sum(each.made for each in cells),
        failed=sum(each.failed for each in cells),
        seconds=sum(each.seconds for each in cells),
        judged=sum(each.judged for each in cells),
        kept=sum(each.kept for each in cells),
    )


def unit_of(uri: str) -> str:
    """What a finished plan's seconds are of: GPU, CPU, or both."""
    names = Candidates(uri).table["device"].unique().to_pylist()
    kinds = {"CPU" if name == "cpu" else "GPU" for name in names}
    return " and ".join(sorted(kinds)) or "CPU"
