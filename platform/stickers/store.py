"""Artifacts at any place that pyarrow can reach: a local folder, S3, GCS, HDFS, or anything fsspec knows.

A place is an absolute path or a URI. A reader sees a whole file or none: files are written under a temporary name and
renamed, but in object stores, where an object appears when it is whole and renaming would copy it. An artifact
folder is finished when its `record.json`, written last, is there, and is never written again. What an object store
wants to know (endpoint, region, credentials) comes from the environment, as its vendor's tools read it, never from the
URI.
"""

import json
import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

RECORD = "record.json"
CURRENT = "current"
TEMPORARY = ".writing-"
#: file systems of pyarrow's in which a name appears when all of its bytes are there, and in which there are no folders
OBJECT_STORES = ("s3", "gcs")
_FAILURES = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError)


@dataclass(frozen=True)
class Found:
    """A finished artifact: the URI of its folder and what its `record.json` says."""

    uri: str
    record: dict[str, Any]

    @property
    def folder(self) -> str:
        """The last part of the URI: the artifact's name under its kind."""
        return self.uri.rstrip("/").rsplit("/", 1)[-1]


def resolve_runs(text: str | os.PathLike[str]) -> str:
    """The absolute place of the runs folder, created when absent: a path for local folders, else a URI.

    Raises:
        ValueError: the place cannot be created or written, or lies in Ray's temporary folders.
    """
    place = os.fspath(text).strip()
    if not place:
        raise ValueError("the runs folder must not be empty; give --runs a folder or a URI")
    if place.startswith("file://"):
        place = fs.FileSystem.from_uri(place)[1]
    if "://" not in place:
        place = str(Path(place).expanduser().resolve())
        _refuse_ray_temporary(place)
    else:
        _refuse_settings(place)
    place = place.rstrip("/") or "/"
    probe = join(place, f".writable-{uuid4().hex}")
    try:
        write_bytes(probe, b"")
        system, path = _locate(probe)
        system.delete_file(path)
    except _FAILURES as error:
        raise ValueError(
            f"the runs folder {place} cannot be created or written: {_one_line(error)}"
        ) from error
    return place


def _refuse_ray_temporary(path: str) -> None:
    if any(part.startswith("session_") for part in Path(path).parts) and "runtime_resources" in path:
        raise ValueError(
            f"the runs folder {path} lies in Ray's temporary folders and would vanish with the job; "
            "give --runs (or STICKERS_RUNS) an absolute path or URI"
        )


def _refuse_settings(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.query or parts.fragment or "@" in parts.netloc:
        plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise ValueError(
            f"the runs folder {plain} must be given without settings or credentials, since artifacts record where they "
            "lie; object stores take them from the environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ...)"
        )


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    system, path = _locate(uri)
    return system.get_file_info(path).type != fs.FileType.NotFound


def listing(uri: str, *, recursive: bool = False) -> list[str]:
    """The places directly below a folder, or with `recursive` every file below it; sorted, empty when it is absent."""
    system, path = _locate(uri)
    found = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
    if recursive:
        found = [each for each in found if each.type == fs.FileType.File]
    base = path.rstrip("/")
    below = sorted(each.path[each.path.index(base) + len(base) :].strip("/") for each in found)
    return [join(uri, name) for name in below if TEMPORARY not in name]


def is_folder(uri: str) -> bool:
    """Whether a folder (not a file) is there."""
    system, path = _locate(uri)
    return system.get_file_info(path).type == fs.FileType.Directory


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file whole or not at all; folders above it are created."""
    whole = memoryview(data)  # raises before anything is opened, since closing is what makes an object
    system, path = _locate(uri)
    unfinished = _unfinished(system, path)
    try:
        with system.open_output_stream(unfinished) as stream:
            stream.write(whole)
        if unfinished != path:
            system.move(unfinished, path)
    except BaseException:
        if unfinished != path and system.get_file_info(unfinished).type == fs.FileType.File:
            system.delete_file(unfinished)
        raise


def _unfinished(system: fs.FileSystem, path: str) -> str:
    """Under which name a file is written until it is whole."""
    if system.type_name in OBJECT_STORES:
        return path
    folder, _, name = path.rpartition("/")
    system.create_dir(folder, recursive=True)
    return f"{folder}/{TEMPORARY}{uuid4().hex}-{name}"


def read_bytes(uri: str) -> bytes:
    """A file's content. ValueError when it is not there."""
    system, path = _locate(uri)
    if system.get_file_info(path).type != fs.FileType.File:
        raise ValueError(f"there is no file {uri}")
    with system.open_input_stream(path) as stream:
        return stream.read()


def write_json(uri: str, value: Any) -> None:
    write_bytes(uri, json.dumps(value, indent=2, sort_keys=True).encode())


def read_json(uri: str) -> Any:
    """A JSON file's value. ValueError when it is absent or is no JSON."""
    try:
        return json.loads(read_bytes(uri))
    except json.JSONDecodeError as error:
        raise ValueError(f"{uri} is no JSON: {error}") from error


def write_table(uri: str, table: pa.Table, schema: pa.Schema, *, rows_per_group: int | None = None) -> None:
    """Write one Parquet file whose columns are exactly `schema`. ValueError names the columns that are not.

    Small row groups let a reader of few rows skip the rest.
    """
    _check(uri, table.schema, schema)
    for name in (column.name for column in schema if not column.nullable):
        if table[name].null_count:
            raise ValueError(
                f"{uri}: column {name} has {table[name].null_count} empty values, none are accepted"
            )
    sink = pa.BufferOutputStream()
    pq.write_table(table.cast(schema), sink, compression="zstd", row_group_size=rows_per_group)
    write_bytes(uri, sink.getvalue().to_pybytes())


def read_table(uri: str, schema: pa.Schema | None = None, *, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or all Parquet files below a folder; with `schema`, checked against it.

    Raises:
        ValueError: nothing is there, it is no Parquet, or a column is absent or of another type.
    """
    system, path = _locate(uri)
    kind = system.get_file_info(path).type
    if kind == fs.FileType.NotFound:
        raise ValueError(f"there is no table {uri}")
    if kind == fs.FileType.File:
        sources = [path]
    else:
        sources = [_locate(each)[1] for each in listing(uri, recursive=True) if each.endswith(".parquet")]
    if not sources:
        raise ValueError(f"there is no Parquet file in {uri}")
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
        self.system, self.path = _locate(uri)
        self.unfinished = _unfinished(self.system, self.path)
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
    """One row group of a finished Parquet file, which is never written again. ValueError as `read_table`."""
    with _readable(uri):
        file, reading = _parquet_file(uri)
        with reading:
            return file.read_row_group(group, columns=columns)


def group_starts(uri: str) -> list[int]:
    """The number of the first row of each row group of a Parquet file. ValueError as `read_table`."""
    system, path = _locate(uri)
    with _readable(uri):
        found = pq.read_metadata(path, filesystem=system)
    sizes = (found.row_group(number).num_rows for number in range(found.num_row_groups))
    return [0, *accumulate(sizes)][:-1]


def read_batches(uri: str, schema: pa.Schema, *, columns: list[str], rows: int) -> Iterator[pa.Table]:
    """Some columns of a Parquet file, so many rows at a time: however large it is, it takes the memory of those.

    Raises:
        ValueError: as `read_table`, before or between batches.
    """
    system, path = _locate(uri)
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
        raise ValueError(f"{uri} is no readable Parquet table: {_one_line(error)}") from error


@lru_cache(maxsize=128)
def _parquet_file(uri: str) -> tuple[pq.ParquetFile, Lock]:
    """An open file, whose footer is read once, and what keeps its readers apart: two at a time crash pyarrow."""
    system, path = _locate(uri)
    return pq.ParquetFile(path, filesystem=system), Lock()


def _check(uri: str, found: pa.Schema, wanted: pa.Schema) -> None:
    missing = [name for name in wanted.names if name not in found.names]
    extra = [name for name in found.names if name not in wanted.names]
    if missing or extra:
        raise ValueError(
            f"{uri}: columns {missing} are missing and {extra} are not known; accepted: {wanted.names}"
        )
    for name in wanted.names:
        given, asked = found.field(name).type, wanted.field(name).type
        if given != asked and not pa.types.is_null(given) and not _wider(given, asked):
            raise ValueError(f"{uri}: column {name} is {given}, accepted is {asked}")


def _wider(given: pa.DataType, asked: pa.DataType) -> bool:
    """Whether the two differ in offset width only, as string and large_string do."""
    return str(given).replace("large_", "") == str(asked).replace("large_", "")


def upload_folder(local: str | os.PathLike[str], uri: str) -> None:
    """Copy every file of a local folder to `uri`, each whole or not at all."""
    root = Path(local)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root} to upload")
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        write_bytes(join(uri, path.relative_to(root).as_posix()), path.read_bytes())


def remove(uri: str) -> None:
    """Delete a file, or a folder with everything below it."""
    system, path = _locate(uri)
    if is_folder(uri):
        with suppress(FileNotFoundError):  # a bucket may still list a folder whose last object is gone
            system.delete_dir(path)
    else:
        system.delete_file(path)


def local_folder(uri: str) -> str:
    """A local path with the content of a folder: itself when local, else a copy in a cache.

    The cache is keyed by the URI and by each file's size and time, so a changed artifact is fetched again.
    """
    system, path = _locate(uri)
    if isinstance(system, fs.LocalFileSystem):
        if not is_folder(uri):
            raise ValueError(f"there is no folder {uri}")
        return path
    infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    files = sorted((each for each in infos if each.type == fs.FileType.File), key=lambda each: each.path)
    if not files:
        raise ValueError(f"there is no folder {uri}")
    stamp = "\n".join([uri, *(f"{each.path} {each.size} {each.mtime_ns}" for each in files)])
    target = _cached(stamp)
    if not target.exists():
        _fetch(uri, target)
    return str(target)


def local_file(uri: str) -> str:
    """A local path with the content of a file: itself when local, else a copy in the same cache.

    Raises:
        ValueError: there is no such file.
    """
    system, path = _locate(uri)
    info = system.get_file_info(path)
    if info.type != fs.FileType.File:
        raise ValueError(f"there is no file {uri}")
    if isinstance(system, fs.LocalFileSystem):
        return path
    target = _cached(f"{uri} {info.size} {info.mtime_ns}") / uri.rsplit("/", 1)[1]
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = target.with_name(f"{TEMPORARY}{uuid4().hex}")
        staging.write_bytes(read_bytes(uri))
        staging.rename(target)
    return str(target)


def below(folder: str, relative: str) -> str:
    """The place that a relative path means from a folder: `..` is resolved, in URIs too."""
    scheme, mark, path = folder.rpartition("://")
    return scheme + mark + posixpath.normpath(posixpath.join(path, relative))


def _cached(stamp: str) -> Path:
    home = Path(os.environ.get("STICKERS_CACHE") or Path.home() / ".cache" / "animated-stickers")
    return home / blake2b(stamp.encode(), digest_size=12).hexdigest()


def _fetch(uri: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=target.parent))
    try:
        for source in listing(uri, recursive=True):
            copy = staging / source[len(uri.rstrip("/")) + 1 :]
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(read_bytes(source))
        if not target.exists():
            staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_record(uri: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Finish the artifact folder `uri`: write its `record.json` with the time, and never again.

    Returns:
        The record as written.
    """
    place = join(uri, RECORD)
    if exists(place):
        raise ValueError(f"{place} is there already; a finished artifact is never overwritten")
    whole = {**record, "finished_at": datetime.now(UTC).isoformat()}
    write_json(place, whole)
    return whole


def find_records(runs: str, kind: str) -> list[Found]:
    """Every finished artifact folder `<runs>/<kind>/*`, oldest first."""
    places = [each for each in listing(join(runs, kind)) if exists(join(each, RECORD))]
    found = [Found(place, read_json(join(place, RECORD))) for place in places]
    return sorted(found, key=lambda each: (each.record.get("finished_at", ""), each.uri))


def find_record(runs: str, kind: str, choice: str | None = None) -> Found:
    """The newest finished artifact of a kind, or the newest whose folder is `choice` or begins with `choice-`.

    Raises:
        ValueError: there is none; the sentence lists what exists.
    """
    every = find_records(runs, kind)
    chosen = [e for e in every if choice is None or e.folder == choice or e.folder.startswith(f"{choice}-")]
    if not chosen:
        there = ", ".join(each.folder for each in every) or "none"
        asked = "finished artifact" if choice is None else f"finished artifact {choice!r}"
        raise ValueError(f"there is no {asked} in {join(runs, kind)}; finished are: {there}")
    return chosen[-1]


def set_current(runs: str, kind: str, name: str, folder: str) -> None:
    """Let `name` stand for `<runs>/<kind>/<folder>`: what its stage made, or found finished, last."""
    place = join(runs, kind, CURRENT, f"{name}.json")
    if not exists(place) or read_json(place) != folder:
        write_json(place, folder)


def current(runs: str, kind: str, name: str) -> Found | None:
    """What `name` stands for (see `set_current`), or none."""
    place = join(runs, kind, CURRENT, f"{name}.json")
    if not exists(place):
        return None
    uri = join(runs, kind, read_json(place))
    return Found(uri, read_json(join(uri, RECORD)))


def discard_torn(out: str) -> list[str]:
    """Delete what a full disk or a crash left half done below `out`, so that it is made again.

    `out` is where a checkpointed Ray Data execution writes: `rows`, and `checkpoint` beside it, whose files vouch for
    the ids of a block of rows; both are named by the block, the rows with a number behind. What goes is files that are
    half written, checkpoints that vouch for rows which are not there, and pending checkpoints of committed blocks,
    which an object store that was killed between copying and deleting leaves: Ray Data would delete those rows.

    Returns:
        The URIs deleted, checkpoints first: killed in between, no checkpoint vouches for rows that are gone.
    """
    rows, checkpoints = (
        [each for each in listing(join(out, part), recursive=True) if each.endswith(".parquet")]
        for part in ("rows", "checkpoint")
    )
    torn = [each for each in (*checkpoints, *rows) if not _is_parquet(each)]
    whole = {_block(each) for each in rows} - {_block(each) for each in torn if each in rows}
    committed = {_block(each) for each in checkpoints if not _pending(each) and each not in torn}
    wrong = [
        each
        for each in checkpoints
        if each not in torn
        and (_block(each) in committed & whole if _pending(each) else _block(each) not in whole)
    ]
    for each in (*wrong, *torn):
        remove(each)
    return [*wrong, *torn]


def _pending(checkpoint: str) -> bool:
    return checkpoint.endswith(".pending.parquet")


def _block(uri: str) -> str:
    """By which name a file of rows and its checkpoint know each other."""
    name = uri.rsplit("/", 1)[1].removesuffix(".parquet")
    return name.removesuffix(".pending") if "/checkpoint/" in uri else name.rsplit("-", 1)[0]


def _is_parquet(uri: str) -> bool:
    """Whether a file is whole: a Parquet file's footer is written last."""
    system, path = _locate(uri)
    try:
        pq.ParquetFile(path, filesystem=system).close()
    except pa.ArrowInvalid:
        return False
    return True


def _locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a place, and its path there."""
    if uri.startswith("s3://"):
        path = uri.removeprefix("s3://")
        return _bucket(path.partition("/")[0]), path
    return fs.FileSystem.from_uri(uri)


@lru_cache
def _bucket(name: str) -> fs.FileSystem:
    """One client a bucket, since each new one connects anew; small files take one request, not three."""
    return fs.FileSystem.from_uri(f"s3://{name}?allow_delayed_open=true")[0]


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
