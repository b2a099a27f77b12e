"""Files at any place. A reader sees a whole file or none.

Files are written under a temporary name and renamed, except in object stores, where an object appears when it is whole
and renaming would copy it.
"""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
from pyarrow import fs

from stickers.errors import UserError
from stickers.storage.places import OBJECT_STORES, join, locate

TEMPORARY = ".writing-"


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    system, path = locate(uri)
    return system.get_file_info(path).type != fs.FileType.NotFound


def is_folder(uri: str) -> bool:
    """Whether a folder (not a file) is there."""
    system, path = locate(uri)
    return system.get_file_info(path).type == fs.FileType.Directory


def listing(uri: str, *, recursive: bool = False) -> list[str]:
    """The places directly below a folder, or with `recursive` every file below it; sorted, empty when it is absent."""
    system, path = locate(uri)
    found = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=recursive))
    if recursive:
        found = [each for each in found if each.type == fs.FileType.File]
    base = path.rstrip("/")
    below = sorted(each.path[each.path.index(base) + len(base) :].strip("/") for each in found)
    return [join(uri, name) for name in below if TEMPORARY not in name]


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file whole or not at all; folders above it are created."""
    whole = memoryview(data)  # raises before anything is opened, since closing is what makes an object
    system, path = locate(uri)
    unfinished = unfinished_path(system, path)
    try:
        with system.open_output_stream(unfinished) as stream:
            stream.write(whole)
        if unfinished != path:
            system.move(unfinished, path)
    except BaseException:
        if unfinished != path and system.get_file_info(unfinished).type == fs.FileType.File:
            system.delete_file(unfinished)
        raise


def unfinished_path(system: fs.FileSystem, path: str) -> str:
    """Under which name a file is written until it is whole."""
    if system.type_name in OBJECT_STORES:
        return path
    folder, _, name = path.rpartition("/")
    system.create_dir(folder, recursive=True)
    return f"{folder}/{TEMPORARY}{uuid4().hex}-{name}"


def read_bytes(uri: str) -> bytes:
    """A file's content. UserError when it is not there."""
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
    write_bytes(uri, json.dumps(value, indent=2, sort_keys=True).encode())


def read_json(uri: str) -> Any:
    """A JSON file's value. UserError when it is absent or is no JSON."""
    try:
        return json.loads(read_bytes(uri))
    except json.JSONDecodeError as error:
        raise UserError(f"{uri} is no JSON: {error}") from error


def upload_folder(local: str | os.PathLike[str], uri: str) -> None:
    """Copy every file of a local folder to `uri`, each whole or not at all."""
    root = Path(local)
    if not root.is_dir():
        raise UserError(f"there is no folder {root} to upload")
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        write_bytes(join(uri, path.relative_to(root).as_posix()), path.read_bytes())


def remove(uri: str) -> None:
    """Delete a file, or a folder with everything below it."""
    system, path = locate(uri)
    if is_folder(uri):
        with suppress(FileNotFoundError):  # a bucket may still list a folder whose last object is gone
            system.delete_dir(path)
    else:
        system.delete_file(path)


def local_folder(uri: str) -> str:
    """A local path with the content of a folder: itself when local, else a copy in a cache.

    The cache is keyed by the URI and by each file's size and time, so a changed artifact is fetched again.
    """
    system, path = locate(uri)
    if isinstance(system, fs.LocalFileSystem):
        if not is_folder(uri):
            raise UserError(f"there is no folder {uri}")
        return path
    infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=True))
    files = sorted((each for each in infos if each.type == fs.FileType.File), key=lambda each: each.path)
    if not files:
        raise UserError(f"there is no folder {uri}")
    stamp = "\n".join([uri, *(f"{each.path} {each.size} {each.mtime_ns}" for each in files)])
    target = _cached(stamp)
    if not target.exists():
        _fetch(uri, target)
    return str(target)


def local_file(uri: str) -> str:
    """A local path with the content of a file: itself when local, else a copy in the same cache.

    Raises:
        UserError: there is no such file.
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
