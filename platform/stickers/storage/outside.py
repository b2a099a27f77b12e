"""Reads tables that other people wrote and that may hold anything.

The formats are CSV, JSON lines, Parquet and WebDataset tar files, at a path or a URI. All reading of users' tables
is here, and lint forbids it elsewhere (`TID251` in pyproject.toml): a Parquet file can carry types that run code when
its rows are read, so only plain types are accepted.
"""

import csv
import io
import json
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stickers.errors import UserError
from stickers.storage.files import exists, is_folder, listing, open_file, read_bytes
from stickers.storage.places import one_line
from stickers.storage.plain_types import check_plain

SUFFIXES = (".csv", ".jsonl", ".parquet")
#: between a tar file and the name of its member
MEMBER = "::"
#: rows of a Parquet file in memory at a time
BATCH_ROWS = 10_000
#: bytes of a text that are read at a time, in one request where it lies in an object store
BUFFER_BYTES = 2**20
#: tar files whose members are remembered
CACHED_TARS = 16


@dataclass(frozen=True)
class OutsideRow:
    """One row of a table.

    `number` counts rows (without the header) or lines of JSON, from 1. In CSV all values are text, "" where the row is
    shorter than the header; `num_fields` is the number of its fields.
    """

    number: int
    values: dict[str, Any]
    num_fields: int


class OutsideTable(ABC):
    """An open table whose header is checked and whose rows are not read yet.

    `names` are its columns; empty for JSON lines, each of which may have different ones.
    """

    names: tuple[str, ...] = ()

    def __init__(self, source: str, needed: Sequence[str]) -> None:
        self.source, self.needed = source, tuple(needed)

    @property
    def uri(self) -> str:
        """The place as an absolute path or URI."""
        return absolute(self.source)

    @abstractmethod
    def rows(self, columns: Sequence[str] | None = None) -> Iterator[OutsideRow]:
        """The rows in order, a part of the file at a time.

        Args:
            columns: the columns to read of Parquet, by default all. Other formats read all.

        Raises:
            UserError: the file is damaged or a row is invalid; the message names the row or line.
        """

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """All rows: Parquet with its types, CSV as text, JSON with types inferred from its values.

        Raises:
            UserError: as `rows`, and for a CSV row with more fields than the header or a JSON column with values of
                several kinds.
        """

    def _check_names(self, where: str, names: Sequence[str]) -> None:
        missing = [name for name in self.needed if name not in names]
        if missing:
            raise UserError(f"{where} lacks the column {missing[0]!r}{_needs(self.needed)}")


def absolute(source: str) -> str:
    """A user's path or URI as a URI or an absolute path."""
    return source if "://" in source else str(Path(source).expanduser().resolve())


def open_table(
    source: str | Path, *, needed: Sequence[str] = (), suffixes: Sequence[str] = SUFFIXES
) -> OutsideTable:
    """Open a table; its suffix tells the format.

    Args:
        source: a local path or a URI; of Parquet also a folder of files.
        needed: columns that the table must have.
        suffixes: the accepted formats.

    Raises:
        UserError: the table is missing, has another format, lacks a column or has a type that is not plain.
    """
    text = str(source)
    suffix = Path(text).suffix.lower()
    if suffix not in suffixes:
        raise UserError(f"{text} is no table that is taken; accepted: {', '.join(suffixes)}")
    if not exists(absolute(text)):
        raise UserError(f"there is no table {text}")
    kinds: dict[str, type[_Csv] | type[_JsonLines] | type[_Parquet]]
    kinds = {".csv": _Csv, ".jsonl": _JsonLines, ".parquet": _Parquet}
    return kinds[suffix](text, needed)


class _Csv(OutsideTable):
    def __init__(self, source: str, needed: Sequence[str]) -> None:
        super().__init__(source, needed)
        with self._reading() as reader:
            self.names = tuple(next(reader, ()))
        self._check_names(source, self.names)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[OutsideRow]:
        del columns  # a line is read completely
        with self._reading() as reader:
            next(reader, None)
            for number, cells in enumerate((line for line in reader if line), 1):
                padded = [*cells, *[""] * (len(self.names) - len(cells))]
                yield OutsideRow(number, dict(zip(self.names, padded)), len(cells))

    def to_arrow(self) -> pa.Table:
        columns: dict[str, list[str]] = {name: [] for name in self.names}
        for row in self.rows():
            if row.num_fields > len(self.names):
                raise UserError(f"{self.source}: row {row.number} has more fields than the header")
            for name, value in row.values.items():
                columns[name].append(value)
        return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})

    @contextmanager
    def _reading(self) -> Iterator[Iterator[list[str]]]:
        try:
            with _text(self.uri) as lines:
                yield csv.reader(lines)
        except (UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self.source} is no CSV table in UTF-8: {error}") from error


class _JsonLines(OutsideTable):
    def rows(self, columns: Sequence[str] | None = None) -> Iterator[OutsideRow]:
        del columns  # a line is read completely
        try:
            with _text(self.uri) as lines:
                for number, line in enumerate(lines, 1):
                    yield self._row(number, line)
        except UnicodeDecodeError as error:
            raise UserError(f"{self.source} is no text in UTF-8: {error}") from error

    def _row(self, number: int, line: str) -> OutsideRow:
        where = f"{self.source}: line {number}"
        values = parse_json(where, line)
        if not isinstance(values, dict):
            raise UserError(f"{where} is no JSON object{_needs(self.needed)}")
        self._check_names(where, list(values))
        return OutsideRow(number, values, len(values))

    def to_arrow(self) -> pa.Table:
        rows = [row.values for row in self.rows()]
        names = dict.fromkeys(name for row in rows for name in row)
        try:
            return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
        except (pa.ArrowException, OverflowError) as error:
            raise UserError(f"{self.source}: a column holds values of several kinds: {error}") from error


class _Parquet(OutsideTable):
    def __init__(self, source: str, needed: Sequence[str]) -> None:
        super().__init__(source, needed)
        self.files = [self.uri]
        if is_folder(self.uri):
            below = listing(self.uri, recursive=True)
            self.files = [uri for uri in below if uri.endswith(".parquet")]
            if not self.files:
                raise UserError(f"there is no Parquet file in {source}")
        for uri in self.files:
            with self._reading(uri) as file:
                self.names = tuple(file.schema_arrow.names)
            self._check_names(source, self.names)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[OutsideRow]:
        for number, values in enumerate(self._all_values(columns), 1):
            yield OutsideRow(number, values, len(values))

    def _all_values(self, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
        for uri in self.files:
            with self._reading(uri) as file:
                present = None if columns is None else [n for n in columns if n in file.schema_arrow.names]
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=present):
                    yield from self._values(batch)

    def to_arrow(self) -> pa.Table:
        tables = []
        for uri in self.files:
            with self._reading(uri) as file:
                tables.append(file.read())
        try:
            return pa.concat_tables(tables)
        except pa.ArrowException as error:
            raise UserError(f"{self.source}: its files differ in their columns: {one_line(error)}") from error

    @contextmanager
    def _reading(self, uri: str) -> Iterator[pq.ParquetFile]:
        """One file, without Arrow's extensions: columns of JSON or UUIDs are text or bytes."""
        try:
            with open_file(uri) as data:
                file = pq.ParquetFile(data, arrow_extensions_enabled=False)
                check_plain(self.source, file.schema_arrow)
                yield file
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self.source} is no readable Parquet table: {one_line(error)}") from error

    def _values(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        try:
            rows: list[dict[str, Any]] = batch.to_pylist()
            return rows
        except (ValueError, OverflowError, KeyError) as error:  # nanoseconds, bad UTF-8, unknown time zones
            raise UserError(f"{self.source} holds values that cannot be read: {one_line(error)}") from error


def read_json(source: str) -> Any:
    """The value of a JSON file in UTF-8. UserError when the file is missing or not JSON."""
    data = read_bytes(absolute(source))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{source} is no JSON: {error}") from error
    return parse_json(source, text)


def parse_json(where: str, text: str | bytes) -> Any:
    """The value of a JSON text. UserError, which begins with `where`, when it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is no JSON: {error}") from error


@lru_cache(maxsize=CACHED_TARS)
def tar_members(tar: str) -> dict[str, tuple[int, int]]:
    """Offset and size, in bytes, of each file in an uncompressed tar. UserError when `tar` is not one."""
    try:
        with tarfile.open(tar, "r:") as archive:
            return {member.name: (member.offset_data, member.size) for member in archive if member.isfile()}
    except tarfile.TarError as error:
        raise UserError(f"{tar} is no uncompressed tar file: {error}") from error


def read_member(tar: str, name: str) -> bytes:
    """One file of a tar. FileNotFoundError when the tar does not have it."""
    members = tar_members(tar)
    if name not in members:
        raise FileNotFoundError(f"{tar}{MEMBER}{name} does not exist")
    offset, size = members[name]
    with open(tar, "rb") as file:
        file.seek(offset)
        return file.read(size)


@contextmanager
def _text(uri: str) -> Iterator[io.TextIOWrapper]:
    with (
        open_file(uri) as file,
        pa.BufferedInputStream(file, BUFFER_BYTES) as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as lines,
    ):
        yield lines


def _needs(needed: Sequence[str]) -> str:
    return f"; it needs {', '.join(needed[:-1])}{' and ' * (len(needed) > 1)}{needed[-1]}" if needed else ""
