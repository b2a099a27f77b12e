"""What the withdrawal of a video takes: its frames, the sets that hold it, and networks that learned from it."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from stickers import storage
from stickers.artifacts.records import CLIPS
from stickers.data.cache import ROWS, forget_files, spans_of
from stickers.data.collections import content_of
from stickers.errors import UserError
from stickers.housekeeping.lineage import TRAININGS, Lineage, Reference
from stickers.housekeeping.withdrawal import (
    REMAINS,
    REMOVED,
    ROWS_REMOVED,
    Withdrawal,
    WithdrawalStep,
    learned_steps,
    marking,
    nothing,
    remove_all,
    remove_data,
)
from stickers.housekeeping.withdrawn import Policy, Request, requests_in
from stickers.storage.outside import MEMBER, absolute

#: columns of a manifest that tell which video a row is of
NAMING = ["clip_id", "uri", "source", "content"]


def withdraw_video(runs: str, video: str, *, reason: str = "", policy: Policy = "refuse") -> Withdrawal:
    """The withdrawal of a video, wherever its file was listed and whatever it was called.

    Args:
        video: its file or URI as the manifest has it, its clip id, or the content hash of the file.

    Raises:
        UserError: no prepared set has it.
    """
    traces = _Video(runs, video)
    request = Request(
        subject="video",
        reason=reason,
        policy=policy,
        contents=traces.contents,
        uris=tuple(sorted(traces.uris)),
    )
    request = request.resumed(runs)
    return Withdrawal(request=request, steps=list(traces.steps(request)))


@dataclass(frozen=True)
class _Video:
    """A video in a runs folder. `name` is what somebody calls it."""

    runs: str
    name: str

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage.of(self.runs)

    @cached_property
    def manifests(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of every prepared or interrupted set's manifest, by its folder."""
        rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for folder in storage.listing(storage.join(self.runs, "latents")):
            for part, schema in (("clips", CLIPS), ("rows", ROWS)):
                for file in storage.listing(storage.join(folder, part), recursive=True):
                    rows[folder] += storage.read_table(file, schema, columns=NAMING).to_pylist()
        return rows

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """The content hashes of the video's file; several where the file has changed."""
        uri = absolute(self.name)
        names = {self.name, uri}
        contents = {
            row["content"]
            for rows in self.manifests.values()
            for row in rows
            if names & {row["clip_id"], row["uri"], row["content"]} and row["content"]
        }
        for request in requests_in(self.runs):  # an interrupted withdrawal may have removed the manifests
            if names & {*request.uris, *request.contents}:
                contents |= set(request.contents)
        if MEMBER not in uri and "://" not in uri and Path(uri).is_file():
            contents.add(content_of(uri))
        if not contents:
            raise UserError(
                f"no prepared set in {self.runs} lists the video {self.name!r}; give its file as the manifest has it "
                "(latents/*/clips), its clip id or its content hash"
            )
        return tuple(sorted(contents))

    @cached_property
    def uris(self) -> set[str]:
        """Every table_uri at which the video was listed."""
        return {
            row["uri"] for rows in self.manifests.values() for row in rows if row["content"] in self.contents
        }

    def steps(self, request: Request) -> Iterator[WithdrawalStep]:
        """Marks first, then frames, then the sets and manifests that lead to them."""
        sets = {folder: self._sources(folder) for folder in self.manifests}
        sets = {folder: sources for folder, sources in sets.items() if sources}
        yield from learned_steps(self.lineage, request, self._trained_on(sets))
        yield from self._cache_steps()
        for folder, sources in sorted(sets.items()):
            yield self._set_step(folder, sources, request)
        yield from self._file_steps()

    def _sources(self, folder: str) -> set[str]:
        """The collections of a prepared set that have the video."""
        return {row["source"] for row in self.manifests[folder] if row["content"] in self.contents}

    def _trained_on(self, sets: dict[str, set[str]]) -> Iterator[Reference]:
        """The trainings that read a collection with the video, or one that stands for it."""
        for folder, sources in sets.items():
            latents = Reference("latents", folder.rsplit("/", 1)[1])
            if latents not in self.lineage.artifacts:
                continue
            stand_ins = self.lineage.artifacts[latents].record.get("stand_ins", {})
            names = sources | {name for name, source in stand_ins.items() if source in sources}
            for reference in self.lineage.made_from([latents]):
                if reference.kind in TRAININGS and latents in self.lineage.inputs[reference]:
                    data = self.lineage.artifacts[reference].record["data"]
                    if names & {name.rpartition("@")[0] for name in data}:
                        yield reference

    def _cache_steps(self) -> Iterator[WithdrawalStep]:
        for folder in storage.listing(storage.join(self.runs, "cache")):
            spans = spans_of(folder, self.contents)
            for shard, rows in self._unindexed.items():
                if storage.exists(storage.join(folder, shard)):
                    spans.setdefault(shard, []).extend(row for row in rows if row not in spans.get(shard, ()))
            if spans:
                frames = sum(count for rows in spans.values() for _, count in rows)
                yield WithdrawalStep(
                    kind="cache",
                    artifact=folder.rsplit("/", 1)[1],
                    effect=ROWS_REMOVED,
                    detail=f"{frames} frames in {len(spans)} shards are overwritten",
                    act=partial(forget_files, folder, self.contents, spans),
                )

    @cached_property
    def _unindexed(self) -> dict[str, list[tuple[int, int]]]:
        """Frames by shard that an interrupted preparation wrote: no index has them yet."""
        spans: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        columns = ["content", "num_frames", "shards", "firsts"]
        for folder in storage.listing(storage.join(self.runs, "latents")):
            for file in storage.listing(storage.join(folder, "rows"), recursive=True):
                for row in storage.read_table(file, ROWS, columns=columns).to_pylist():
                    if row["content"] in self.contents:
                        for shard, first in zip(row["shards"], row["firsts"], strict=True):
                            spans[shard].append((first, row["num_frames"]))
        return spans

    def _set_step(self, folder: str, sources: Collection[str], request: Request) -> WithdrawalStep:
        name = folder.rsplit("/", 1)[1]
        act, detail = partial(remove_all, [folder]), "it was interrupted"
        if Reference("latents", name) in self.lineage.artifacts:
            detail = (
                f"sets and manifest ({', '.join(sorted(sources))}); experiments/prepare.py makes them again"
            )
            return WithdrawalStep(
                kind="latents",
                artifact=name,
                effect=REMOVED,
                detail=detail,
                act=marking(folder, "latents", request, partial(remove_data, folder)),
            )
        return WithdrawalStep(kind="latents", artifact=name, effect=REMOVED, detail=detail, act=act)

    def _file_steps(self) -> Iterator[WithdrawalStep]:
        """The video's file: removed where the runs folder holds it, else its owner's business."""
        for uri in sorted(self.uris):
            if uri.startswith(f"{self.runs}/") and MEMBER not in uri:
                if storage.exists(uri):
                    act = partial(remove_all, [uri])
                    yield WithdrawalStep(
                        kind="file", artifact=uri, effect=REMOVED, detail="drawn by the project", act=act
                    )
            else:
                yield WithdrawalStep(
                    kind="file",
                    artifact=uri,
                    effect=REMAINS,
                    detail="your own file; it is not read again",
                    act=nothing,
                )
