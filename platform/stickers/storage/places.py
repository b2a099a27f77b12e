"""Where artifacts lie: any place that pyarrow can reach, a local folder, S3, GCS, HDFS, or anything fsspec knows.

A place is an absolute path or a URI. What an object store wants to know (endpoint, region, credentials) comes from the
environment, as its vendor's tools read it, never from the URI.
"""

import posixpath
from dataclasses import MISSING, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyarrow import fs

#: file systems of pyarrow's in which a name appears when all of its bytes are there, and in which there are no folders
OBJECT_STORES = ("s3", "gcs")


FAILURES = (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError)


def join(uri: str, *parts: str) -> str:
    """`uri` with `parts` below it."""
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def below(folder: str, relative: str) -> str:
    """The place that a relative path means from a folder: `..` is resolved, in URIs too."""
    scheme, mark, path = folder.rpartition("://")
    return scheme + mark + posixpath.normpath(posixpath.join(path, relative))


def locate(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system of a place, and its path there."""
    if uri.startswith("s3://"):
        path = uri.removeprefix("s3://")
        return _bucket(path.partition("/")[0]), path
    return fs.FileSystem.from_uri(uri)


@lru_cache
def _bucket(name: str) -> fs.FileSystem:
    """One client a bucket, since each new one connects anew; small files take one request, not three."""
    return fs.FileSystem.from_uri(f"s3://{name}?allow_delayed_open=true")[0]


def one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def as_path(default: Any = MISSING) -> Any:
    """A dataclass field that names a place (or a tuple of them): a project resolves it against its own file."""
    return field(default=default, metadata={"path": True})
