"""What may go from a runs folder: never what something finished needs, nor what somebody works with now.

Needed is what a project's or a training's name stands for, what is registered for serving, and plans that people have
voted on, with everything that those were made from. While something is being made, only what was interrupted long ago
may go, since nobody knows what the other process reads.
"""

import os
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Literal, get_args

import psutil

from stickers import storage
from stickers.candidates.driver import is_driven
from stickers.candidates.plan import PLAN_FILE
from stickers.data.latents import shards_of
from stickers.housekeeping.lineage import KINDS, TRAININGS, Lineage, Reference, set_files
from stickers.storage.runs import PROBE
from stickers.training.job import KEPT_LATENTS

Category = Literal["temporary", "unfinished", "leftovers", "superseded", "caches", "copies", "ray"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
#: what in a finished artifact's folder served only to make it
SERVED_MAKING = {
    "latents": ("rows", "checkpoint", "listed"),
    "plans": ("candidates", "trying", "conditions", "driver.json"),
    "stickers": ("drawn",),
    KEPT_LATENTS: ("chunks",),
}
#: what of a finished training stays
OF_A_TRAINING = ("checkpoint", storage.RECORD, "withdrawn.json")
SUPERSEDED = "a newer one stands for its project, and nothing that stays was made from it"
UNREGISTERED = "no registered model lies in it"
#: what is measured or seen again when it is needed again
READINGS = {"measured": "measurements of a pilot's clips", "panel": "what simulated people saw in clips"}
#: of frames and texts that sets point into, and of videos that a project drew
CACHE, INDEX, DRAWN = "cache", "index", "collections"


@dataclass(frozen=True, kw_only=True)
class InUse:
    """What is needed although no record in the runs folder says so; None where that cannot be known.

    `exported` are folders of registered models, `plans` the ids of plans that people vote or have voted on.
    """

    exported: Collection[str] | None
    plans: Collection[str] | None


@dataclass(frozen=True, kw_only=True)
class Removable:
    """Something that may go. `uris` are removed in their order, so that an interrupted removal leaves no artifact that
    seems finished."""

    category: Category
    name: str
    uris: tuple[str, ...]
    num_files: int
    num_bytes: int
    reason: str


@dataclass(frozen=True)
class Findings:
    """What may go, and what is being made now."""

    removable: list[Removable]
    busy: list[str]


def look(runs: str, in_use: InUse, *, idle_seconds: float, with_caches: bool = False) -> Findings:
    """List what may go from a runs folder.

    Args:
        idle_seconds: what was written to within this time is left alone.
        with_caches: also caches of what is needed, which are filled again when they are needed.
    """
    return _Look(runs, in_use, idle_seconds, with_caches).findings()


def look_at_machine(idle_seconds: float, ray_folder: Path) -> list[Removable]:
    """List what may go from this machine besides runs folders: copies of remote files, and folders of Ray's that no
    process names any more, with what Ray spilled there.

    Args:
        ray_folder: where Ray keeps a folder for each of its sessions.
    """
    home = storage.cache_home()
    copies = [_folder("copies", copy, "fetched again when it is needed") for copy in _subfolders(home)]
    commands = " ".join(
        " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
    )
    sessions = [
        _folder("ray", session, "logs and spilled data of a Ray that has ended")
        for session in _subfolders(ray_folder)
        if session.name.startswith("session_2")
        and session.stat().st_uid == os.getuid()
        and session.name not in commands
    ]
    oldest_recent = time.time() - idle_seconds
    return [row for row, written_at in (*copies, *sessions) if written_at <= oldest_recent]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _folder(category: Category, path: Path, reason: str) -> tuple[Removable, float]:
    """A folder of this machine as something that may go, and when it was written to last."""
    files = storage.files_below(str(path))
    written_at = max([path.stat().st_mtime, *(file.written_at or 0.0 for file in files)])
    return _removable(category, str(path), files, reason, [str(path)]), written_at


def remove(removable: Removable) -> None:
    """Remove something; what is gone already is no fault, so a removal may be repeated."""
    for uri in removable.uris:
        if storage.exists(uri):
            storage.remove(uri)


class _Look:
    """One look at a runs folder: all files are listed once."""

    def __init__(self, runs: str, in_use: InUse, idle_seconds: float, with_caches: bool) -> None:
        self.runs, self.in_use, self.with_caches = runs, in_use, with_caches
        # a system that tells no times is never idle, unless nothing need be
        self.oldest_recent = time.time() - idle_seconds if idle_seconds else inf
        self.folders: defaultdict[Reference, list[storage.StoredFile]] = defaultdict(list)
        self.temporary: list[storage.StoredFile] = []
        for file in storage.files_below(runs):
            parts = file.uri[len(runs) :].strip("/").split("/")
            if any(storage.TEMPORARY in part for part in parts) or parts[-1].startswith(PROBE):
                self.temporary.append(file)
            elif len(parts) > 1 and parts[1] != storage.CURRENT:
                self.folders[Reference(*parts[:2])].append(file)
        self.lineage = Lineage.of(runs)

    def findings(self) -> Findings:
        """Everything that may go."""
        busy = [str(reference) for reference in sorted(self.unfinished) if self._is_busy(reference)]
        removable = [*self._temporary(), *self._unfinished(busy)]
        if not busy:
            removable += [*self._leftovers(), *self._superseded(), *self._caches()]
        order = {category: number for number, category in enumerate(CATEGORIES)}
        removable.sort(key=lambda row: (order[row.category], row.name))
        return Findings(removable, busy)

    @cached_property
    def unfinished(self) -> set[Reference]:
        """Folders of artifacts that have no record."""
        return {
            reference
            for reference in self.folders
            if reference.kind in KINDS
            and reference not in self.lineage.artifacts
            and any(file.uri.startswith(f"{self._uri(reference)}/") for file in self.folders[reference])
        }

    @cached_property
    def staying(self) -> set[Reference]:
        """The finished artifacts that are needed."""
        roots = set(self.lineage.current)
        for kind, folders in (("exported", self.in_use.exported), ("plans", self.in_use.plans)):
            roots |= {
                reference
                for reference in self.lineage.artifacts
                if reference.kind == kind and (folders is None or reference.folder in folders)
            }
        roots |= {
            reference
            for reference in self.lineage.artifacts
            if self._is_recent(self.folders[reference]) or reference.folder in self._regenerated
        }
        return self.lineage.needed_by(roots)

    @cached_property
    def _regenerated(self) -> set[str]:
        """Plans that an unfinished plan goes back to."""
        plans = [self._uri(reference) for reference in self.unfinished if reference.kind == "plans"]
        headers = [storage.join(uri, PLAN_FILE) for uri in plans]
        return {storage.read_json(header)["supersedes"] for header in headers if storage.exists(header)}

    def _uri(self, reference: Reference) -> str:
        return storage.join(self.runs, reference.kind, reference.folder)

    def _is_recent(self, files: Iterable[storage.StoredFile]) -> bool:
        times = (inf if file.written_at is None else file.written_at for file in files)
        return any(written_at > self.oldest_recent for written_at in times)

    def _is_busy(self, reference: Reference) -> bool:
        return self._is_recent(self.folders[reference]) or (
            reference.kind == "plans" and is_driven(self._uri(reference))
        )

    def _temporary(self) -> Iterator[Removable]:
        files = [file for file in self.temporary if not self._is_recent([file])]
        if files:
            yield _removable("temporary", "files", files, "half written by a process that has ended")

    def _unfinished(self, busy: Collection[str]) -> Iterator[Removable]:
        for reference in self.unfinished:
            if str(reference) not in busy:
                files = self.folders[reference]
                last = max(file.written_at or 0.0 for file in files)
                reason = f"interrupted {_day(last)}; without it the same command begins again"
                yield _removable("unfinished", str(reference), files, reason, [self._uri(reference)])

    def _leftovers(self) -> Iterator[Removable]:
        for reference in self.lineage.artifacts.keys() & self.folders.keys():
            files = [file for file in self.folders[reference] if self._served_making(reference, file)]
            if files and not self._is_recent(files):
                reason = "served making what is finished"
                if reference.kind in TRAININGS:
                    reason = "checkpoints to resume a training that is finished"
                yield _removable("leftovers", str(reference), files, reason)

    def _served_making(self, reference: Reference, file: storage.StoredFile) -> bool:
        inside = file.uri[len(self._uri(reference)) + 1 :].split("/")[0]
        if reference.kind in TRAININGS:
            return inside not in OF_A_TRAINING
        return inside in SERVED_MAKING.get(reference.kind, ())

    def _superseded(self) -> Iterator[Removable]:
        for reference in self.lineage.artifacts.keys() - self.staying:
            if reference.kind == KEPT_LATENTS:
                continue  # a cache
            uri = self._uri(reference)
            files = [file for file in self.folders[reference] if not self._served_making(reference, file)]
            yield _removable(
                "superseded",
                str(reference),
                files,
                UNREGISTERED if reference.kind == "exported" else SUPERSEDED,
                [storage.join(uri, storage.RECORD), uri],
            )

    def _caches(self) -> Iterator[Removable]:
        current = self.lineage.current
        for reference, files in self.folders.items():
            if reference.kind == KEPT_LATENTS and reference in self.lineage.artifacts:
                is_used = bool(self.lineage.inputs[reference] & current)
                if self.with_caches or not is_used:
                    uri = self._uri(reference)
                    uris = [storage.join(uri, storage.RECORD), uri]
                    reason = "made again from the kept set when a training asks for it"
                    yield _removable("caches", str(reference), files, reason, uris)
            elif reference.kind in READINGS and self.with_caches and not self._is_recent(files):
                reason = f"{READINGS[reference.kind]}, made again when they are needed"
                yield _removable("caches", str(reference), files, reason)
        if not any(reference.kind == "latents" for reference in self.unfinished):
            yield from self._shards()
            yield from self._drawn_videos()

    def _shards(self) -> Iterator[Removable]:
        """Frames and texts into which no set that stays points."""
        read = {
            shard
            for reference in self.staying
            if reference.kind == "latents"
            for uri in set_files(self._uri(reference))
            for shard in shards_of(uri)
        }
        for reference, files in self.folders.items():
            if reference.kind != CACHE:
                continue
            uri = self._uri(reference)
            index = storage.join(uri, INDEX)
            if not any(file.uri in read for file in files):
                reason = "no prepared set that stays reads it; encoded again when a video is prepared"
                yield _removable("caches", str(reference), files, reason, [index, uri])
            elif not any(file.uri.startswith(f"{index}/") for file in files):
                # what has no index is found by sets alone
                unread = [file for file in files if file.uri not in read]
                if unread and not self._is_recent(unread):
                    yield _removable("caches", str(reference), unread, "no prepared set that stays reads it")

    def _drawn_videos(self) -> Iterator[Removable]:
        for reference, files in self.folders.items():
            if reference.kind == DRAWN and Reference("latents", reference.folder) not in self.staying:
                reason = "videos drawn for a prepared set that does not stay"
                yield _removable("superseded", str(reference), files, reason, [self._uri(reference)])


def _removable(
    category: Category,
    name: str,
    files: Sequence[storage.StoredFile],
    reason: str,
    uris: Sequence[str] | None = None,
) -> Removable:
    return Removable(
        category=category,
        name=name,
        uris=tuple(file.uri for file in files) if uris is None else tuple(uris),
        num_files=len(files),
        num_bytes=sum(file.num_bytes for file in files),
        reason=reason,
    )


def _day(seconds: float) -> str:
    return time.strftime("on %Y-%m-%d", time.gmtime(seconds)) if seconds else "some time ago"


def totals(removable: Iterable[Removable]) -> Mapping[Category, tuple[int, int]]:
    """The number of things and of bytes by category."""
    sums: dict[Category, tuple[int, int]] = {}
    for row in removable:
        count, num_bytes = sums.get(row.category, (0, 0))
        sums[row.category] = count + 1, num_bytes + row.num_bytes
    return sums
