"""Parquet tables at any place, checked against a schema when they are written and when they are read."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from stickers.errors import UserError
from stickers.storage.files import listing, unfinished_path, write_bytes
from stickers.storage.places import locate, one_line


def write_table(uri: str, table: pa.Table, schema: pa.Schema, *, rows_per_group: int | None = None) -> None:
    """Write one Parquet file whose columns are exactly `schema`. UserError names the columns that are not.

    Small row groups let a reader of few rows skip the rest.
    """
    _check(uri, table.schema, schema)
    for name in (column.name for column in schema if not column.nullable):
        if table[name].null_count:
            raise UserError(
                f"{uri}: column {name} has {table[name].null_count} empty values, none are accepted"
            )
    sink = pa.BufferOutputStream()
    pq.write_table(table.cast(schema), sink, compression="zstd", row_group_size=rows_per_group)
    write_bytes(uri, sink.getvalue().to_pybytes())


def read_table(uri: str, schema: pa.Schema | None = None, *, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or all Parquet files below a folder; with `schema`, checked against it.

    Raises:
        UserError: nothing is there, it is no Parquet, or a column is absent or of another type.
    """
    system, path = locate(uri)
    kind = system.get_file_info(path).type
    if kind == fs.FileType.NotFound:
        raise UserError(f"there is no table {uri}")
    if kind == fs.FileType.File:
        sources = [path]
    else:
        sources = [locate(each)[1] for each in listing(uri, recursive=True) if each.endswith(".parquet")]
    if not sources:
        raise UserError(f"there is no Parquet file in {uri}")
    with _readable(uri):
        tables = [pq.ParquetFile(source, filesystem=system).read(columns=columns) for source in sources]
    if schema is None:
        return pa.concat_tables(tables)
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    for table in tables:
        _check(uri, table.schema, wanted)
    return pa.concat_tables([table.select(wanted.names).cast(wanted) for table in tables])


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
    wanted = pa.schema([schema.field(name) for name in columns])
    with _readable(uri):
        batches = pq.ParquetFile(path, filesystem=system).iter_batches(batch_size=rows, columns=columns)
    while True:
        with _readable(uri):
            batch = next(batches, None)
        if batch is None:
            return
        table = pa.table(batch)
        _check(uri, table.schema, wanted)
        yield table.select(columns).cast(wanted)


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
    return pq.ParquetFile(path, filesystem=system), Lock()


def _check(uri: str, found: pa.Schema, wanted: pa.Schema) -> None:
    missing = [name for name in wanted.names if name not in found.names]
    extra = [name for name in found.names if name not in wanted.names]
    if missing or extra:
        raise UserError(
            f"{uri}: columns {missing} are missing and {extra} are not known; accepted: {wanted.names}"
        )
    for name in wanted.names:
        given, asked = found.field(name).type, wanted.field(name).type
        if given != asked and not pa.types.is_null(given) and not _wider(given, asked):
            raise UserError(f"{uri}: column {name} is {given}, accepted is {asked}")


def _wider(given: pa.DataType, asked: pa.DataType) -> bool:
    """Whether the two differ in offset width only, as string and large_string do."""
    return str(given).replace("large_", "") == str(asked).replace("large_", "")


def is_parquet(uri: str) -> bool:
    """Whether a file is whole: a Parquet file's footer is written last."""
    system, path = locate(uri)
    try:
        pq.ParquetFile(path, filesystem=system).close()
    except pa.ArrowInvalid:
        return False
    return True
