"""What the withdrawal of a sticker takes: the picture, the clips made of it, and networks that learned from them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from sqlalchemy import Connection

from stickers import storage
from stickers.annotation.rounds import withdraw
from stickers.annotation.store.filing import jobs_in, waiting_jobs
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import KEPT, PLAN, PREFERENCES, STICKERS, Sticker
from stickers.artifacts.schema import records_of, without
from stickers.candidates.archive import INDEX, INDEXED, withdraw_stickers
from stickers.errors import UserError
from stickers.evaluation.reservation import held_out_key
from stickers.housekeeping.lineage import SET_SUFFIX, TRAININGS, Lineage, Reference
from stickers.housekeeping.withdrawal import (
    REMOVED,
    ROWS_REMOVED,
    Withdrawal,
    WithdrawalStep,
    learned_steps,
    marking,
    page_steps,
    remove_all,
)
from stickers.housekeeping.withdrawn import (
    Policy,
    Request,
    picture_digest,
    pixels_digest,
    requests_in,
)
from stickers.prompts.sticker_tables import at_own_resolution
from stickers.training.job import KEPT_LATENTS
from stickers.video.codec import decode_picture

STICKER_TABLE, KEPT_TABLE, PREFERENCE_TABLE = "stickers.parquet", "kept.parquet", "preferences.parquet"


def withdraw_sticker(
    runs: str,
    sticker: str,
    *,
    vote_stores: Sequence[str] = (),
    others: Iterable[Sticker] = (),
    reason: str = "",
    policy: Policy = "refuse",
) -> Withdrawal:
    """The withdrawal of a sticker, as the same picture of any prompt.

    Args:
        sticker: its id, or a file of the picture as it is or as it was before it was cropped.
        vote_stores: URLs of the databases in which people choose.
        others: stickers that no table of the runs folder holds, such as a project's held-out ones.

    Raises:
        UserError: no such sticker is there.
    """
    traces = _Sticker(runs, sticker, tuple(vote_stores), tuple(others))
    request = Request(
        subject="sticker",
        reason=reason,
        policy=policy,
        stickers=tuple(sorted(traces.ids)),
        pictures=tuple(sorted(traces.pictures)),
    )
    request = request.resumed(runs)
    return Withdrawal(request=request, steps=list(traces.steps(request)))


@dataclass(frozen=True)
class _Sticker:
    """A sticker in a runs folder. `name` is what somebody calls it."""

    runs: str
    name: str
    vote_stores: tuple[str, ...]
    others: tuple[Sticker, ...]

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage.of(self.runs)

    @cached_property
    def tables(self) -> dict[str, list[Sticker]]:
        """The stickers of every set and plan, by their folder."""
        folders = [
            folder
            for kind in ("stickers", "plans")
            for folder in storage.listing(storage.join(self.runs, kind))
        ]
        uris = {folder: storage.join(folder, STICKER_TABLE) for folder in folders}
        return {
            folder: records_of(storage.read_table(table_uri, STICKERS), Sticker)
            for folder, table_uri in uris.items()
            if storage.exists(table_uri)
        }

    @cached_property
    def pictures(self) -> set[str]:
        """Hashes of the pixels."""
        pictures = {
            picture_digest(row.png)
            for row in (*self.others, *(row for rows in self.tables.values() for row in rows))
            if row.sticker_id == self.name
        }
        for request in requests_in(self.runs):  # an interrupted withdrawal may have removed the picture
            if self.name in request.stickers:
                pictures |= set(request.pictures)
        path = Path(self.name).expanduser()
        if path.is_file():
            pixels = decode_picture(path.read_bytes())
            pictures |= {pixels_digest(pixels), pixels_digest(at_own_resolution(pixels))}
        return pictures

    @cached_property
    def ids(self) -> set[str]:
        """Every id under which the picture is there."""
        rows = (*self.others, *(row for rows in self.tables.values() for row in rows))
        ids = {row.sticker_id for row in rows if picture_digest(row.png) in self.pictures}
        for request in requests_in(self.runs):
            if self.pictures & set(request.pictures):
                ids |= set(request.stickers)
        if not ids:
            raise UserError(
                f"{self.runs} holds no sticker {self.name!r}; give the id of a sticker (stickers.parquet of a plan has "
                "them) or the file of its picture"
            )
        return ids

    def steps(self, request: Request) -> Iterator[WithdrawalStep]:
        """Marks first, then what lies furthest down the path, and the pictures last."""
        kept = {reference for reference, rows in self._kept.items() if rows}
        yield from learned_steps(self.lineage, request, self._learned(kept), kept | self._evaluations.keys())
        yield from self._evaluation_steps(request)
        yield from page_steps(self.runs)
        yield from self._latent_steps(kept)
        for reference in sorted(kept):
            yield self._kept_step(reference, request)
        yield from self._vote_steps()
        yield from self._measured_steps()
        yield from self._table_steps()

    @cached_property
    def _clips(self) -> dict[str, int]:
        """How many clips of the sticker each finished plan has, by its folder."""
        counts = {}
        for folder in self.tables:
            table_uri = storage.join(folder, INDEX)
            if storage.exists(table_uri):
                columns = ["sticker_id", "clip_digest"]
                rows = storage.read_table(table_uri, INDEXED, columns=columns).to_pylist()
                counts[folder] = sum(row["sticker_id"] in self.ids for row in rows)
        return counts

    @cached_property
    def _kept(self) -> dict[Reference, int]:
        """How many clips of the sticker each kept set has."""
        counts = {}
        for reference, artifact in self.lineage.artifacts.items():
            table_uri = storage.join(artifact.uri, KEPT_TABLE)
            if reference.kind == "kept" and storage.exists(table_uri):
                column = storage.read_table(table_uri, KEPT, columns=["sticker_id"])["sticker_id"]
                counts[reference] = sum(name in self.ids for name in column.to_pylist())
        return counts

    def _learned(self, kept: set[Reference]) -> Iterator[Reference]:
        """Networks that learned from a kept set with the sticker, or from all clips of a plan with it."""
        plans = {
            Reference("plans", folder.rsplit("/", 1)[1]) for folder, count in self._clips.items() if count
        }
        for reference, inputs in self.lineage.inputs.items():
            if reference.kind in TRAININGS and reference.kind != "teachers" and inputs & (kept | plans):
                yield reference

    @cached_property
    def _evaluations(self) -> dict[Reference, list[str]]:
        """The files of an evaluation that show the sticker."""
        files = {}
        for reference, artifact in self.lineage.artifacts.items():
            if reference.kind == "evaluation":
                uris = [
                    storage.join(artifact.uri, "items", f"{held_out_key(name)}.parquet") for name in self.ids
                ]
                if shown := [table_uri for table_uri in uris if storage.exists(table_uri)]:
                    files[reference] = shown
        return files

    def _latent_steps(self, kept: set[Reference]) -> Iterator[WithdrawalStep]:
        """Latents of kept sets with the sticker, and of all clips of plans with it."""
        for reference, artifact in self.lineage.artifacts.items():
            uri, uris = artifact.uri, [storage.join(artifact.uri, storage.RECORD), artifact.uri]
            if reference.kind == "kept" and self._plan_has_it(reference):
                # what an older version kept here
                uris = [file for file in storage.listing(uri) if file.endswith(f"/all{SET_SUFFIX}")]
            elif reference.kind == KEPT_LATENTS:
                owner = Reference("kept", artifact.record["kept"])
                if owner not in kept and not (artifact.record["set"] == "all" and self._plan_has_it(owner)):
                    continue
            else:
                continue
            if uris:
                detail = "latents of its clips; encoded again when a training asks for them"
                act = partial(remove_all, uris)
                yield WithdrawalStep(
                    kind=reference.kind, artifact=reference.folder, effect=REMOVED, detail=detail, act=act
                )

    def _plan_has_it(self, kept: Reference) -> bool:
        """Whether the plan of a kept set has clips of the sticker."""
        record = self.lineage.artifacts[kept].record if kept in self.lineage.artifacts else {}
        return bool(self._clips.get(storage.join(self.runs, "plans", record.get("plan_id", ""))))

    def _evaluation_steps(self, request: Request) -> Iterator[WithdrawalStep]:
        for reference, files in self._evaluations.items():
            uri = self.lineage.artifacts[reference].uri
            yield WithdrawalStep(
                kind="evaluation",
                artifact=reference.folder,
                effect=ROWS_REMOVED,
                detail=f"{len(files)} held-out stickers with every system's clips",
                act=marking(uri, "evaluation", request, partial(remove_all, files)),
            )

    def _kept_step(self, reference: Reference, request: Request) -> WithdrawalStep:
        uri = self.lineage.artifacts[reference].uri

        def drop() -> None:
            for name in (KEPT_TABLE, PREFERENCE_TABLE):
                if storage.exists(table_uri := storage.join(uri, name)):
                    storage.rewrite_table(table_uri, lambda table: without(table, "sticker_id", self.ids))
            # an older version kept latents here
            remove_all([file for file in storage.listing(uri) if file.endswith(".safetensors")])

        table_uri = storage.join(uri, PREFERENCE_TABLE)
        names = (
            storage.read_table(table_uri, PREFERENCES)["sticker_id"].to_pylist()
            if storage.exists(table_uri)
            else []
        )
        pairs = sum(name in self.ids for name in names)
        return WithdrawalStep(
            kind="kept",
            artifact=reference.folder,
            effect=ROWS_REMOVED,
            detail=f"{self._kept[reference]} clips, {pairs} preference pairs",
            act=marking(uri, "kept", request, drop),
        )

    def _vote_steps(self) -> Iterator[WithdrawalStep]:
        candidates = self._candidates
        for url in self.vote_stores:
            with VoteStore(url) as store:
                waiting = store.read(waiting_jobs)
                shown = [job for job in store.read(jobs_in) if candidates & set(job.candidates)]
            shown = [job for job in shown if job.job_id in waiting]
            if shown:
                yield WithdrawalStep(
                    kind="votes",
                    artifact=store.engine.url.render_as_string(),
                    effect=REMOVED,
                    detail=f"{len(shown)} jobs that wait leave the queue; votes stay, they hold ids alone",
                    act=partial(_withdraw_jobs, url, [job.job_id for job in shown]),
                )

    @cached_property
    def _candidates(self) -> set[str]:
        """Ids of the candidates that were planned of the sticker."""
        names = set()
        for folder in self.tables:
            table_uri = storage.join(folder, "plan")
            if storage.exists(table_uri):
                rows = storage.read_table(table_uri, PLAN, columns=["candidate_id", "sticker_id"]).to_pylist()
                names |= {row["candidate_id"] for row in rows if row["sticker_id"] in self.ids}
        return names

    def _measured_steps(self) -> Iterator[WithdrawalStep]:
        files = [
            file
            for file in storage.listing(storage.join(self.runs, "measured"), recursive=True)
            if any(file.rsplit("/", 1)[1].startswith(name) for name in self.ids)
        ]
        for folder, count in Counter(file.rsplit("/", 2)[1] for file in files).items():
            inside = [file for file in files if file.rsplit("/", 2)[1] == folder]
            yield WithdrawalStep(
                kind="measured",
                artifact=folder,
                effect=REMOVED,
                detail=f"measurements in {count} files",
                act=partial(remove_all, inside),
            )

    def _table_steps(self) -> Iterator[WithdrawalStep]:
        """The pictures, and in plans their clips."""
        for folder, rows in self.tables.items():
            kind, name = folder.rsplit("/", 2)[1:]
            count = sum(row.sticker_id in self.ids for row in rows)
            clips = self._clips.get(folder, 0)
            if not count and not clips:
                continue
            act, effect, detail = partial(_drop_pictures, folder, self.ids), ROWS_REMOVED, f"{count} pictures"
            if kind == "plans" and Reference(kind, name) in self.lineage.artifacts:
                act = partial(withdraw_stickers, folder, self.ids)
                detail = f"{count} pictures, clips of {clips} candidates"
            elif kind == "plans":
                act, effect, detail = partial(remove_all, [folder]), REMOVED, "it was interrupted"
            yield WithdrawalStep(kind=kind, artifact=name, effect=effect, detail=detail, act=act)


def _drop_pictures(folder: str, ids: set[str]) -> None:
    storage.rewrite_table(
        storage.join(folder, STICKER_TABLE), lambda table: without(table, "sticker_id", ids)
    )


def _withdraw_jobs(url: str, job_ids: Sequence[str]) -> None:
    def work(connection: Connection) -> None:
        withdraw(connection, job_ids)

    with VoteStore(url) as store:
        store.write(work).result()
