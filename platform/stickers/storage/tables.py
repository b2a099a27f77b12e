"""Parquet tables at any place, fitted to a schema when they are written and when they are read.

A table of an older version is read too: `stickers.artifacts.schema.fit` says how.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from stickers.artifacts.schema import concat, fit
from stickers.errors import UserError
from stickers.storage.files import listing, unfinished_path, write_bytes
from stickers.storage.places import locate, one_line
from stickers.storage.plain_types import check_plain


def write_table(uri: str, table: pa.Table, schema: pa.Schema, *, rows_per_group: int | None = None) -> None:
    """Write one Parquet file with the columns of `schema`, and behind them those that it does not know.

    Small row groups let a reader of few rows skip the rest.

    Raises:
        UserError: the table does not fit; the sentence names the column.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(fit(table, schema, uri), sink, compression="zstd", row_group_size=rows_per_group)
    write_bytes(uri, sink.getvalue().to_pybytes())


def read_table(uri: str, schema: pa.Schema | None = None, *, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or all Parquet files below a folder.

    With `schema` a table of another version is fitted to it: absent columns take their default, and those that it does
    not know stand behind its own, unless `columns` names what to read.

    Raises:
        UserError: nothing is there, it is no Parquet, a newer version wrote it, or a column is absent that has no
            default or is of another type.
    """
    system, path = locate(uri)
    kind = system.get_file_info(path).type
    if kind == fs.FileType.NotFound:
        raise UserError(f"there is no table {uri}")
    if kind == fs.FileType.File:
        places = [uri]
    else:
        places = [each for each in listing(uri, recursive=True) if each.endswith(".parquet")]
    if not places:
        raise UserError(f"there is no Parquet file in {uri}")
    tables = [_read(place, schema, columns) for place in places]
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
    """Those of the columns that a file has, or else its first: without any, Arrow forgets how many rows there are."""
    names = file.schema_arrow.names
    return columns and ([name for name in columns if name in names] or names[:1])


class TableWriter:
    """Writes one Parquet file piece by piece: it is there once it is closed, and not before."""

    def __init__(self, uri: str, schema: pa.Schema) -> None:
        self.system, self.path = locate(uri)
        self.unfinished = unfinished_path(self.system, self.path)
        # clips are compressed already
        plain = [each.name for each in schema if not pa.types.is_binary(each.type)]
        packing = {each.name: "zstd" if each.name in plain else "none" for each in schema}
        self.writer = pq.ParquetWriter(
            self.unfinished, schema, filesystem=self.system, compression=packing, use_dictionary=plain
        )

    def write(self, table: pa.Table, *, rows_per_group: int) -> None:
        """Append rows, in row groups of their own."""
        self.writer.write_table(table, row_group_size=rows_per_group)

    def close(self) -> None:
        self.writer.close()
        if self.unfinished != self.path:
            self.system.move(self.unfinished, self.path)


def read_group(uri: str, group: int, columns: list[str]) -> pa.Table:
    """One row group of a finished Parquet file, which is never written again. UserError as `read_table`."""
    with _readable(uri):
        file, reading = _parquet_file(uri)
        with reading:
            return file.read_row_group(group, columns=columns)


def group_starts(uri: str) -> list[int]:
    """The number of the first row of each row group of a Parquet file. UserError as `read_table`."""
    system, path = locate(uri)
    with _readable(uri):
        found = pq.read_metadata(path, filesystem=system)
    sizes = (found.row_group(number).num_rows for number in range(found.num_row_groups))
    return [0, *accumulate(sizes)][:-1]


def read_batches(uri: str, schema: pa.Schema, *, columns: list[str], rows: int) -> Iterator[pa.Table]:
    """Some columns of a Parquet file, so many rows at a time: however large it is, it takes the memory of those.

    Raises:
        UserError: as `read_table`, before or between batches.
    """
    system, path = locate(uri)
    wanted = _part(schema, columns)
    with _readable(uri):
        file = pq.ParquetFile(path, filesystem=system)
        batches = file.iter_batches(batch_size=rows, columns=_stored(file, columns))
    while True:
        with _readable(uri):
            batch = next(batches, None)
        if batch is None:
            return
        yield fit(pa.table(batch), wanted, uri).select(columns)


@contextmanager
def _readable(uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{uri} is no readable Parquet table: {one_line(error)}") from error


@lru_cache(maxsize=128)
def _parquet_file(uri: str) -> tuple[pq.ParquetFile, Lock]:
    """An open file, whose footer is read once, and what keeps its readers apart: two at a time crash pyarrow."""
    system, path = locate(uri)
    file = pq.ParquetFile(path, filesystem=system)
    check_plain(uri, file.schema_arrow)
    return file, Lock()


def is_parquet(uri: str) -> bool:
    """Whether a file is whole: a Parquet file's footer is written last."""
    system, path = locate(uri)
    try:
        pq.ParquetFile(path, filesystem=system).close()
    except pa.ArrowInvalid:
        return False
    return True
