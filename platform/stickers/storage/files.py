"""Files at any place. A reader sees a complete file or none.

Files are written under a temporary name and renamed, except in object stores, where an object appears when it is
complete and renaming would copy it.
"""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from stickers.errors import UserError
from stickers.storage.places import OBJECT_STORES, join, locate

TEMPORARY = ".writing-"
#: bytes of the hash that names a cached copy
DIGEST_BYTES = 12


def exists(uri: str) -> bool:
    """True where a file or folder exists."""
    system, path = locate(uri)
    return system.get_file_info(path).type != fs.FileType.NotFound


def is_folder(uri: str) -> bool:
    """True where a folder (not a file) exists."""
    system, path = locate(uri)
    return system.get_file_info(path).type == fs.FileType.Directory


def listing(uri: str, *, recursive: bool = False) -> list[str]:
    """The entries of a folder, or with `recursive` all files below it; sorted, empty when the folder is absent."""
    system, path = locate(uri)
    infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
    if recursive:
        infos = [info for info in infos if info.type == fs.FileType.File]
    base = path.rstrip("/")
    names = sorted(info.path[info.path.index(base) + len(base) :].strip("/") for info in infos)
    return [join(uri, name) for name in names if TEMPORARY not in name]


@dataclass(frozen=True)
class StoredFile:
    """A file as its file system lists it: bytes, and seconds since 1970, or none where the system does not tell."""

    uri: str
    num_bytes: int
    written_at: float | None


def files_below(uri: str) -> list[StoredFile]:
    """All files below a folder, those that are still written too; sorted, empty when the folder is absent."""
    system, path = locate(uri)
    infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    base = path.rstrip("/")
    files = []
    for info in infos:
        if info.type == fs.FileType.File:
            name = info.path[info.path.index(base) + len(base) :].strip("/")
            written_at = info.mtime.timestamp() if info.mtime else None
            files.append(StoredFile(join(uri, name), info.size or 0, written_at))
    return sorted(files, key=lambda file: file.uri)


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file completely or not at all; folders above it are created."""
    content = memoryview(data)  # raises before a stream is opened: closing one creates the object
    system, path = locate(uri)
    unfinished = unfinished_path(system, path)
    try:
        with system.open_output_stream(unfinished) as stream:
            stream.write(content)
        if unfinished != path:
            system.move(unfinished, path)
    except BaseException:
        if unfinished != path and system.get_file_info(unfinished).type == fs.FileType.File:
            system.delete_file(unfinished)
        raise


def unfinished_path(system: fs.FileSystem, path: str) -> str:
    """The name under which a file is written until it is complete."""
    if system.type_name in OBJECT_STORES:
        return path
    folder, _, name = path.rpartition("/")
    system.create_dir(folder, recursive=True)
    return f"{folder}/{TEMPORARY}{uuid4().hex}-{name}"


def read_bytes(uri: str) -> bytes:
    """A file's content. UserError when it is missing."""
    system, path = locate(uri)
    if system.get_file_info(path).type != fs.FileType.File:
        raise UserError(f"there is no file {uri}")
    with system.open_input_stream(path) as stream:
        return stream.read()


def open_file(uri: str) -> pa.NativeFile:
    """A file, open for reading at any position. UserError when it is not there."""
    system, path = locate(uri)
    if system.get_file_info(path).type != fs.FileType.File:
        raise UserError(f"there is no file {uri}")
    return system.open_input_file(path)


def write_json(uri: str, value: Any) -> None:
    """Write a value as indented JSON with sorted keys."""
    write_bytes(uri, json.dumps(value, indent=2, sort_keys=True).encode())


def read_json(uri: str) -> Any:
    """A JSON file's value. UserError when it is missing or not JSON."""
    try:
        return json.loads(read_bytes(uri))
    except json.JSONDecodeError as error:
        raise UserError(f"{uri} is no JSON: {error}") from error


def upload_folder(local: str | os.PathLike[str], uri: str) -> None:
    """Copy all files of a local folder to `uri`, each completely or not at all."""
    root = Path(local)
    if not root.is_dir():
        raise UserError(f"there is no folder {root} to upload")
    for path in sorted(entry for entry in root.rglob("*") if entry.is_file()):
        write_bytes(join(uri, path.relative_to(root).as_posix()), path.read_bytes())


def remove(uri: str) -> None:
    """Delete a file, or a folder with all files below it."""
    system, path = locate(uri)
    if is_folder(uri):
        with suppress(FileNotFoundError):  # a bucket may still list a folder whose last object is gone
            system.delete_dir(path)
    else:
        system.delete_file(path)


def local_folder(uri: str) -> str:
    """A local path with the content of a folder: the folder itself when local, else a copy in a cache.

    The cache is keyed by the URI and the size and time of each file, so a changed artifact is downloaded again.
    """
    system, path = locate(uri)
    if isinstance(system, fs.LocalFileSystem):
        if not is_folder(uri):
            raise UserError(f"there is no folder {uri}")
        return path
    infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    files = sorted((info for info in infos if info.type == fs.FileType.File), key=lambda info: info.path)
    if not files:
        raise UserError(f"there is no folder {uri}")
    stamp = "\n".join([uri, *(f"{file.path} {file.size} {file.mtime_ns}" for file in files)])
    target = _cached(stamp)
    if not target.exists():
        _fetch(uri, target)
    return str(target)


def local_file(uri: str) -> str:
    """A local path with the content of a file: the file itself when local, else a copy in the same cache.

    Raises:
        UserError: the file does not exist.
    """
    system, path = locate(uri)
    info = system.get_file_info(path)
    if info.type != fs.FileType.File:
        raise UserError(f"there is no file {uri}")
    if isinstance(system, fs.LocalFileSystem):
        return path
    target = _cached(f"{uri} {info.size} {info.mtime_ns}") / uri.rsplit("/", 1)[1]
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = target.with_name(f"{TEMPORARY}{uuid4().hex}")
        staging.write_bytes(read_bytes(uri))
        staging.rename(target)
    return str(target)


def cache_home() -> Path:
    """The folder of this machine that holds copies of remote files: STICKERS_CACHE, or one in the home folder."""
    return Path(os.environ.get("STICKERS_CACHE") or Path.home() / ".cache" / "animated-stickers")


def _cached(stamp: str) -> Path:
    return cache_home() / blake2b(stamp.encode(), digest_size=DIGEST_BYTES).hexdigest()


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
