"""The page on which a person chooses teachers: every figure with its interval, and the clips themselves.

It is one HTML file like the report, with the same looping strips: on every prompt shown, each teacher's best clip
beside its typical one, because people keep the best and look through the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stickers.errors import UserError
from stickers.evaluation.report import PromptRow, page_template
from stickers.evaluation.teacher_selection import Interval, Pilot, Step, TeacherFigures

TEMPLATE = "teacher_page.html.j2"


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """What prompts of one motion or bucket get: each teacher's best clips in the order of the columns, and the
    ensemble's; `leader` is the column that is ahead of all others by more than the tolerance, or -1."""

    name: str
    count: int
    cells: Sequence[Interval]
    ensemble: Interval
    leader: int


@dataclass(frozen=True, kw_only=True)
class ChoosingData:
    """Everything the page says.

    From `able` on a clip is worth sharing. `teachers` are in the order of the columns and of the rows and columns of
    both overlaps; `suggested` are those that a program would take at `threshold`; `choice` is a sentence on the choice
    that stands, or empty; `rows` hold, for each teacher, its best and its typical clip.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    quality: str
    simulated: bool
    able: float
    tolerance: float
    threshold: float
    teachers: Sequence[TeacherFigures]
    steps: Sequence[Step]
    suggested: Sequence[str]
    buckets: Sequence[GroupRow]
    groups: Sequence[GroupRow]
    speed_edges: Sequence[float]
    speed_shares: Sequence[Sequence[float]]
    quality_overlap: Sequence[Sequence[float]]
    speed_overlap: Sequence[Sequence[float]]
    rows: Sequence[PromptRow]
    choice: str
    command: str
    still_at: int = 3


def choosing_data(
    pilot: Pilot,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    quality: str,
    simulated: bool,
    threshold: float,
    suggested: Sequence[str],
    rows: Sequence[PromptRow],
    choice: str,
    command: str,
) -> ChoosingData:
    """The page's data, counted from a pilot."""
    shares = pilot.speed_shares()
    by_bucket = pilot.buckets != pilot.groups  # elsewhere than in the toy world the two are one
    return ChoosingData(
        title=title,
        facts=facts,
        quality=quality,
        simulated=simulated,
        able=pilot.able,
        tolerance=pilot.tolerance,
        threshold=threshold,
        teachers=pilot.figures(),
        steps=pilot.greedy(),
        suggested=suggested,
        buckets=group_rows(pilot, pilot.buckets),
        groups=group_rows(pilot, pilot.groups) if by_bucket else [],
        speed_edges=pilot.speed_bins().tolist(),
        speed_shares=[shares[name].tolist() for name in pilot.teachers],
        quality_overlap=pilot.quality_overlap().tolist(),
        speed_overlap=pilot.speed_overlap().tolist(),
        rows=rows,
        choice=choice,
        command=command,
    )


def group_rows(pilot: Pilot, names: tuple[str, ...]) -> list[GroupRow]:
    """Best clips by the groups that `names` puts each prompt into, in alphabetical order."""
    rows = []
    for name in sorted(set(names)):
        mask = np.array(names) == name
        cells = [pilot.average(best, mask) for best in pilot.best]
        order = sorted(range(len(cells)), key=lambda index: cells[index].value, reverse=True)
        second = cells[order[1]].value if len(cells) > 1 else np.inf
        ahead = cells[order[0]].value - second > pilot.tolerance
        everyone = pilot.of(range(len(pilot.teachers)))
        rows.append(
            GroupRow(
                name=name,
                count=int(mask.sum()),
                cells=cells,
                ensemble=pilot.average(everyone, mask),
                leader=order[0] if ahead else -1,
            )
        )
    return rows


def render_choosing(data: ChoosingData) -> str:
    """The whole page.

    Raises:
        UserError: a row shows a teacher that the figures do not name.
    """
    names = {figures.teacher for figures in data.teachers}
    for row in data.rows:
        foreign = sorted(set(row.clips) - names)
        if foreign:
            raise UserError(f"prompt {row.prompt!r} shows {foreign[0]!r}, which is no teacher of the page")
    tallest = max([0.01, *(share for shares in data.speed_shares for share in shares)])
    return page_template(TEMPLATE).render(data=data, tallest=tallest)
