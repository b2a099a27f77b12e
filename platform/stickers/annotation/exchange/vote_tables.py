"""Writes and reads jobs and votes as Parquet, CSV or Label Studio's JSON, by suffix, so that people can vote elsewhere.

Written records are read back exactly. Files from outside may hold anything: a malformed row is refused with a reason
and the others are read; a file of another kind is an error. Unknown fields, of a later version or another program, are
ignored with a warning.

In CSV a list is JSON text in its cell. Spreadsheets run cells that begin with certain characters as formulas. Such a
cell gets an apostrophe in front, as does a cell that begins with an apostrophe; reading removes one.
"""

import csv
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import MISSING, dataclass, fields
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa

from stickers import storage
from stickers.annotation.exchange import label_studio
from stickers.annotation.jobs import CHOOSE, GOLD, RULING, Job
from stickers.artifacts.records import Refused, Vote
from stickers.artifacts.schema import schema_of
from stickers.errors import UserError
from stickers.storage.outside import absolute, open_table, read_json

logger = logging.getLogger(__name__)
Record = TypeVar("Record", Job, Vote)
#: characters that begin a formula in a spreadsheet, also in wide forms, or that it skips before one
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
KINDS = (CHOOSE, GOLD, RULING)
FLAGS = ("unsafe", "broken")
LARGEST = 2**31 - 1
_ARROW = {str: pa.string(), int: pa.int32(), bool: pa.bool_()}
_KIND_WORDS = {str: "a text", int: "a whole number", bool: "true or false", datetime: "a time with its zone"}


@dataclass(frozen=True, kw_only=True)
class RecordField:
    """A field of a record: a value of the class `item`, or a list or tuple (`many`) of them."""

    name: str
    item: type
    many: type | None
    needed: bool

    def value(self, raw: Any) -> Any:
        """The field's value from a JSON or Arrow value. UserError names the field."""
        if self.many is None:
            return self._one(raw)
        if not isinstance(raw, list | tuple):
            raise UserError(f"field {self.name} must be a list, got {_short(raw)}")
        return self.many(self._one(item) for item in raw)

    def _one(self, raw: Any) -> Any:
        if self.item is datetime:
            return self._time(raw)
        if type(raw) is not self.item:  # a bool is an int to isinstance
            raise UserError(f"field {self.name} must hold {_KIND_WORDS[self.item]}, got {_short(raw)}")
        if isinstance(raw, int) and abs(raw) > LARGEST:
            raise UserError(f"field {self.name} must lie within 32 bits, got {_short(raw)}")
        if isinstance(raw, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in raw):
            raise UserError(f"field {self.name} holds characters that are no text: {_short(raw)}")
        return raw

    def _time(self, raw: Any) -> datetime:
        try:
            when = datetime.fromisoformat(raw) if isinstance(raw, str) else raw
            if isinstance(when, datetime) and when.tzinfo is not None:
                return when.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise UserError(f"field {self.name} must hold {_KIND_WORDS[datetime]}, got {_short(raw)}")

    def cell(self, value: Any) -> str:
        """The text of a CSV cell, safe from being read as a formula."""
        if self.many is None and self.item is datetime:
            text = value.isoformat()
        elif self.many is None and self.item is str:
            text = value
        else:
            text = json.dumps(value, ensure_ascii=False)
        return f"'{text}" if text.startswith((*FORMULA, "'")) else text

    def from_cell(self, text: str) -> Any:
        """The value of a CSV cell. UserError names the field."""
        text = text.removeprefix("'")
        if self.many is None and self.item in (str, datetime):
            return self.value(text)
        try:  # spreadsheets write TRUE and FALSE
            raw = json.loads(text.lower() if self.item is bool else text)
        except (ValueError, RecursionError):
            kind = "a JSON list" if self.many else _KIND_WORDS[self.item]
            raise UserError(f"field {self.name} must be {kind}, got {_short(text)}") from None
        return self.value(raw)


def columns_of(record: type) -> dict[str, RecordField]:
    """A record's fields by name, in order."""
    hints, columns = get_type_hints(record), {}
    for attribute in fields(record):
        hint = hints[attribute.name]
        many = get_origin(hint)
        columns[attribute.name] = RecordField(
            name=attribute.name,
            item=get_args(hint)[0] if many else hint,
            many=many,
            needed=attribute.default is MISSING and attribute.default_factory is MISSING,
        )
    return columns


def _schema(record: type) -> pa.Schema:
    if record is Vote:
        return schema_of(Vote)
    return pa.schema(
        [
            pa.field(
                column.name,
                pa.list_(_ARROW[column.item]) if column.many else _ARROW[column.item],
                nullable=False,
            )
            for column in columns_of(record).values()
        ]
    )


def write_votes(path: str, votes: Iterable[Vote]) -> None:
    """Write votes to a file or URI whose suffix is .parquet, .csv or .json (Label Studio, votes grouped by job).

    Raises:
        UserError: the path has another suffix.
    """
    _write(path, list(votes), Vote, label_studio.tasks_of_votes)


def write_jobs(path: str, jobs: Iterable[Job]) -> None:
    """Write jobs as `write_votes` writes votes; Label Studio's tasks have no annotations."""
    _write(path, list(jobs), Job, label_studio.tasks_of_jobs)


def read_votes(path: str) -> tuple[list[Vote], list[Refused]]:
    """The votes of a file or URI in its order, and the refused rows, whose `uri` is the file.

    In Label Studio's JSON an annotation made there is also a vote: the annotator is the person who completed it, and
    the clips are those of the task's job, in its order.

    Raises:
        UserError: the suffix is not .parquet, .csv or .json, or the file is not a table of votes.
    """
    return _read(path, Vote, label_studio.votes_in, _check_vote)


def read_jobs(path: str) -> tuple[list[Job], list[Refused]]:
    """The jobs of a file or URI, as `read_votes` reads votes; annotations of Label Studio's tasks are ignored."""
    return _read(path, Job, label_studio.jobs_in, _check_job)


def _write(
    path: str, records: list[Record], record: type, tasks: Callable[[list[dict[str, Any]]], list[Any]]
) -> None:
    uri, kind = _locate(path)
    columns = columns_of(record)
    rows = [{name: getattr(row, name) for name in columns} for row in records]
    if kind == ".parquet":
        schema = _schema(record)
        storage.write_table(uri, pa.Table.from_pylist(rows, schema=schema), schema)
    elif kind == ".csv":
        text = StringIO()
        writer = csv.writer(text)
        writer.writerow(columns)
        writer.writerows([column.cell(row[name]) for name, column in columns.items()] for row in rows)
        storage.write_bytes(uri, text.getvalue().encode())
    else:
        task_list = tasks([{name: _plain(value) for name, value in row.items()} for row in rows])
        storage.write_bytes(uri, json.dumps(task_list, indent=1, ensure_ascii=False).encode())


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _read(
    path: str,
    record: type[Record],
    from_tasks: Callable[[Any], Iterator[tuple[str, Any]]],
    check: Callable[[Record], None],
) -> tuple[list[Record], list[Refused]]:
    uri, kind = _locate(path)
    columns = columns_of(record)
    if kind == ".json":
        rows = from_tasks(_json(uri))
    else:
        rows = _rows(uri, columns, header_rows=1 if kind == ".csv" else 0)
    records: list[Record] = []
    refused: list[Refused] = []
    unknown: dict[str, None] = {}
    for where, row in rows:
        try:
            one = record(**_values(row, columns, from_cells=kind == ".csv"))
            unknown |= dict.fromkeys(name for name in row if name not in columns)
            check(one)
            records.append(one)
        except UserError as error:
            refused.append(Refused(uri=path, source=record.__name__, reason=f"{path}, {where}: {error}"))
    if unknown:
        names = ", ".join(map(_short, unknown))
        logger.warning("%s: fields %s are unknown and ignored; accepted: %s", path, names, ", ".join(columns))
    return records, refused


def _values(row: Any, columns: Mapping[str, RecordField], *, from_cells: bool) -> dict[str, Any]:
    if isinstance(row, UserError):
        raise row
    missing = [name for name, column in columns.items() if column.needed and name not in row]
    if missing:
        raise UserError(f"field {missing[0]} is missing")
    return {
        name: columns[name].from_cell(value) if from_cells else columns[name].value(value)
        for name, value in row.items()
        if name in columns
    }


def _rows(path: str, columns: Mapping[str, RecordField], header_rows: int) -> Iterator[tuple[str, Any]]:
    """Each row's number, counted as in spreadsheets, and its fields, or the UserError of a malformed row."""
    table = open_table(path, suffixes=(".csv", ".parquet"))
    _check_names(path, table.names, columns)
    for row in table.rows():
        fields_of_row: Any = row.values
        if row.num_fields != len(table.names):
            fields_of_row = UserError(f"it has {row.num_fields} fields, the first row {len(table.names)}")
        yield f"row {row.number + header_rows}", fields_of_row


def _check_names(uri: str, names: Sequence[str], columns: Mapping[str, RecordField]) -> None:
    missing = [name for name, column in columns.items() if column.needed and name not in names]
    extra = [name for name in names if name not in columns]
    if missing or len(set(names)) < len(names):
        raise UserError(
            f"{uri}: columns {missing} are missing and {extra} are not known or one stands twice; "
            f"accepted: {', '.join(columns)}"
        )


def _json(uri: str) -> Any:
    tasks = read_json(uri)
    if not isinstance(tasks, list):
        raise UserError(f"{uri} must hold a list of tasks, as Label Studio exports them in JSON")
    return tasks


def _locate(path: str) -> tuple[str, str]:
    """A URI or absolute path, and the suffix."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".parquet", ".csv", ".json"):
        raise UserError(f"{path} must end in .parquet, .csv or .json (Label Studio)")
    return absolute(path), suffix


def _check_vote(vote: Vote) -> None:
    _filled("job_id", vote.job_id)
    _filled("annotator", vote.annotator)
    _filled("shown", vote.shown)
    _alike("shown_digests", vote.shown_digests, "shown", vote.shown)
    _alike("flags", vote.flags, "flagged", vote.flagged)
    for name in ("shown", "picks", "flagged"):
        _distinct(name, getattr(vote, name))
    for name in ("picks", "flagged"):
        foreign = [clip for clip in getattr(vote, name) if clip not in vote.shown]
        if foreign:
            raise UserError(f"field {name} names {_short(foreign[0])}, which shown does not")
    both = [clip for clip in vote.picks if clip in vote.flagged]
    if both:
        raise UserError(f"field picks names {_short(both[0])}, which is flagged")
    for flag in vote.flags:
        _one_of("flags", flag, FLAGS)
    _one_of("kind", vote.kind, KINDS)
    _at_least("round", vote.round, 1)
    _at_least("revision", vote.revision, 0)
    if vote.submitted_at < vote.started_at:
        raise UserError("field submitted_at lies before started_at")


def _check_job(job: Job) -> None:
    _filled("job_id", job.job_id)
    _filled("candidates", job.candidates)
    _distinct("candidates", job.candidates)
    for name, column in columns_of(Job).items():
        if column.many:
            _alike(name, getattr(job, name), "candidates", job.candidates)
    _at_least("round", job.round, 1)
    _one_of("kind", job.kind, KINDS)


def _filled(name: str, value: Sized) -> None:
    if not len(value):
        raise UserError(f"field {name} is empty")


def _alike(name: str, values: Iterable[Any], other: str, others: Iterable[Any]) -> None:
    counts = len(list(values)), len(list(others))
    if counts[0] != counts[1]:
        raise UserError(f"field {name} has {counts[0]} entries, {other} has {counts[1]}")


def _distinct(name: str, values: Iterable[str]) -> None:
    earlier: set[str] = set()
    for value in values:
        if value in earlier:
            raise UserError(f"field {name} names {_short(value)} twice")
        earlier.add(value)


def _one_of(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise UserError(f"field {name} must be one of {', '.join(accepted)}, got {_short(value)}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UserError(f"field {name} must be at least {least}, got {value}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
