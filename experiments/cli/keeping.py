"""What people kept of a plan becomes a kept set: frozen votes, a table with its lineage, latents."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from actors.cluster import connect
from actors.kept_encoder import KeptClip, encode_kept
from experiments.cli.options import encoder_digests
from stickers import storage
from stickers.annotation.kept import keep_rates, kept_rows, survivors
from stickers.annotation.library import chain_of
from stickers.annotation.preferences import preferences
from stickers.annotation.rounds import open_plan, read_settings
from stickers.annotation.settings import Settings
from stickers.annotation.store.votes import VoteStore, freeze, votes_digest, votes_in
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import KEPT, MADE, PREFERENCES, Candidate, Kept, Preference, Vote
from stickers.artifacts.schema import table_of
from stickers.candidates.archive import Candidates
from stickers.data.latents import LatentSet, shape_of
from stickers.errors import UserError
from stickers.project import Project
from stickers.training.job import latent_factor

console = Console()
KEPT_TABLE = "kept.parquet"
ROWS_PER_GROUP = 64
#: where kept sets of older versions hold their latents
OLDER_LATENTS = {"kept": "latents.safetensors", "all": "all.safetensors"}


def votes_url(runs: str, given: str | None, *, simulated: bool = False) -> str:
    """The URL of the vote store: by default that in STICKERS_VOTES, else of a SQLite file in the runs folder.

    Simulated people have a file of their own, so that everything is still to be chosen when people come.

    Raises:
        UserError: the runs folder is no folder of this machine.
    """
    there = os.environ.get("STICKERS_VOTES")
    if given or (there and not simulated):
        return given or str(there)
    if "://" not in runs:
        return f"sqlite:///{runs}/{'votes-simulated' if simulated else 'votes'}.db"
    if not there:
        raise UserError(f"{runs} cannot hold SQLite; give --votes or STICKERS_VOTES the URL of a database")
    return there


def join_queue(votes: VoteStore, plan: storage.Artifact, by: str) -> int:
    """Let a finished plan's candidates join the queue; returns how many jobs are new."""
    found, record = Candidates(plan.uri), plan.record
    return votes.write(
        lambda connection: open_plan(
            connection,
            record["plan_id"],
            plan.uri,
            found,
            supersedes=record.get("supersedes", ""),
            by=by,
        )
    ).result()


def votes_on(votes: VoteStore, plan_id: str) -> tuple[list[Vote], Settings]:
    """The votes that count for a plan, those on the plans that it replaces rows of included, and the settings."""
    return votes.read(
        lambda connection: (
            [vote for each in chain_of(connection, plan_id) for vote in votes_in(connection, each)],
            read_settings(connection),
        )
    )


def nothing_further(candidates: list[Candidate], kept: list[Kept]) -> dict[str, Any]:
    """A kept set of which nothing more is known."""
    return {}


def keep(
    place: str,
    plan: storage.Artifact,
    cast: list[Vote],
    settings: Settings,
    project: Project,
    further: Callable[[list[Candidate], list[Kept]], Mapping[str, Any]] = nothing_further,
) -> tuple[storage.Artifact, bool]:
    """The finished kept set of a plan's votes, and whether it is new.

    Args:
        cast: the votes that count.
        further: more facts for its record, of the made candidates and the kept clips.

    Raises:
        UserError: nothing is kept.
    """
    found = Candidates(plan.uri)
    rows = [row for row in found if row.status == MADE]
    through = survivors(rows, cast, settings)
    if not through:
        raise UserError(
            f"nothing is kept: of {len(rows)} clips {len(survivors(rows, cast, settings, rounds=1))} went through the "
            f"first round and none through all {len(settings.rounds)}; better teachers, more prompts or more votes are "
            "needed"
        )
    kept = kept_rows(found.whole(through), cast, settings)
    rounds = [asdict(each) for each in settings.rounds]
    digest = content_id("kept", plan.record["plan_id"], votes_digest(cast), rounds)[:12]
    uri = storage.join(place, "kept", digest)
    fresh = not storage.exists(storage.join(uri, storage.RECORD))
    if fresh:
        _write(place, uri, rows, kept, cast, settings)
        record = {
            "kind": "kept",
            "digest": digest,
            "project": project.name,
            "plan": plan.uri,
            "stickers_from": plan.record.get("stickers_from", ""),
            "plan_id": plan.record["plan_id"],
            "votes": f"{votes_digest(cast)}.parquet",
            "simulated": any(row.simulated for row in kept),
            "clips": {"kept": len(kept), "all": len(rows)},
            "rounds": rounds,
            "counts": _counts(rows, kept, cast, settings),
            "rates": keep_rates(rows, kept),
            **further(rows, kept),
        }
        storage.write_record(uri, record)
    if plan.record.get("kind") != "pilot":
        # what comes of the pilot, by which teachers are chosen, stands for nothing
        storage.set_current(place, "kept", project.name, digest)
    return storage.Artifact(uri, storage.read_record(uri)), fresh


def _write(
    place: str, uri: str, rows: list[Candidate], kept: list[Kept], cast: list[Vote], settings: Settings
) -> None:
    freeze(cast, place)
    storage.write_table(
        storage.join(uri, KEPT_TABLE), table_of(kept, Kept), KEPT, rows_per_group=ROWS_PER_GROUP
    )
    pairs = table_of(preferences(rows, cast, settings), Preference)
    storage.write_table(storage.join(uri, "preferences.parquet"), pairs, PREFERENCES)


def kept_latents(kept: storage.Artifact, name: str, encoders: str, size: int) -> str:
    """The latents of a kept set (`kept`) or of every candidate of its plan (`all`), made when they are first asked for.

    Args:
        encoders: folder of the autoencoder and text encoder.
        size: pixels a side.

    Returns:
        The URI of a latent file.
    """
    older = storage.join(kept.uri, OLDER_LATENTS[name])
    if storage.exists(older) and _fits(older, encoders, size):
        return older
    runs = kept.uri.rsplit("/", 2)[0]
    key = content_id("kept latents", kept.folder, name, *encoder_digests(encoders), size)[:12]
    place = storage.join(runs, "kept-latents", key)
    target = storage.join(place, "latents.safetensors")
    if not storage.exists(storage.join(place, storage.RECORD)):
        with connect():
            clips, count = _clips_of(kept, runs, name)
            latents = encode_kept(clips, count, place, encoders, size)
        storage.write_bytes(target, latents.to_bytes())
        storage.write_record(
            place, {"kind": "kept latents", "kept": kept.folder, "set": name, "size": size, "clips": count}
        )
        storage.remove(storage.join(place, "chunks"))  # they served resuming alone
    return target


def _fits(latents: str, encoders: str, size: int) -> bool:
    """Whether latents that an older version left in the kept set are of this size."""
    frames = LatentSet.load(latents, None).frames
    return int(shape_of(frames)[-1]) == size // latent_factor(encoders)


def _clips_of(kept: storage.Artifact, runs: str, name: str) -> tuple[Iterator[KeptClip], int]:
    """The clips of a set, one after another, and how many there are."""
    if name == "kept":
        table = storage.join(kept.uri, KEPT_TABLE)
        columns = ["clip", "num_frames", "fps", "prompt"]
        batches = storage.read_batches(table, KEPT, columns=columns, rows=ROWS_PER_GROUP)
        rows = (row for batch in batches for row in batch.to_pylist())
        clips = (
            KeptClip(strip=row["clip"], num_frames=row["num_frames"], fps=row["fps"], prompt=row["prompt"])
            for row in rows
        )
        return clips, int(kept.record["counts"]["kept"])
    plan = Candidates(kept.record.get("plan") or storage.join(runs, "plans", kept.record["plan_id"]))
    made = [row for row in plan if row.status == MADE]
    whole = plan.whole(made)
    return (
        KeptClip(strip=row.clip or b"", num_frames=row.num_frames, fps=float(row.fps), prompt=row.prompt)
        for row in whole
    ), len(made)


def _counts(rows: list[Candidate], kept: list[Kept], cast: list[Vote], settings: Settings) -> dict[str, int]:
    return {
        "candidates": len(rows),
        "jobs": len({each.job_id for each in cast}),
        "votes": len(cast),
        "survived_round_one": len(survivors(rows, cast, settings, rounds=1)),
        "kept": len(kept),
        "prompts": len({row.prompt for row in rows}),
        "prompts_kept": len({row.prompt for row in kept}),
    }


def show(record: Mapping[str, Any]) -> None:
    """A kept set in a table."""
    who = "simulated people" if record["simulated"] else "people"
    table = Table("teacher", "bucket", "made", "kept", "rate", title=f"kept set {record['digest']} ({who})")
    for row in record["rates"]:
        share = f"{row['kept'] / max(1, row['made']):.0%}"
        table.add_row(row["teacher"], row["bucket"], str(row["made"]), str(row["kept"]), share)
    made, kept = record["counts"]["candidates"], record["counts"]["kept"]
    table.add_row("all", "", str(made), str(kept), f"{kept / max(1, made):.0%}", style="bold")
    console.print(table)
    if "motions" in record:
        motions = ", ".join(f"{name} {row['kept']}" for name, row in record["motions"].items())
        console.print(f"kept by motion: {motions}", highlight=False)
    said = "{prompts_kept} of {prompts} prompts keep a clip; {jobs} jobs, {votes} votes".format(
        **record["counts"]
    )
    if "quality" in record:
        choice = "; by the project's truth {right_share:.0%} were right, precision {precision:.2f}, recall {recall:.2f}"
        said += choice.format(**record["quality"])
    console.print(said, highlight=False, soft_wrap=True)
