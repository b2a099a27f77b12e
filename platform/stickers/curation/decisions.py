"""What people decided on the review's pages: `decisions.csv` read strictly, and the table parted by it.

Decisions are work of hours, so nothing in them is guessed: what does not fit the table is refused before anything is
written.
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
    """What one person said of one video. `reason` is empty where it is accepted, `time` is ISO 8601."""

    file: str
    decision: str
    reason: str
    reviewer: str
    time: str


@dataclass(frozen=True)
class Parted:
    """A reviewed table: `accepted` has its columns, `rejected` also reason, reviewer and time; how many rows nobody
    looked at, whether or not they are in `accepted`; and how often each reason was given."""

    accepted: pa.Table
    rejected: pa.Table
    unreviewed: int
    reasons: Counter[str]


def read_decisions(paths: Sequence[str | Path]) -> list[Decision]:
    """The decisions of one or several downloads.

    Raises:
        UserError: a file is absent or no CSV table, a column is missing, or a row decides nothing that is known.
    """
    return [decision for path in paths for decision in _read(Path(path))]


def part(table: VideoTable, decisions: Sequence[Decision], *, keep_unreviewed: bool = False) -> Parted:
    """The rows that people accepted, and those that they rejected.

    Raises:
        UserError: a decision names a file that the table does not have, or one file is accepted and rejected.
    """
    by_file = _agreed(table, decisions)
    rows = [by_file.get(name) for name in table.names]
    kept = [at for at, said in enumerate(rows) if (said[0].decision == ACCEPT if said else keep_unreviewed)]
    out = [(at, said) for at, said in enumerate(rows) if said and said[0].decision == REJECT]
    rejected = table.rows.take([at for at, _ in out])
    for column in ("reason", "reviewer", "time"):
        texts = ["; ".join(dict.fromkeys(getattr(each, column) for each in said)) for _, said in out]
        rejected = with_column(rejected, column, texts)
    return Parted(
        accepted=table.rows.take(kept),
        rejected=rejected,
        unreviewed=sum(said is None for said in rows),
        reasons=Counter(reason for _, said in out for reason in {each.reason for each in said}),
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
    """Decisions by the table's name for the file; all of one file say the same."""
    known = {name: name for name in table.names} | dict(zip(table.files, table.names, strict=True))
    by_file: dict[str, list[Decision]] = {}
    for each in decisions:
        if each.file not in known:
            raise UserError(f"a decision names {each.file}, which is not in the table")
        said = by_file.setdefault(known[each.file], [])
        if said and said[0].decision != each.decision:
            raise UserError(
                f"{each.file} is contradicted: {said[0].reviewer} ({said[0].time}) says {said[0].decision}, "
                f"{each.reviewer} ({each.time}) says {each.decision}"
            )
        said.append(each)
    return by_file
