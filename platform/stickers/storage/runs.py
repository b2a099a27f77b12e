"""The runs folder and its artifacts: `<runs>/<kind>/<name>`, each finished by its `record.json`.

An artifact folder is finished when its record, which is written last, is there. It is never written again, so records
of older versions stay as they are; `read_record` gives them in today's form.
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
#: of what records say; those without one are of the first. It rises when a key is renamed, goes or means something else
RECORD_VERSION = 2
#: keys of earlier versions' records, and what they are called now
RENAMED = {"profile": "project"}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Artifact:
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
        UserError: the place cannot be created or written, or lies in Ray's temporary folders.
    """
    place = os.fspath(text).strip()
    if not place:
        raise UserError("the runs folder must not be empty; give --runs a folder or a URI")
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
        system, path = locate(probe)
        system.delete_file(path)
    except FAILURES as error:
        raise UserError(f"the runs folder {place} cannot be created or written: {one_line(error)}") from error
    return place


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
    """Finish the artifact folder `uri`: write its `record.json` with version and time, and never again.

    Returns:
        The record as written.
    """
    place = join(uri, RECORD)
    if exists(place):
        raise UserError(f"{place} is there already; a finished artifact is never overwritten")
    whole = {**record, "version": RECORD_VERSION, "finished_at": datetime.now(UTC).isoformat()}
    write_json(place, whole)
    return whole


def read_record(uri: str) -> dict[str, Any]:
    """What the `record.json` of an artifact folder says, in today's form.

    Raises:
        UserError: there is none, or a newer version of this program wrote it.
    """
    place = join(uri, RECORD)
    return upgraded(read_json(place), place)


def upgraded(record: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A record of any version in today's form. Keys that this version does not know are kept.

    Args:
        place: where the record lies, for sentences.

    Raises:
        UserError: a newer version of this program wrote it.
    """
    version = record.get("version", 1)
    if version > RECORD_VERSION:
        raise UserError(
            f"{place} is a record of version {version}, written by a newer version of this program; this one reads "
            f"versions up to {RECORD_VERSION}"
        )
    if version < RECORD_VERSION and RENAMED.keys() & record.keys():
        _say_once(place.rsplit("/", 3)[0])
        return {RENAMED.get(name, name): value for name, value in record.items()}
    return dict(record)


@lru_cache
def _say_once(runs: str) -> None:
    names = ", ".join(f"{before!r} as {now!r}" for before, now in RENAMED.items())
    logger.warning(
        "%s holds records of an earlier version; they stay as they are, and are read with %s", runs, names
    )


def find_records(runs: str, kind: str) -> list[Artifact]:
    """Every finished artifact folder `<runs>/<kind>/*`, oldest first."""
    places = [each for each in listing(join(runs, kind)) if exists(join(each, RECORD))]
    found = [Artifact(place, read_record(place)) for place in places]
    return sorted(found, key=lambda each: (each.record.get("finished_at", ""), each.uri))


def find_record(runs: str, kind: str, choice: str | None = None) -> Artifact:
    """The newest finished artifact of a kind, or the newest whose folder is `choice` or begins with `choice-`.

    Raises:
        UserError: there is none; the sentence lists what exists.
    """
    every = find_records(runs, kind)
    chosen = [e for e in every if choice is None or e.folder == choice or e.folder.startswith(f"{choice}-")]
    if not chosen:
        there = ", ".join(each.folder for each in every) or "none"
        asked = "finished artifact" if choice is None else f"finished artifact {choice!r}"
        raise UserError(f"there is no {asked} in {join(runs, kind)}; finished are: {there}")
    return chosen[-1]


def set_current(runs: str, kind: str, name: str, folder: str) -> None:
    """Let `name` stand for `<runs>/<kind>/<folder>`: what its stage made, or found finished, last."""
    place = join(runs, kind, CURRENT, f"{name}.json")
    if not exists(place) or read_json(place) != folder:
        write_json(place, folder)


def current(runs: str, kind: str, name: str) -> Artifact | None:
    """What `name` stands for (see `set_current`), or none."""
    place = join(runs, kind, CURRENT, f"{name}.json")
    if not exists(place):
        return None
    uri = join(runs, kind, read_json(place))
    return Artifact(uri, read_record(uri))


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
    torn = [each for each in (*checkpoints, *rows) if not is_parquet(each)]
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
