"""The runs folder and its artifacts: `<runs>/<kind>/<name>`, each finished by its `record.json`.

An artifact folder is finished when it has its record, which is written last. It never changes afterwards, so records of
older versions stay as they are; `read_record` returns them in today's form.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from pyarrow import fs

from stickers.errors import UserError
from stickers.storage.files import exists, listing, read_json, remove, write_bytes, write_json
from stickers.storage.places import FAILURES, join, locate, one_line
from stickers.storage.tables import is_parquet

RECORD = "record.json"
CURRENT = "current"
#: how the file is called that tells whether a folder can be written
PROBE = ".writable-"
#: version of records; those without one have the first. It rises when a key is renamed, removed or changes its meaning
RECORD_VERSION = 2
#: keys of earlier versions' records, and their names today
RENAMED = {"profile": "project"}
#: the runs folder is three levels above a record
RECORD_DEPTH = 3
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: the URI of its folder and its `record.json`."""

    uri: str
    record: dict[str, Any]

    @property
    def folder(self) -> str:
        """The last part of the URI: the artifact's name under its kind."""
        return self.uri.rstrip("/").rsplit("/", 1)[-1]


def resolve_runs(text: str | os.PathLike[str]) -> str:
    """The absolute path or URI of the runs folder, which is created when absent.

    Raises:
        UserError: the folder cannot be created or written, or lies in Ray's temporary folders.
    """
    runs = os.fspath(text).strip()
    if not runs:
        raise UserError("the runs folder must not be empty; give --runs a folder or a URI")
    if runs.startswith("file://"):
        runs = fs.FileSystem.from_uri(runs)[1]
    if "://" not in runs:
        runs = str(Path(runs).expanduser().resolve())
        _refuse_ray_temporary(runs)
    else:
        _refuse_settings(runs)
    runs = runs.rstrip("/") or "/"
    probe = join(runs, f"{PROBE}{uuid4().hex}")
    try:
        write_bytes(probe, b"")
        system, path = locate(probe)
        system.delete_file(path)
    except FAILURES as error:
        raise UserError(f"the runs folder {runs} cannot be created or written: {one_line(error)}") from error
    return runs


def _refuse_ray_temporary(path: str) -> None:
    if any(part.startswith("session_") for part in Path(path).parts) and "runtime_resources" in path:
        raise UserError(
            f"the runs folder {path} lies in Ray's temporary folders and would vanish with the job; "
            "give --runs (or STICKERS_RUNS) an absolute path or URI"
        )


def _refuse_settings(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.query or parts.fragment or "@" in parts.netloc:
        plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise UserError(
            f"the runs folder {plain} must be given without settings or credentials, since artifacts record where they "
            "lie; object stores take them from the environment (AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, ...)"
        )


def write_record(uri: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Finish the artifact folder `uri`: write its `record.json` with version and time, once.

    Returns:
        The record as written.
    """
    record_uri = join(uri, RECORD)
    if exists(record_uri):
        raise UserError(f"{record_uri} is there already; a finished artifact is never overwritten")
    finished = {**record, "version": RECORD_VERSION, "finished_at": datetime.now(UTC).isoformat()}
    write_json(record_uri, finished)
    return finished


def read_record(uri: str) -> dict[str, Any]:
    """The `record.json` of an artifact folder, in today's form.

    Raises:
        UserError: the record is missing, or a newer version of this program wrote it.
    """
    record_uri = join(uri, RECORD)
    return upgraded(read_json(record_uri), record_uri)


def upgraded(record: Mapping[str, Any], uri: str) -> dict[str, Any]:
    """A record of any version in today's form. Keys unknown to this version are kept.

    Args:
        uri: of the record, for messages.

    Raises:
        UserError: a newer version of this program wrote it.
    """
    version = record.get("version", 1)
    if version > RECORD_VERSION:
        raise UserError(
            f"{uri} is a record of version {version}, written by a newer version of this program; this one reads "
            f"versions up to {RECORD_VERSION}"
        )
    if version < RECORD_VERSION and RENAMED.keys() & record.keys():
        _warn_once(uri.rsplit("/", RECORD_DEPTH)[0])
        return {RENAMED.get(name, name): value for name, value in record.items()}
    return dict(record)


@lru_cache
def _warn_once(runs: str) -> None:
    names = ", ".join(f"{old!r} as {new!r}" for old, new in RENAMED.items())
    logger.warning(
        "%s holds records of an earlier version; they stay as they are, and are read with %s", runs, names
    )


def find_records(runs: str, kind: str) -> list[Artifact]:
    """All finished artifact folders `<runs>/<kind>/*`, oldest first."""
    folders = [folder for folder in listing(join(runs, kind)) if exists(join(folder, RECORD))]
    artifacts = [Artifact(folder, read_record(folder)) for folder in folders]
    return sorted(artifacts, key=lambda artifact: (artifact.record.get("finished_at", ""), artifact.uri))


def find_record(runs: str, kind: str, choice: str | None = None) -> Artifact:
    """The newest finished artifact of a kind, or the newest whose folder is `choice` or begins with `choice-`.

    Raises:
        UserError: there is none; the message lists the existing ones.
    """
    artifacts = find_records(runs, kind)
    chosen = [
        artifact
        for artifact in artifacts
        if choice is None or artifact.folder == choice or artifact.folder.startswith(f"{choice}-")
    ]
    if not chosen:
        existing = ", ".join(artifact.folder for artifact in artifacts) or "none"
        missing = "finished artifact" if choice is None else f"finished artifact {choice!r}"
        raise UserError(f"there is no {missing} in {join(runs, kind)}; finished are: {existing}")
    return chosen[-1]


def set_current(runs: str, kind: str, name: str, folder: str) -> None:
    """Make `<runs>/<kind>/<folder>` the current artifact of `name`: the last one that its stage finished or reused."""
    pointer = join(runs, kind, CURRENT, f"{name}.json")
    if not exists(pointer) or read_json(pointer) != folder:
        write_json(pointer, folder)


def current(runs: str, kind: str, name: str) -> Artifact | None:
    """The current artifact of `name` (see `set_current`), or None."""
    pointer = join(runs, kind, CURRENT, f"{name}.json")
    if not exists(pointer):
        return None
    uri = join(runs, kind, read_json(pointer))
    return Artifact(uri, read_record(uri))


def currents(runs: str, kind: str) -> dict[str, str]:
    """The folders of a kind that names stand for (see `set_current`), by name."""
    pointers = listing(join(runs, kind, CURRENT))
    return {pointer.rsplit("/", 1)[1].removesuffix(".json"): read_json(pointer) for pointer in pointers}


def discard_torn(folder: str) -> list[str]:
    """Delete the half-written files of a crash or a full disk below `folder`, so that they are made again.

    A checkpointed Ray Data execution writes `rows` and `checkpoint` to `folder`. A checkpoint's file vouches for the
    ids of a block of rows; both are named by the block, the rows with a number appended. Deleted are half-written
    files, checkpoints of missing rows, and pending checkpoints of committed blocks: an object store leaves those when
    it is killed between copying and deleting, and Ray Data would delete the rows.

    Returns:
        The deleted URIs, checkpoints first: after a kill in between, no checkpoint vouches for deleted rows.
    """
    rows, checkpoints = (
        [uri for uri in listing(join(folder, part), recursive=True) if uri.endswith(".parquet")]
        for part in ("rows", "checkpoint")
    )
    torn = [uri for uri in (*checkpoints, *rows) if not is_parquet(uri)]
    complete = {_block(uri) for uri in rows} - {_block(uri) for uri in torn if uri in rows}
    committed = {_block(uri) for uri in checkpoints if not _pending(uri) and uri not in torn}
    wrong = [
        uri
        for uri in checkpoints
        if uri not in torn
        and (_block(uri) in committed & complete if _pending(uri) else _block(uri) not in complete)
    ]
    for uri in (*wrong, *torn):
        remove(uri)
    return [*wrong, *torn]


def _pending(checkpoint: str) -> bool:
    return checkpoint.endswith(".pending.parquet")


def _block(uri: str) -> str:
    """The name of the block that a file of rows and its checkpoint share."""
    name = uri.rsplit("/", 1)[1].removesuffix(".parquet")
    return name.removesuffix(".pending") if "/checkpoint/" in uri else name.rsplit("-", 1)[0]
