"""Accepts only plain Arrow types in tables, since reading other types may run code.

A package can register new types with pyarrow. Ray Data does so when it is imported: `to_pylist()` then unpickles the
columns of `ray.data.arrow_pickled_object`, which runs code that the file's author chose.
"""

from collections.abc import Iterator

import pyarrow as pa
from pyarrow import types

from stickers.errors import UserError

#: Parquet's key for the name of a type that is not registered in this process
_EXTENSION = b"ARROW:extension:name"
_SCALARS = (
    *(types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_decimal),
    *(types.is_string, types.is_large_string, types.is_string_view),
    *(types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary),
    *(types.is_date, types.is_time, types.is_timestamp, types.is_duration),
)
_LISTS = (
    *(types.is_list, types.is_large_list, types.is_fixed_size_list),
    *(types.is_list_view, types.is_large_list_view),
)
ACCEPTED = (
    "numbers, booleans, text, bytes, dates and times, and lists, structs, maps and dictionaries of them"
)


def check_plain(source: object, schema: pa.Schema) -> None:
    """Refuse a table with another type at any depth.

    Args:
        source: the table's name in the message.

    Raises:
        UserError: the message names the table, the column and the type.
    """
    for field in schema:
        for name in _foreign(field):
            raise UserError(f"{source}: column {field.name!r} is of the type {name}; accepted: {ACCEPTED}")


def _foreign(field: pa.Field) -> Iterator[str]:
    """The types within a column that are not plain."""
    kind = field.type
    if _EXTENSION in (field.metadata or {}):
        yield field.metadata[_EXTENSION].decode(errors="replace")
    elif isinstance(kind, pa.BaseExtensionType):
        yield kind.extension_name
    elif types.is_dictionary(kind):
        yield from _foreign(pa.field("", kind.value_type))
    elif any(is_list(kind) for is_list in _LISTS):
        yield from _foreign(kind.value_field)
    elif types.is_map(kind):
        yield from _foreign(kind.key_field)
        yield from _foreign(kind.item_field)
    elif types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _foreign(kind.field(number))
    elif not any(is_scalar(kind) for is_scalar in _SCALARS):
        yield str(kind)
