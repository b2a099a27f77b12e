"""How a record class becomes an Arrow schema, and how a table of another version of it is read.

A schema has a name and a version; both stand in its metadata, and so in every file that is written with it. A column
that is added later has a default, which may be "empty", and an older table takes it: the version stays. The version
rises when an older reader would misread a table, because a column is renamed, removed or means something else.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, field, fields
from typing import Any, TypeVar

import pyarrow as pa

from stickers.errors import UserError

Record = TypeVar("Record")
TIME = pa.timestamp("us", tz="UTC")
#: under which keys a schema's metadata names it
NAME, VERSION = b"stickers.schema", b"stickers.version"
#: under which key a field's metadata holds what an absent column takes, as JSON
DEFAULT = b"default"


def column(kind: pa.DataType, unit: str = "", *, nullable: bool = False, **default: Any) -> Any:
    """`default` or `default_factory`, as `dataclasses.field` takes them: a JSON value."""
    return field(**default, metadata={"arrow": kind, "unit": unit, "nullable": nullable})


def measured_later(kind: pa.DataType, unit: str) -> Any:
    """A column that is empty until something has measured it."""
    return column(kind, unit, nullable=True, default=None)


def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a record class, in the version that its `schema_version` says, or else the first.

    A field's unit stands under `unit` in its metadata, its default under `default`.
    """
    version = getattr(record, "schema_version", 1)
    return versioned(record.__name__, [_arrow_field(each) for each in fields(record)], version)


def versioned(name: str, columns: Sequence[pa.Field], version: int = 1) -> pa.Schema:
    """A schema with a name and a version."""
    return pa.schema(columns, metadata={NAME: name.encode(), VERSION: str(version).encode()})


def _arrow_field(each: Field) -> pa.Field:
    metadata = {b"unit": each.metadata["unit"].encode()} if each.metadata["unit"] else {}
    default = each.default_factory() if each.default_factory is not MISSING else each.default
    if default is not MISSING:
        metadata[DEFAULT] = json.dumps(default).encode()
    nullable = each.metadata["nullable"]
    return pa.field(each.name, each.metadata["arrow"], nullable=nullable, metadata=metadata or None)


def table_of(records: Iterable[Any], record: type) -> pa.Table:
    """An Arrow table of records of one class; an empty one still has its columns."""
    rows = [asdict(each) for each in records]
    return pa.Table.from_pylist(rows, schema=schema_of(record))


def records_of(table: pa.Table, record: type[Record]) -> list[Record]:
    """A table's rows as records. Columns that the record does not know are left out, absent ones take their default.

    Raises:
        UserError: a column is absent that has none.
    """
    known = {each.name: each for each in fields(record)}  # type: ignore[arg-type]
    rest: dict[str, None] = {}
    for name, each in known.items():
        if name in table.column_names or each.default is not MISSING or each.default_factory is not MISSING:
            continue
        if not each.metadata.get("nullable"):
            raise UserError(
                f"a table of {record.__name__} records has no column {name}; it has {table.column_names}"
            )
        rest[name] = None
    rows = table.select([name for name in table.column_names if name in known]).to_pylist()
    return [record(**row, **rest) for row in rows]


def fit(table: pa.Table, schema: pa.Schema, place: str) -> pa.Table:
    """A table of any version of a schema as this version has it: the schema's columns, then those it does not know.

    An absent column takes its default; so does an empty value where none is accepted.

    Args:
        place: where the table lies, for sentences.

    Raises:
        UserError: a newer version wrote the table, a column stands twice, is absent without a default, is of another
            type, or has empty values where none are accepted.
    """
    names = table.column_names
    _check_version(table.schema, schema, place)
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [each.name for each in schema if each.name not in names and _default(each) is None]
    if missing or twice:
        raise UserError(
            f"{place}: columns {missing} are missing and {twice} stand twice; accepted: {schema.names}"
        )
    extra = [each for each in table.schema if each.name not in schema.names]
    columns = [*(_fitted(table, each, place) for each in schema), *(table[each.name] for each in extra)]
    return pa.table(columns, schema=pa.schema([*schema, *extra], metadata=schema.metadata))


def concat(tables: Sequence[pa.Table], place: str) -> pa.Table:
    """Fitted tables in one. Where one lacks a column that the schema does not know, it takes that column's default, or
    is empty there.

    Raises:
        UserError: such a column is of different types.
    """
    if all(each.schema == tables[0].schema for each in tables):
        return pa.concat_tables(tables)
    try:
        union = pa.unify_schemas([each.schema for each in tables])
    except pa.ArrowTypeError as error:
        raise UserError(f"{place}: tables of one set differ: {error}") from error
    columns = [
        each if all(each.name in table.column_names for table in tables) else _with_default(each)
        for each in union
    ]
    schema = pa.schema(columns, metadata=union.metadata)
    return pa.concat_tables([fit(each, schema, place) for each in tables])


def _with_default(each: pa.Field) -> pa.Field:
    metadata = each.metadata or {}
    return (
        each
        if DEFAULT in metadata
        else each.with_nullable(True).with_metadata({**metadata, DEFAULT: b"null"})
    )


def _check_version(found: pa.Schema, schema: pa.Schema, place: str) -> None:
    theirs, ours = found.metadata or {}, schema.metadata or {}
    if theirs.get(NAME) == ours.get(NAME) and _version(theirs) > _version(ours):
        raise UserError(
            f"{place} is a {theirs[NAME].decode()} table of version {_version(theirs)}, written by a newer version of "
            f"this program; this one reads versions up to {_version(ours)}"
        )


def _version(metadata: Mapping[bytes, bytes]) -> int:
    return int(metadata.get(VERSION, b"1"))


def _default(wanted: pa.Field) -> pa.Scalar | None:
    """What an absent column of that field holds, or none where it must not be absent."""
    text = (wanted.metadata or {}).get(DEFAULT)
    return None if text is None else pa.scalar(json.loads(text), wanted.type)


def _fitted(table: pa.Table, wanted: pa.Field, place: str) -> pa.ChunkedArray | pa.Array:
    default = _default(wanted)
    if wanted.name not in table.column_names:
        return pa.repeat(default, table.num_rows)
    values = table[wanted.name]
    if not _alike(values.type, wanted.type):
        raise UserError(f"{place}: column {wanted.name} is {values.type}, accepted is {wanted.type}")
    if values.type != wanted.type:
        values = values.cast(wanted.type)
    if wanted.nullable or not values.null_count:
        return values
    if default is None:
        raise UserError(
            f"{place}: column {wanted.name} has {values.null_count} empty values, none are accepted"
        )
    return values.fill_null(default)


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types are the same, but for a width of offsets, as string and large_string, or one is all empty."""
    return pa.types.is_null(one) or one == other or _narrow(one) == _narrow(other)


def _narrow(kind: pa.DataType) -> str:
    return str(kind).replace("large_", "")
