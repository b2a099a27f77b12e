"""People's decisions on the review's pages: reads `decisions.csv` strictly and splits the table by it.

Decisions take people hours, so nothing in them is guessed: decisions that do not fit the table are refused before
anything is written.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from stickers.curation.video_tables import VideoTable, with_column
from stickers.errors import UserError
from stickers.storage.outside import open_table

COLUMNS = ("file", "decision", "reason", "reviewer", "time")
ACCEPT, REJECT = "accept", "reject"


@dataclass(frozen=True)
class Decision:
    """One person's decision on one video. `reason` is empty where it is accepted, `time` is ISO 8601."""

    file: str
    decision: str
    reason: str
    reviewer: str
    time: str


@dataclass(frozen=True)
class Parted:
    """A reviewed table.

    `accepted` has its columns, `rejected` also reason, reviewer and time. `unreviewed` counts the rows without a
    decision, whether or not they are in `accepted`; `reasons` counts the rejected rows of each reason.
    """

    accepted: pa.Table
    rejected: pa.Table
    unreviewed: int
    reasons: Counter[str]


def read_decisions(paths: Sequence[str | Path]) -> list[Decision]:
    """The decisions of one or several downloads.

    Raises:
        UserError: a file is absent or no CSV table, a column is missing, or a row neither accepts nor rejects.
    """
    return [decision for path in paths for decision in _read(Path(path))]


def part(table: VideoTable, decisions: Sequence[Decision], *, keep_unreviewed: bool = False) -> Parted:
    """Split the table into the rows that people accepted and those that they rejected.

    Raises:
        UserError: a decision names a file that the table does not have, or one file is accepted and rejected.
    """
    by_file = _agreed(table, decisions)
    rows = [by_file.get(name) for name in table.names]
    accepted = [
        number for number, row in enumerate(rows) if (row[0].decision == ACCEPT if row else keep_unreviewed)
    ]
    rejections = {number: row for number, row in enumerate(rows) if row and row[0].decision == REJECT}
    rejected = table.rows.take(list(rejections))
    for column in ("reason", "reviewer", "time"):
        texts = ["; ".join(dict.fromkeys(getattr(one, column) for one in row)) for row in rejections.values()]
        rejected = with_column(rejected, column, texts)
    return Parted(
        accepted=table.rows.take(accepted),
        rejected=rejected,
        unreviewed=sum(row is None for row in rows),
        reasons=Counter(reason for row in rejections.values() for reason in {one.reason for one in row}),
    )


def _read(path: Path) -> list[Decision]:
    if not path.is_file():
        raise UserError(f"there are no decisions {path}")
    rows = [row.values for row in open_table(path, needed=COLUMNS, suffixes=(".csv",)).rows()]
    for number, row in enumerate(rows, 1):
        if row["decision"] not in (ACCEPT, REJECT):
            raise UserError(
                f"{path}: row {number} decides {row['decision']!r}; accepted are accept and reject"
            )
        if row["decision"] == REJECT and not row["reason"].strip():
            raise UserError(f"{path}: row {number} rejects {row['file']} without a reason")
    return [Decision(*(row[column] for column in COLUMNS)) for row in rows]


def _agreed(table: VideoTable, decisions: Sequence[Decision]) -> dict[str, list[Decision]]:
    """Decisions by the table's name for the file; those on one file agree."""
    names = {name: name for name in table.names} | dict(zip(table.files, table.names, strict=True))
    by_file: dict[str, list[Decision]] = {}
    for decision in decisions:
        if decision.file not in names:
            raise UserError(f"a decision names {decision.file}, which is not in the table")
        earlier = by_file.setdefault(names[decision.file], [])
        if earlier and earlier[0].decision != decision.decision:
            raise UserError(
                f"{decision.file} is contradicted: {earlier[0].reviewer} ({earlier[0].time}) says "
                f"{earlier[0].decision}, {decision.reviewer} ({decision.time}) says {decision.decision}"
            )
        earlier.append(decision)
    return by_file
