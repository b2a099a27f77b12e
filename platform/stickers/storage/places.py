"""Where artifacts lie: local folders, S3, GCS, HDFS, and all file systems of fsspec, through pyarrow.

A place is an absolute path or a URI. The settings of an object store (endpoint, region, credentials) come from the
environment, as its vendor's tools read them, never from the URI.
"""

import posixpath
from dataclasses import MISSING, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyarrow import fs

#: pyarrow's file systems without folders, in which an object appears only when all of its bytes are written
OBJECT_STORES = ("s3", "gcs")
#: the exceptions of pyarrow's file systems
FAILURES = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError)


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def below(folder: str, relative: str) -> str:
    """The place of a path relative to a folder; `..` is resolved, in URIs too."""
    scheme, mark, path = folder.rpartition("://")
    return scheme + mark + posixpath.normpath(posixpath.join(path, relative))


def locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a place, and its path in that file system."""
    if uri.startswith("s3://"):
        path = uri.removeprefix("s3://")
        return _bucket(path.partition("/")[0]), path
    return fs.FileSystem.from_uri(uri)


@lru_cache
def _bucket(name: str) -> fs.FileSystem:
    """One client for each bucket, since a new one connects again; small files take one request instead of three."""
    return fs.FileSystem.from_uri(f"s3://{name}?allow_delayed_open=true")[0]


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def as_path(default: Any = MISSING) -> Any:
    """A dataclass field that names a place (or a tuple of them): a project resolves it against its own file."""
    return field(default=default, metadata={"path": True})
