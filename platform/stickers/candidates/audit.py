"""Is everything there that a plan asks for, once, by the right teacher and whole? What is not is a named fault."""

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

#: so that looking at a part takes megabytes and not its own size several times
CLIPS_AT_A_TIME = 64


@dataclass(frozen=True)
class Fault:
    """`what` is one of missing, doubled, unplanned, changed, wrong teacher, corrupt, misplaced and unindexed."""

    candidate_id: str
    what: str
    detail: str = ""


def asked_for(uri: str) -> dict[str, dict[str, Any]]:
    """The rows that a plan's index should hold, by id: its own, and of the plan that it regenerates the rest."""
    header = storage.read_json(storage.join(uri, PLAN_FILE))
    rows = storage.read_table(storage.join(uri, "plan"), PLAN).to_pylist()
    found = {row["candidate_id"]: row for row in rows}
    if header["supersedes"]:
        table = storage.read_table(storage.join(uri, "superseded.parquet"), SUPERSEDED)
        gone = set(table["candidate_id"].to_pylist())
        before = asked_for(storage.below(uri, f"../{header['supersedes']}"))
        found = {name: row for name, row in before.items() if name not in gone} | found
    return found


def audit_index(uri: str) -> list[Fault]:
    """Faults of a finished plan that its tables tell of."""
    asked = asked_for(uri)
    index = storage.read_table(storage.join(uri, INDEX), INDEXED)
    facts = [each.name for each in fields(PlanRow)]
    rows = index.select(facts).to_pylist()
    times = Counter(row["candidate_id"] for row in rows)
    faults = [
        Fault(name, "missing", "it is planned, the index does not hold it") for name in asked.keys() - times
    ]
    faults += [Fault(name, "doubled", f"{number} rows") for name, number in times.items() if number > 1]
    for row in rows:
        name = row["candidate_id"]
        if name not in asked:
            faults.append(Fault(name, "unplanned", "no plan names it"))
            continue
        differing = [fact for fact in facts if row[fact] != asked[name][fact]]
        if "checkpoint" in differing:
            detail = f"{row['teacher']} with weights {row['checkpoint']}, planned {asked[name]['checkpoint']}"
            faults.append(Fault(name, "wrong teacher", detail))
        elif differing:
            detail = ", ".join(
                f"{fact} is {row[fact]!r}, planned {asked[name][fact]!r}" for fact in differing
            )
            faults.append(Fault(name, "changed", detail))
    return sorted(faults, key=lambda each: (each.what, each.candidate_id))


def parts_of(uri: str) -> dict[str, list[dict[str, Any]]]:
    """What a finished plan's index says of the clips in each part, by its place; of its own parts all, named or not."""
    names = ["candidate_id", "part", "row_group", "row", "status", "num_frames", "clip_digest"]
    index = storage.read_table(storage.join(uri, INDEX), INDEXED, columns=names).sort_by("part")
    found: dict[str, list[dict[str, Any]]] = {part: [] for part in storage.listing(storage.join(uri, PARTS))}
    start = 0
    for each in index["part"].value_counts().to_pylist():
        found[storage.below(uri, each["values"])] = index.slice(start, each["counts"]).to_pylist()
        start += each["counts"]
    return dict(sorted(found.items()))


def audit_part(uri: str, part: str, indexed: Iterable[dict[str, Any]], *, decode: bool = True) -> list[Fault]:
    """Faults of the clips in one part: each is read, compared with its digest and decoded.

    Args:
        indexed: what the index says of them, see `parts_of`.
        decode: without, a clip with the right digest is taken to be the one that was decoded and scored when it was
            made, which costs a fraction.
    """
    wanted, faults = {row["candidate_id"]: row for row in indexed}, []
    seen: defaultdict[str, list[int]] = defaultdict(list)  # where each lies, counting the part's rows
    numbers = count()
    try:
        for table in storage.read_batches(
            part, CANDIDATES, columns=["candidate_id", "clip"], rows=CLIPS_AT_A_TIME
        ):
            for row in table.to_pylist():
                seen[row["candidate_id"]].append(next(numbers))
                if row["candidate_id"] in wanted:
                    faults += _look(wanted[row["candidate_id"]], row["clip"], decode)
    except UserError as error:
        faults += [Fault(name, "corrupt", str(error)) for name in wanted.keys() - seen]
    else:
        faults += [Fault(name, "missing", f"{part} does not hold it") for name in wanted.keys() - seen]
        starts = storage.group_starts(part)
        faults += [
            Fault(name, "misplaced", f"{part} does not hold it where the index says")
            for name, row in wanted.items()
            if name in seen and _number(row, starts) not in seen[name]
        ]
    faults += [Fault(name, "doubled", f"rows {at} of {part}") for name, at in seen.items() if len(at) > 1]
    if part.startswith(storage.join(uri, PARTS) + "/"):
        faults += [Fault(name, "unindexed", part) for name in seen.keys() - wanted.keys()]
    return sorted(faults, key=lambda each: (each.what, each.candidate_id))


def _number(row: dict[str, Any], starts: list[int]) -> int:
    """Which row of its part the index means; -1 when there is no such row."""
    return starts[row["row_group"]] + row["row"] if row["row_group"] < len(starts) else -1


def _look(row: dict[str, Any], strip: bytes | None, decode: bool) -> list[Fault]:
    """Whether a clip is the one that the index promises."""
    name = row["candidate_id"]
    if row["status"] != MADE:
        return []
    if strip is None:
        return [Fault(name, "corrupt", "it is made and has no clip")]
    if clip_digest(strip) != row["clip_digest"]:
        return [Fault(name, "corrupt", "its clip is not the one that its digest names")]
    try:
        if decode:
            decode_strip(strip, row["num_frames"])
    except UserError as error:
        return [Fault(name, "corrupt", str(error))]
    return []
