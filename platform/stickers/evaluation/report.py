"""What a run achieved, on one page that needs nothing else: `render_report` gives a complete HTML file.

Clips travel in it as lossless strips (data URIs) and play on canvases from one clock, so all of them keep step, pause
together and can be stepped frame by frame. Nothing is fetched from anywhere.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from stickers.errors import UserError

TEMPLATE = "report.html.j2"
ERROR = "error"
MIN_AXIS, MAX_AXIS = 1.25, 3.0
"""The plot of errors reaches at least so far, so that the frozen still at 1 stands inside it, and at most so far."""
MIN_REACH = 0.01
"""The plot of another metric reaches at least so far."""
MARGIN = 1.02

Kind = Literal["still", "foundation", "teacher", "student", "distilled", "truth", "reference"]


@dataclass(frozen=True, kw_only=True)
class ReportClip:
    """One looping sticker: a strip of `num_frames` frames of `size` pixels a side. `note` is a few words below it."""

    strip: bytes
    num_frames: int
    fps: float
    size: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ComparedSystem:
    """A system of the comparison; `name` is its key in every row and in the figures."""

    name: str
    kind: Kind
    label: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class PromptRow:
    """A held-out prompt: the clips of each column by its name; a column may show several, or none."""

    prompt: str
    bucket: str
    clips: Mapping[str, Sequence[ReportClip]]


@dataclass(frozen=True, kw_only=True)
class StageCount:
    """A number on the way from videos to the served student, with the stage it belongs to."""

    stage: str
    label: str
    value: int
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricColumn:
    """A metric of the figures. `better` says which way is good; the first metric of a report is drawn as a plot."""

    name: str
    better: Literal["less", "more", "neither"]
    explanation: str


@dataclass(frozen=True, kw_only=True)
class FigureRow:
    """A system's metrics by name: value and the bounds of its 95 % interval."""

    name: str
    kind: Kind
    values: Mapping[str, tuple[float, float, float]]
    count: int


@dataclass(frozen=True, kw_only=True)
class GapRow:
    """A paired difference of a metric. `better` is "less", "more" or "neither"."""

    system: str
    baseline: str
    metric: str
    better: str
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """better, worse, different or undecided."""
        if self.low <= 0 <= self.high:
            return "undecided"
        if self.better == "neither":
            return "different"
        return "better" if (self.high < 0) == (self.better == "less") else "worse"


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """The seconds that a stage took; `note` is a few words beside them."""

    stage: str
    seconds: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Where to go on: the command that opens it, and the local address it then has."""

    label: str
    command: str
    address: str


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything the page says.

    `facts` are short label-value pairs: project, revision, digests. `simulated_by` says who chose in place of people.
    """

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    columns: Sequence[ComparedSystem]
    rows: Sequence[PromptRow]
    counts: Sequence[StageCount]
    verdicts: Sequence[str]
    metrics: Sequence[MetricColumn]
    figures: Sequence[FigureRow]
    gaps: Sequence[GapRow]
    times: Sequence[StageTime]
    pointers: Sequence[Pointer]
    simulated: bool
    simulated_by: str = "simulated people"
    still_at: int = 3


def render_report(data: ReportData) -> str:
    """The page as HTML.

    Raises:
        UserError: a row shows a system that no column names.
    """
    names = {column.name for column in data.columns}
    for row in data.rows:
        foreign = sorted(set(row.clips) - names)
        if foreign:
            raise UserError(
                f"prompt {row.prompt!r} shows {foreign[0]!r}, which no column of the report names"
            )
    return page_template(TEMPLATE).render(
        data=data,
        axis=_axis(data),
        stages=_by_stage(data.counts),
        longest=max([1.0, *(time.seconds for time in data.times)]),
        total=sum(time.seconds for time in data.times),
    )


def _axis(data: ReportData) -> float:
    """The upper end of the plot of the first metric."""
    if not data.metrics:
        return 1.0
    highs = [
        row.values[data.metrics[0].name][2] for row in data.figures if data.metrics[0].name in row.values
    ]
    reach = max([MIN_AXIS, *highs]) if data.metrics[0].name == ERROR else max([*highs, MIN_REACH])
    return min(reach, MAX_AXIS) * MARGIN if data.metrics[0].name == ERROR else reach * MARGIN


def page_template(name: str) -> Template:
    """A page of this folder: escaped, strict about names, with filters for strips, durations and counts."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "duration": duration, "thousands": lambda n: f"{n:,}"}
    return environment.get_template(name)


def duration(seconds: float) -> str:
    """Seconds in words: `42 s`, `3 min 05 s`, `1 h 20 min`."""
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s" if rounded else f"{seconds:.1f} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def _data_uri(strip: bytes) -> str:
    return "data:image/webp;base64," + b64encode(strip).decode()


def _by_stage(counts: Sequence[StageCount]) -> list[tuple[str, list[StageCount], int]]:
    """Stages in the order of their first count, with the largest of each, which its bars are drawn against."""
    stages: dict[str, list[StageCount]] = {}
    for count in counts:
        stages.setdefault(count.stage, []).append(count)
    return [(name, rows, max([1, *(row.value for row in rows)])) for name, rows in stages.items()]
