"""The candidates of a plan on storage, while they are made and when they are finished.

While a plan is made, its rows lie in many small blocks, each durable once written. A finished plan is compacted: its
rows lie in parts of a few hundred MiB below `clips/`, and an index holds all columns but the clip with the position of
each row, so any clip is one read. Clips are streamed from blocks to parts, so memory does not grow with the plan.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute

from stickers import storage
from stickers.artifacts.ids import clip_digest
from stickers.artifacts.records import CANDIDATES, FAILED, MADE, Candidate
from stickers.artifacts.schema import concat, records_of, versioned, without
from stickers.candidates.driver import DRIVER
from stickers.candidates.plan import Plan
from stickers.candidates.scoring import flags_of
from stickers.errors import UserError

INDEX, PARTS = "index.parquet", "clips"
#: bytes of clips after which a new part begins
PART_BYTES = 256 << 20
#: rows that are read together; a clip of 512 pixels takes a few hundred KiB
ROWS_PER_GROUP = 4
#: the reason of a candidate whose clip was removed because somebody withdrew the sticker
WITHDRAWN = "its sticker was withdrawn"
INDEX_ROWS_PER_GROUP = 4096
#: all columns but the clip
FACTS = [column.name for column in fields(Candidate) if column.name != "clip"]
INDEXED = versioned(
    "Index",
    [
        *(CANDIDATES.field(name) for name in FACTS),
        pa.field("part", pa.string(), nullable=False, metadata={"unit": "place, from the plan's folder"}),
        pa.field("row_group", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False, metadata={"unit": "of its row group"}),
    ],
)


def blocks(folder: str) -> list[str]:
    """The durable files of rows below `folder`."""
    uris = storage.listing(storage.join(folder, "rows"), recursive=True)
    return [uri for uri in uris if uri.endswith(".parquet")]


def durable(folder: str) -> dict[str, str]:
    """The status of each durable row below `folder`, by candidate id. No clip is read."""
    statuses: dict[str, str] = {}
    for block in blocks(folder):
        table = storage.read_table(block, CANDIDATES, columns=["candidate_id", "status"])
        statuses |= zip(table["candidate_id"].to_pylist(), table["status"].to_pylist(), strict=True)
    return statuses


def compact(uri: str, plan: Plan, folders: Iterable[str]) -> None:
    """Stream the last row of every planned id from the blocks below `folders` into parts, and write the index.

    The index of a regeneration also lists the remaining rows of the plan that it supersedes, in their parts.

    Args:
        folders: with the rows of each pass, in order; the last row of an id counts.
    """
    holder: dict[str, str] = {}
    for folder in folders:
        for block in blocks(folder):
            ids = storage.read_table(block, CANDIDATES, columns=["candidate_id"])["candidate_id"].to_pylist()
            holder |= dict.fromkeys(ids, block)
    order = {row.candidate_id: number for number, row in enumerate(plan.rows)}
    assert holder.keys() == order.keys(), "not the planned ids"
    first: dict[str, int] = {}
    for identity, block in holder.items():
        first[block] = min(order[identity], first.get(block, len(order)))
    parts = _Parts(uri)
    for block in sorted(first, key=lambda block: first[block]):
        table = storage.read_table(block, CANDIDATES)
        ids = table["candidate_id"].to_pylist()
        rows = {identity: row for row, identity in enumerate(ids) if holder[identity] == block}
        planned_order = sorted(rows, key=lambda identity: order[identity])
        parts.add(table.take([rows[identity] for identity in planned_order]))
    index = [parts.close()]
    if plan.supersedes:
        index.append(
            _remaining(plan.supersedes, storage.below(uri, f"../{plan.supersedes}"), plan.superseded)
        )
    table = concat(index, uri).sort_by("candidate_id").combine_chunks()
    storage.write_table(storage.join(uri, INDEX), table, INDEXED, rows_per_group=INDEX_ROWS_PER_GROUP)


def _remaining(plan_id: str, uri: str, superseded: Iterable[str]) -> pa.Table:
    """The index of another plan without its superseded rows; its parts are relative to a folder beside it."""
    table = storage.read_table(storage.join(uri, INDEX), INDEXED)
    replaced = pa.compute.is_in(table["candidate_id"], value_set=pa.array(list(superseded), pa.string()))
    table = table.filter(pa.compute.invert(replaced))
    parts = [part if part.startswith("../") else f"../{plan_id}/{part}" for part in table["part"].to_pylist()]
    return table.set_column(
        table.column_names.index("part"), INDEXED.field("part"), pa.array(parts, pa.string())
    )


def remove_blocks(uri: str) -> None:
    """Delete the temporary files of a finished plan: blocks, notes, conditions and the driver's signature."""
    for name in ("candidates", "trying", "conditions", DRIVER):
        if storage.exists(storage.join(uri, name)):
            storage.remove(storage.join(uri, name))


def withdraw_stickers(uri: str, sticker_ids: Collection[str]) -> None:
    """Remove stickers and the clips that were made of them from a finished plan.

    Their candidates stay as failed ones with the reason `WITHDRAWN`: ids and places of all others stay as they are.
    """
    index = storage.read_table(storage.join(uri, INDEX), INDEXED, columns=["sticker_id", "part"])
    parts = {row["part"] for row in index.to_pylist() if row["sticker_id"] in sticker_ids}
    for part in sorted(part for part in parts if not part.startswith("../")):
        storage.rewrite_table(storage.join(uri, part), lambda table: _emptied(table, sticker_ids))
    storage.rewrite_table(
        storage.join(uri, "stickers.parquet"), lambda table: without(table, "sticker_id", sticker_ids)
    )
    if parts:
        storage.rewrite_table(storage.join(uri, INDEX), lambda table: _emptied(table, sticker_ids))


def _emptied(table: pa.Table, sticker_ids: Collection[str]) -> pa.Table:
    """Candidates without the clips of some stickers."""
    hit = pa.compute.is_in(table["sticker_id"], value_set=pa.array(sorted(sticker_ids), pa.string()))
    values = {"status": FAILED, "error": WITHDRAWN, "clip": None, "clip_digest": None}
    for name in values.keys() & set(table.column_names):
        field = table.schema.field(name)
        value = pa.scalar(values[name], field.type)
        column = pa.compute.if_else(hit, value, table[name])
        table = table.set_column(table.column_names.index(name), field, column)
    return table


class _Parts:
    """Writes rows part by part and keeps an index of their positions."""

    def __init__(self, uri: str) -> None:
        self.uri, self.index = uri, [INDEXED.empty_table()]
        self.number, self.bytes, self.groups, self.schema = 0, 0, 0, CANDIDATES
        self.writer: storage.TableWriter | None = None

    def add(self, table: pa.Table) -> None:
        if table.schema != self.schema:  # blocks of another version may have more columns
            self._end()
            self.schema = table.schema
        name = f"{PARTS}/part-{self.number:05d}.parquet"
        if self.writer is None:
            self.writer = storage.TableWriter(storage.join(self.uri, name), self.schema)
        self.writer.write(table, rows_per_group=ROWS_PER_GROUP)
        rows = range(table.num_rows)
        positions = {
            "part": pa.array([name] * len(rows), pa.string()),
            "row_group": pa.array([self.groups + row // ROWS_PER_GROUP for row in rows], pa.int32()),
            "row": pa.array([row % ROWS_PER_GROUP for row in rows], pa.int32()),
        }
        extra = [column for column in self.schema if column.name not in CANDIDATES.names]
        columns = [
            *(table[fact] for fact in FACTS),
            *positions.values(),
            *(table[column.name] for column in extra),
        ]
        self.index.append(pa.table(columns, schema=pa.schema([*INDEXED, *extra], metadata=INDEXED.metadata)))
        self.groups += -(-table.num_rows // ROWS_PER_GROUP)
        self.bytes += table["clip"].nbytes
        if self.bytes >= PART_BYTES:
            self._end()

    def _end(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer, self.number, self.bytes, self.groups = None, self.number + 1, 0, 0

    def close(self) -> pa.Table:
        """Finish the last part and return the index."""
        self._end()
        return concat(self.index, self.uri)


class Candidates(Sequence[Candidate]):
    """A finished plan's candidates, sorted by id, without their clips; `clip` reads one.

    Raises:
        UserError: the plan has no index yet.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.table = uri, storage.read_table(storage.join(uri, INDEX), INDEXED)

    @cached_property
    def _rows(self) -> list[Candidate]:
        return records_of(self.table, Candidate)

    @cached_property
    def _positions(self) -> dict[str, tuple[str, int, int, str | None]]:
        names = ("candidate_id", "part", "row_group", "row", "clip_digest")
        columns = [self.table[name].to_pylist() for name in names]
        return {identity: position for identity, *position in zip(*columns, strict=True)}  # type: ignore[misc]

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def clip(self, candidate_id: str) -> bytes | None:
        """Read a candidate's strip; None when it could not be made.

        Raises:
            UserError: the stored clip does not have the digest in the index.
        """
        part, group, row, digest = self._positions[candidate_id]
        column = storage.read_group(storage.below(self.uri, part), group, ["clip"])["clip"]
        strip: bytes | None = column[row].as_py() if row < len(column) else None
        if (None if strip is None else clip_digest(strip)) != digest:
            raise UserError(
                f"{self.uri}: the stored clip of candidate {candidate_id} does not have the digest in the index; "
                "experiments/candidates.py --audit lists all faults"
            )
        return strip

    def with_clips(self, rows: Iterable[Candidate]) -> Iterator[Candidate]:
        """The candidates with their clips, one read each."""
        return (replace(row, clip=self.clip(row.candidate_id)) for row in rows)


def counts_of(rows: Iterable[Candidate]) -> list[dict[str, str | int | float]]:
    """Numbers of planned, made, failed and flagged candidates by teacher and bucket, with the seconds spent."""
    flagged: Counter[tuple[str, str]] = Counter()
    status: Counter[tuple[str, str, str]] = Counter()
    seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        status[row.teacher, row.bucket, row.status] += 1
        seconds[row.teacher, row.bucket] += row.seconds
        flagged[row.teacher, row.bucket] += bool(flags_of(row))
    return [
        {
            "teacher": teacher,
            "bucket": bucket,
            "planned": status[teacher, bucket, MADE] + status[teacher, bucket, FAILED],
            "made": status[teacher, bucket, MADE],
            "failed": status[teacher, bucket, FAILED],
            "flagged": flagged[teacher, bucket],
            "seconds": round(seconds[teacher, bucket], 2),
        }
        for teacher, bucket in sorted(seconds)
    ]
