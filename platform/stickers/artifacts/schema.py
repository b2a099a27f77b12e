"""Makes Arrow schemas from record classes, and reads tables of other versions of them.

A schema has a name and a version in its metadata, and so in all files that are written with it. A column that is added
later has a default, which may be "empty" and which older tables take: the version stays. The version rises when an
older reader would misread a table, because a column is renamed, removed or changes its meaning.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, field, fields
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute

from stickers.errors import UserError

Record = TypeVar("Record")
TIME = pa.timestamp("us", tz="UTC")
#: keys of a schema's metadata
NAME, VERSION = b"stickers.schema", b"stickers.version"
#: key of a field's metadata for the value of an absent column, as JSON
DEFAULT = b"default"


def column(kind: pa.DataType, unit: str = "", *, nullable: bool = False, **default: Any) -> Any:
    """A dataclass field for a column; `default` or `default_factory` give a JSON value, as in `dataclasses.field`."""
    return field(**default, metadata={"arrow": kind, "unit": unit, "nullable": nullable})


def measured_later(kind: pa.DataType, unit: str) -> Any:
    """A column that is empty until it is measured."""
    return column(kind, unit, nullable=True, default=None)


def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a record class, with the version `schema_version` of the class, by default 1.

    A field's metadata holds its unit under `unit` and its default under `default`.
    """
    version = getattr(record, "schema_version", 1)
    return versioned(record.__name__, [_arrow_field(field) for field in fields(record)], version)


def versioned(name: str, columns: Sequence[pa.Field], version: int = 1) -> pa.Schema:
    """A schema with a name and a version."""
    return pa.schema(columns, metadata={NAME: name.encode(), VERSION: str(version).encode()})


def _arrow_field(attribute: Field[Any]) -> pa.Field:
    facts = attribute.metadata
    metadata = {b"unit": facts["unit"].encode()} if facts["unit"] else {}
    default = attribute.default_factory() if attribute.default_factory is not MISSING else attribute.default
    if default is not MISSING:
        metadata[DEFAULT] = json.dumps(default).encode()
    return pa.field(attribute.name, facts["arrow"], nullable=facts["nullable"], metadata=metadata or None)


def table_of(records: Iterable[Any], record: type) -> pa.Table:
    """An Arrow table of records of one class; an empty one still has its columns."""
    rows = [asdict(row) for row in records]
    return pa.Table.from_pylist(rows, schema=schema_of(record))


def records_of(table: pa.Table, record: type[Record]) -> list[Record]:
    """A table's rows as records. Columns unknown to the record are dropped; absent ones take their default.

    Raises:
        UserError: a column without a default is absent.
    """
    attributes = {attribute.name: attribute for attribute in fields(record)}  # type: ignore[arg-type]
    rest: dict[str, None] = {}
    for name, attribute in attributes.items():
        has_default = attribute.default is not MISSING or attribute.default_factory is not MISSING
        if name in table.column_names or has_default:
            continue
        if not attribute.metadata.get("nullable"):
            raise UserError(
                f"a table of {record.__name__} records has no column {name}; it has {table.column_names}"
            )
        rest[name] = None
    rows = table.select([name for name in table.column_names if name in attributes]).to_pylist()
    return [record(**row, **rest) for row in rows]


def fit(table: pa.Table, schema: pa.Schema, uri: str) -> pa.Table:
    """A table of any version of a schema in this version's form: the schema's columns, then unknown ones.

    An absent column takes its default, and so does an empty value where none is accepted.

    Args:
        uri: of the table, for messages.

    Raises:
        UserError: a newer version wrote the table, or a column occurs twice, is absent without a default, has another
            type, or has empty values where none are accepted.
    """
    names = table.column_names
    _check_version(table.schema, schema, uri)
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [column.name for column in schema if column.name not in names and _default(column) is None]
    if missing or twice:
        raise UserError(
            f"{uri}: columns {missing} are missing and {twice} stand twice; accepted: {schema.names}"
        )
    extra = [column for column in table.schema if column.name not in schema.names]
    columns = [*(_fitted(table, column, uri) for column in schema), *(table[column.name] for column in extra)]
    return pa.table(columns, schema=pa.schema([*schema, *extra], metadata=schema.metadata))


def without(table: pa.Table, column: str, values: Collection[str]) -> pa.Table:
    """A table without the rows whose column holds one of some texts."""
    hit = pa.compute.is_in(table[column], value_set=pa.array(sorted(values), pa.string()))
    return table.filter(pa.compute.invert(hit))


def concat(tables: Sequence[pa.Table], uri: str) -> pa.Table:
    """Join fitted tables. Where one lacks an unknown column of another, it takes the column's default or is empty.

    Raises:
        UserError: such a column is of different types.
    """
    if all(table.schema == tables[0].schema for table in tables):
        return pa.concat_tables(tables)
    try:
        union = pa.unify_schemas([table.schema for table in tables])
    except pa.ArrowTypeError as error:
        raise UserError(f"{uri}: tables of one set differ: {error}") from error
    columns = [
        column if all(column.name in table.column_names for table in tables) else _with_default(column)
        for column in union
    ]
    schema = pa.schema(columns, metadata=union.metadata)
    return pa.concat_tables([fit(table, schema, uri) for table in tables])


def _with_default(column: pa.Field) -> pa.Field:
    """The column with a default, "empty" where it has none."""
    metadata = column.metadata or {}
    if DEFAULT in metadata:
        return column
    return column.with_nullable(True).with_metadata({**metadata, DEFAULT: b"null"})


def _check_version(stored: pa.Schema, schema: pa.Schema, uri: str) -> None:
    theirs, ours = stored.metadata or {}, schema.metadata or {}
    if theirs.get(NAME) == ours.get(NAME) and _version(theirs) > _version(ours):
        raise UserError(
            f"{uri} is a {theirs[NAME].decode()} table of version {_version(theirs)}, written by a newer version of "
            f"this program; this one reads versions up to {_version(ours)}"
        )


def _version(metadata: Mapping[bytes, bytes]) -> int:
    return int(metadata.get(VERSION, b"1"))


def _default(column: pa.Field) -> pa.Scalar | None:
    """The value of an absent column, or None where it must not be absent."""
    text = (column.metadata or {}).get(DEFAULT)
    return None if text is None else pa.scalar(json.loads(text), column.type)


def _fitted(table: pa.Table, column: pa.Field, uri: str) -> pa.ChunkedArray | pa.Array:
    """The values of a column, cast to its type and with its default where they are absent."""
    default = _default(column)
    if column.name not in table.column_names:
        return pa.repeat(default, table.num_rows)
    values = table[column.name]
    if not _alike(values.type, column.type):
        raise UserError(f"{uri}: column {column.name} is {values.type}, accepted is {column.type}")
    if values.type != column.type:
        values = values.cast(column.type)
    if column.nullable or not values.null_count:
        return values
    if default is None:
        raise UserError(
            f"{uri}: column {column.name} has {values.null_count} empty values, none are accepted"
        )
    return values.fill_null(default)


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    """True for equal types, types that differ in offset width (string, large_string), and an all-empty first one."""
    return pa.types.is_null(one) or one == other or _narrow(one) == _narrow(other)


def _narrow(kind: pa.DataType) -> str:
    return str(kind).replace("large_", "")
