"""How a record class becomes an Arrow schema: its fields, with units in the field metadata."""

from collections.abc import Iterable
from dataclasses import Field, asdict, field, fields
from typing import Any

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")


def column(kind: pa.DataType, unit: str = "", *, nullable: bool = False, **default: Any) -> Any:
    """`default` or `default_factory`, as `dataclasses.field` takes them."""
    return field(**default, metadata={"arrow": kind, "unit": unit, "nullable": nullable})


def measured_later(kind: pa.DataType, unit: str) -> Any:
    """A column that is empty until something has measured it."""
    return column(kind, unit, nullable=True, default=None)


def schema_of(record: type) -> pa.Schema:
    """The Arrow schema of a record class; a field's unit stands under `unit` in its metadata."""
    return pa.schema([_arrow_field(each) for each in fields(record)])


def _arrow_field(each: Field) -> pa.Field:
    unit = each.metadata["unit"]
    metadata = {"unit": unit} if unit else None
    return pa.field(each.name, each.metadata["arrow"], nullable=each.metadata["nullable"], metadata=metadata)


def table_of(records: Iterable[Any], record: type) -> pa.Table:
    """An Arrow table of records of one class; an empty one still has its columns."""
    rows = [asdict(each) for each in records]
    return pa.Table.from_pylist(rows, schema=schema_of(record))
