"""Parquet tables at any place, fitted to a schema when they are written and read.

Tables of older versions are read too; see `stickers.artifacts.schema.fit`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from stickers.artifacts.schema import concat, fit
from stickers.errors import UserError
from stickers.storage.files import listing, unfinished_path, write_bytes
from stickers.storage.places import locate, one_line
from stickers.storage.plain_types import check_plain

#: Parquet files that stay open at a time
OPEN_FILES = 128


def write_table(uri: str, table: pa.Table, schema: pa.Schema, *, rows_per_group: int | None = None) -> None:
    """Write one Parquet file with the columns of `schema`, followed by the table's other columns.

    Small row groups let a reader of few rows skip the rest.

    Raises:
        UserError: the table does not fit; the message names the column.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(fit(table, schema, uri), sink, compression="zstd", row_group_size=rows_per_group)
    write_bytes(uri, sink.getvalue().to_pybytes())


def read_table(uri: str, schema: pa.Schema | None = None, *, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or all Parquet files below a folder.

    With `schema` a table of another version is fitted to it: absent columns take their default, and unknown ones follow
    the schema's, unless `columns` names the columns to read.

    Raises:
        UserError: the table is missing, not Parquet or of a newer version, or a column has another type or is absent
            without a default.
    """
    system, path = locate(uri)
    kind = system.get_file_info(path).type
    if kind == fs.FileType.NotFound:
        raise UserError(f"there is no table {uri}")
    if kind == fs.FileType.File:
        files = [uri]
    else:
        files = [file for file in listing(uri, recursive=True) if file.endswith(".parquet")]
    if not files:
        raise UserError(f"there is no Parquet file in {uri}")
    tables = [_read(file, schema, columns) for file in files]
    return concat(tables, uri) if schema else pa.concat_tables(tables)


def _read(uri: str, schema: pa.Schema | None, columns: list[str] | None) -> pa.Table:
    system, path = locate(uri)
    with _readable(uri):
        file = pq.ParquetFile(path, filesystem=system)
        check_plain(uri, file.schema_arrow)
        table = file.read(columns=_stored(file, columns) if schema else columns)
    if schema is None:
        return table
    fitted = fit(table, _part(schema, columns), uri)
    return fitted.select(columns) if columns else fitted


def _part(schema: pa.Schema, columns: list[str] | None) -> pa.Schema:
    """Some columns of a schema, with its name and version."""
    if columns is None:
        return schema
    return pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)


def _stored(file: pq.ParquetFile, columns: list[str] | None) -> list[str] | None:
    """The columns that a file has, or its first one: without any column, Arrow loses the number of rows."""
    names = file.schema_arrow.names
    return columns and ([name for name in columns if name in names] or names[:1])


class TableWriter:
    """Writes one Parquet file piece by piece; it appears when it is closed."""

    def __init__(self, uri: str, schema: pa.Schema) -> None:
        self.system, self.path = locate(uri)
        self.unfinished = unfinished_path(self.system, self.path)
        self.writer = pq.ParquetWriter(self.unfinished, schema, filesystem=self.system, **_packing(schema))

    def write(self, table: pa.Table, *, rows_per_group: int) -> None:
        """Append rows as new row groups."""
        self.writer.write_table(table, row_group_size=rows_per_group)

    def close(self) -> None:
        """Finish the file and give it its name."""
        self.writer.close()
        if self.unfinished != self.path:
            self.system.move(self.unfinished, self.path)


def _packing(schema: pa.Schema) -> dict[str, Any]:
    """How columns are packed: clips are compressed already."""
    plain = [column.name for column in schema if not pa.types.is_binary(column.type)]
    compression = {column.name: "zstd" if column.name in plain else "none" for column in schema}
    return {"compression": compression, "use_dictionary": plain}


def rewrite_table(uri: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a finished Parquet file again with each of its row groups changed: a reader sees the old file or the new.

    Finished tables are never written again but for this: somebody withdraws what they hold.

    Args:
        change: what becomes of a row group; columns and types stay.

    Raises:
        UserError: as `read_table`.
    """
    sink, writer = pa.BufferOutputStream(), None
    for group in range(len(group_starts(uri))):
        table = change(read_group(uri, group, None))
        writer = writer or pq.ParquetWriter(sink, table.schema, **_packing(table.schema))
        writer.write_table(table, row_group_size=max(1, table.num_rows))
    if writer is not None:
        writer.close()
        write_bytes(uri, sink.getvalue().to_pybytes())
        _parquet_file.cache_clear()


def read_group(uri: str, group: int, columns: list[str] | None) -> pa.Table:
    """One row group of a finished Parquet file, some columns or all. UserError as `read_table`."""
    with _readable(uri):
        file, reading = _parquet_file(uri)
        with reading:
            return file.read_row_group(group, columns=columns)


def group_starts(uri: str) -> list[int]:
    """The number of the first row of each row group of a Parquet file. UserError as `read_table`."""
    system, path = locate(uri)
    with _readable(uri):
        metadata = pq.read_metadata(path, filesystem=system)
    sizes = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    return [0, *accumulate(sizes)][:-1]


def read_batches(uri: str, schema: pa.Schema, *, columns: list[str], rows: int) -> Iterator[pa.Table]:
    """Some columns of a Parquet file in batches of `rows` rows, so that a large file takes little memory.

    Raises:
        UserError: as `read_table`, before or between batches.
    """
    system, path = locate(uri)
    part = _part(schema, columns)
    with _readable(uri):
        file = pq.ParquetFile(path, filesystem=system)
        batches = file.iter_batches(batch_size=rows, columns=_stored(file, columns))
    while True:
        with _readable(uri):
            batch = next(batches, None)
        if batch is None:
            return
        yield fit(pa.table(batch), part, uri).select(columns)


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Turn a failure to read into one UserError."""
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{uri} is no readable Parquet table: {one_line(error)}") from error


@lru_cache(maxsize=OPEN_FILES)
def _parquet_file(uri: str) -> tuple[pq.ParquetFile, Lock]:
    """An open file, whose footer is read once, and a lock for its readers: two at a time crash pyarrow."""
    system, path = locate(uri)
    file = pq.ParquetFile(path, filesystem=system)
    check_plain(uri, file.schema_arrow)
    return file, Lock()


def is_parquet(uri: str) -> bool:
    """True for a complete Parquet file, since its footer is written last."""
    system, path = locate(uri)
    try:
        pq.ParquetFile(path, filesystem=system).close()
    except pa.ArrowInvalid:
        return False
    return True
