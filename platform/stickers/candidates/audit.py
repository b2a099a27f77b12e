"""Checks that a finished plan holds each planned candidate once, intact and made by the right teacher."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import count
from typing import Any

from stickers import storage
from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import CANDIDATES, MADE, PLAN, PlanRow
from stickers.candidates.archive import INDEX, INDEXED, PARTS
from stickers.candidates.plan import PLAN_FILE, SUPERSEDED
from stickers.errors import UserError
from stickers.video.codec import decode_strip

#: clips read together, so that auditing a part takes megabytes and not a multiple of its size
CLIPS_AT_A_TIME = 64


@dataclass(frozen=True)
class Fault:
    """`kind` is one of missing, doubled, unplanned, changed, wrong teacher, corrupt, misplaced and unindexed."""

    candidate_id: str
    kind: str
    detail: str = ""


def expected_rows(uri: str) -> dict[str, dict[str, Any]]:
    """The rows that a plan's index should hold, by id: its own and the remaining ones of a plan it supersedes."""
    header = storage.read_json(storage.join(uri, PLAN_FILE))
    rows = storage.read_table(storage.join(uri, "plan"), PLAN).to_pylist()
    expected = {row["candidate_id"]: row for row in rows}
    if header["supersedes"]:
        table = storage.read_table(storage.join(uri, "superseded.parquet"), SUPERSEDED)
        superseded = set(table["candidate_id"].to_pylist())
        earlier = expected_rows(storage.below(uri, f"../{header['supersedes']}"))
        expected = {name: row for name, row in earlier.items() if name not in superseded} | expected
    return expected


def audit_index(uri: str) -> list[Fault]:
    """The faults of a finished plan that its tables show."""
    expected = expected_rows(uri)
    index = storage.read_table(storage.join(uri, INDEX), INDEXED)
    facts = [column.name for column in fields(PlanRow)]
    rows = index.select(facts).to_pylist()
    times = Counter(row["candidate_id"] for row in rows)
    faults = [
        Fault(name, "missing", "it is planned but not in the index") for name in expected.keys() - times
    ]
    faults += [Fault(name, "doubled", f"{number} rows") for name, number in times.items() if number > 1]
    for row in rows:
        name = row["candidate_id"]
        if name not in expected:
            faults.append(Fault(name, "unplanned", "no plan names it"))
            continue
        differing = [fact for fact in facts if row[fact] != expected[name][fact]]
        if "checkpoint" in differing:
            detail = (
                f"{row['teacher']} with weights {row['checkpoint']}, planned {expected[name]['checkpoint']}"
            )
            faults.append(Fault(name, "wrong teacher", detail))
        elif differing:
            detail = ", ".join(
                f"{fact} is {row[fact]!r}, planned {expected[name][fact]!r}" for fact in differing
            )
            faults.append(Fault(name, "changed", detail))
    return sorted(faults, key=lambda fault: (fault.kind, fault.candidate_id))


def parts_of(uri: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of a finished plan's index by the URI of their part. All of the plan's own parts are listed."""
    names = ["candidate_id", "part", "row_group", "row", "status", "num_frames", "clip_digest"]
    index = storage.read_table(storage.join(uri, INDEX), INDEXED, columns=names).sort_by("part")
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part in storage.listing(storage.join(uri, PARTS))}
    start = 0
    for part in index["part"].value_counts().to_pylist():
        rows[storage.below(uri, part["values"])] = index.slice(start, part["counts"]).to_pylist()
        start += part["counts"]
    return dict(sorted(rows.items()))


def audit_part(uri: str, part: str, indexed: Iterable[dict[str, Any]], *, decode: bool = True) -> list[Fault]:
    """The faults of the clips in one part. Each clip is read, compared with its digest and decoded.

    Args:
        indexed: the part's rows of the index, see `parts_of`.
        decode: whether to decode clips. Without it a clip with the right digest counts as intact, because it was
            decoded and scored when it was made; this takes a fraction of the time.
    """
    expected, faults = {row["candidate_id"]: row for row in indexed}, []
    positions: defaultdict[str, list[int]] = defaultdict(list)  # row numbers in the part, by id
    numbers = count()
    try:
        for table in storage.read_batches(
            part, CANDIDATES, columns=["candidate_id", "clip"], rows=CLIPS_AT_A_TIME
        ):
            for row in table.to_pylist():
                positions[row["candidate_id"]].append(next(numbers))
                if row["candidate_id"] in expected:
                    faults += _check(expected[row["candidate_id"]], row["clip"], decode)
    except UserError as error:
        faults += [Fault(name, "corrupt", str(error)) for name in expected.keys() - positions]
    else:
        faults += [Fault(name, "missing", f"{part} does not hold it") for name in expected.keys() - positions]
        starts = storage.group_starts(part)
        faults += [
            Fault(name, "misplaced", f"{part} does not hold it at the position in the index")
            for name, row in expected.items()
            if name in positions and _number(row, starts) not in positions[name]
        ]
    faults += [
        Fault(name, "doubled", f"rows {at} of {part}") for name, at in positions.items() if len(at) > 1
    ]
    if part.startswith(storage.join(uri, PARTS) + "/"):
        faults += [Fault(name, "unindexed", part) for name in positions.keys() - expected.keys()]
    return sorted(faults, key=lambda fault: (fault.kind, fault.candidate_id))


def _number(row: dict[str, Any], starts: list[int]) -> int:
    """The number of an indexed row within its part; -1 when the part has no such row."""
    return starts[row["row_group"]] + row["row"] if row["row_group"] < len(starts) else -1


def _check(row: dict[str, Any], strip: bytes | None, decode: bool) -> list[Fault]:
    """The faults of one clip, compared with its row of the index."""
    name = row["candidate_id"]
    if row["status"] != MADE:
        return []
    if strip is None:
        return [Fault(name, "corrupt", "it is made but has no clip")]
    if clip_digest(strip) != row["clip_digest"]:
        return [Fault(name, "corrupt", "its clip does not have the digest in the index")]
    try:
        if decode:
            decode_strip(strip, row["num_frames"])
    except UserError as error:
        return [Fault(name, "corrupt", str(error))]
    return []
