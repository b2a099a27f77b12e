"""From a plan's votes to its kept set: frozen votes, a table with lineage, preference pairs, latents to train on."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table

from actors.cluster import connect
from actors.kept_encoder import KeptClip, encode_kept
from actors.screen import console
from experiments.cli.options import encoder_digests
from stickers import storage
from stickers.annotation.kept import keep_rates, kept_rows, survivors
from stickers.annotation.library import chain_of
from stickers.annotation.preferences import preferences
from stickers.annotation.rounds import open_plan, read_settings
from stickers.annotation.settings import Settings
from stickers.annotation.store.votes import VoteStore, freeze, votes_digest, votes_in
from stickers.artifacts.ids import content_id
from stickers.artifacts.licences import LICENCES
from stickers.artifacts.records import KEPT, MADE, PREFERENCES, Candidate, Kept, Preference, Vote
from stickers.artifacts.schema import table_of
from stickers.candidates.archive import WITHDRAWN, Candidates
from stickers.data.latents import LatentSet, shape_of
from stickers.errors import UserError
from stickers.project import Project
from stickers.training.job import KEPT_LATENTS, latent_factor

KEPT_TABLE = "kept.parquet"
#: clips are large; small row groups let a reader fetch a few of them
ROWS_PER_GROUP = 64
#: characters of a content hash that name a folder
DIGEST_LENGTH = 12
#: SQLite files in a runs folder: of people's votes, and of simulated people's
VOTE_FILES = ("votes", "votes-simulated")
#: files in which kept sets of older versions hold their latents
OLDER_LATENTS = {"kept": "latents.safetensors", "all": "all.safetensors"}


def votes_url(runs: str, url: str | None, *, simulated: bool = False) -> str:
    """The URL of the vote store: `url`, else that in STICKERS_VOTES, else of a SQLite file in the runs folder.

    Simulated people have a file of their own, so the real people who come later still find everything to choose.

    Raises:
        UserError: the runs folder is no folder of this machine.
    """
    configured = os.environ.get("STICKERS_VOTES")
    if url or (configured and not simulated):
        return url or str(configured)
    if "://" not in runs:
        return f"sqlite:///{runs}/{VOTE_FILES[simulated]}.db"
    if not configured:
        raise UserError(f"{runs} cannot hold SQLite; give --votes or STICKERS_VOTES the URL of a database")
    return configured


def vote_stores(runs: str, url: str | None = None) -> list[str]:
    """The URLs of the vote stores that belong to a runs folder: `url` or STICKERS_VOTES, and its own files."""
    urls = [url or os.environ.get("STICKERS_VOTES", "")]
    if "://" not in runs:
        files = (storage.join(runs, f"{name}.db") for name in VOTE_FILES)
        urls += [f"sqlite:///{file}" for file in files if storage.exists(file)]
    return list(dict.fromkeys(url for url in urls if url))


def join_queue(store: VoteStore, plan: storage.Artifact, by: str) -> int:
    """Add a finished plan's candidates to the queue; returns how many jobs are new."""
    candidates, record = Candidates(plan.uri), plan.record
    return store.write(
        lambda connection: open_plan(
            connection,
            record["plan_id"],
            plan.uri,
            candidates,
            supersedes=record.get("supersedes", ""),
            by=by,
        )
    ).result()


def votes_on(store: VoteStore, plan_id: str) -> tuple[list[Vote], Settings]:
    """The votes that count for a plan, with those on the plans whose rows it replaces, and the settings."""
    return store.read(
        lambda connection: (
            [vote for name in chain_of(connection, plan_id) for vote in votes_in(connection, name)],
            read_settings(connection),
        )
    )


def no_more_facts(candidates: list[Candidate], kept: list[Kept]) -> dict[str, Any]:
    """The default `more_facts` of `keep`: none."""
    del candidates, kept
    return {}


def keep(
    runs: str,
    plan: storage.Artifact,
    votes: list[Vote],
    settings: Settings,
    project: Project,
    more_facts: Callable[[list[Candidate], list[Kept]], Mapping[str, Any]] = no_more_facts,
) -> tuple[storage.Artifact, bool]:
    """The finished kept set of a plan's votes, and whether it is new.

    Args:
        votes: those that count.
        more_facts: further entries of its record, from all candidates and the kept clips.

    Raises:
        UserError: nothing is kept.
    """
    candidates = Candidates(plan.uri)
    rows = [row for row in candidates if row.status == MADE]
    accepted = survivors(rows, votes, settings)
    if not accepted:
        raise UserError(
            f"nothing is kept: of {len(rows)} clips {len(survivors(rows, votes, settings, rounds=1))} went through the "
            f"first round and none through all {len(settings.rounds)}; better teachers, more prompts or more votes are "
            "needed"
        )
    kept = kept_rows(candidates.with_clips(accepted), votes, settings)
    gone = sorted(row.candidate_id for row in candidates if row.error == WITHDRAWN)
    parts = plan.record["plan_id"], votes_digest(votes), _rounds(settings), *([gone] if gone else [])
    digest = content_id("kept", *parts)[:DIGEST_LENGTH]
    uri = storage.join(runs, "kept", digest)
    fresh = not storage.exists(storage.join(uri, storage.RECORD))
    if fresh:
        freeze(votes, runs)
        _write_tables(uri, rows, kept, votes, settings)
        record = {
            "kind": "kept",
            "digest": digest,
            "project": project.name,
            **_facts(plan, rows, kept, votes, settings),
            **more_facts(rows, kept),
        }
        storage.write_record(uri, record)
    if plan.record.get("kind") != "pilot":
        # a pilot only helps to choose teachers, so its kept set never becomes the current one
        storage.set_current(runs, "kept", project.name, digest)
    return storage.Artifact(uri, storage.read_record(uri)), fresh


def _rounds(settings: Settings) -> list[dict[str, Any]]:
    return [asdict(rules) for rules in settings.rounds]


def _facts(
    plan: storage.Artifact, rows: list[Candidate], kept: list[Kept], votes: list[Vote], settings: Settings
) -> dict[str, Any]:
    """What the record of a kept set says of its origin, its clips and its votes."""
    return {
        "plan": plan.uri,
        "stickers_from": plan.record.get("stickers_from", ""),
        LICENCES: plan.record.get(LICENCES, {}),
        "plan_id": plan.record["plan_id"],
        "votes": f"{votes_digest(votes)}.parquet",
        "simulated": any(row.simulated for row in kept),
        "clips": {"kept": len(kept), "all": len(rows)},
        "rounds": _rounds(settings),
        "counts": _counts(rows, kept, votes, settings),
        "rates": keep_rates(rows, kept),
    }


def _write_tables(
    uri: str, rows: list[Candidate], kept: list[Kept], votes: list[Vote], settings: Settings
) -> None:
    table = table_of(kept, Kept)
    storage.write_table(storage.join(uri, KEPT_TABLE), table, KEPT, rows_per_group=ROWS_PER_GROUP)
    pairs = table_of(preferences(rows, votes, settings), Preference)
    storage.write_table(storage.join(uri, "preferences.parquet"), pairs, PREFERENCES)


def kept_latents(kept: storage.Artifact, name: str, encoders: str, size: int) -> str:
    """The latents of a kept set, encoded when they are first needed.

    Args:
        name: `kept` for the kept set itself, `all` for every candidate of its plan.
        encoders: folder of the autoencoder and text encoder.
        size: pixels a side.

    Returns:
        The URI of a latent file.
    """
    older = storage.join(kept.uri, OLDER_LATENTS[name])
    if storage.exists(older) and _fits(older, encoders, size):
        return older
    runs = kept.uri.rsplit("/", 2)[0]
    digest = content_id("kept latents", kept.folder, name, *encoder_digests(encoders), size)[:DIGEST_LENGTH]
    folder = storage.join(runs, KEPT_LATENTS, digest)
    target = storage.join(folder, "latents.safetensors")
    if not storage.exists(storage.join(folder, storage.RECORD)):
        with connect():
            clips, count = _clips_of(kept, runs, name)
            latents = encode_kept(clips, count, folder, encoders, size)
        storage.write_bytes(target, latents.to_bytes())
        storage.write_record(
            folder, {"kind": "kept latents", "kept": kept.folder, "set": name, "size": size, "clips": count}
        )
        storage.remove(storage.join(folder, "chunks"))  # they served only to resume
    return target


def _fits(latents: str, encoders: str, size: int) -> bool:
    """Whether the latents that an older version stored in the kept set are of this size."""
    frames = LatentSet.load(latents, None).frames
    return int(shape_of(frames)[-1]) == size // latent_factor(encoders)


def _clips_of(kept: storage.Artifact, runs: str, name: str) -> tuple[Iterator[KeptClip], int]:
    """The clips of a set, read one after another, and how many there are."""
    if name == "kept":
        columns = ["clip", "num_frames", "fps", "prompt"]
        batches = storage.read_batches(
            storage.join(kept.uri, KEPT_TABLE), KEPT, columns=columns, rows=ROWS_PER_GROUP
        )
        rows = (row for batch in batches for row in batch.to_pylist())
        clips = (
            KeptClip(strip=row["clip"], num_frames=row["num_frames"], fps=row["fps"], prompt=row["prompt"])
            for row in rows
        )
        return clips, int(kept.record["counts"]["kept"])
    archive = Candidates(kept.record.get("plan") or storage.join(runs, "plans", kept.record["plan_id"]))
    candidates = [row for row in archive if row.status == MADE]
    with_clips = archive.with_clips(candidates)
    return (
        KeptClip(strip=row.clip or b"", num_frames=row.num_frames, fps=float(row.fps), prompt=row.prompt)
        for row in with_clips
    ), len(candidates)


def _counts(rows: list[Candidate], kept: list[Kept], votes: list[Vote], settings: Settings) -> dict[str, int]:
    return {
        "candidates": len(rows),
        "jobs": len({vote.job_id for vote in votes}),
        "votes": len(votes),
        "survived_round_one": len(survivors(rows, votes, settings, rounds=1)),
        "kept": len(kept),
        "prompts": len({row.prompt for row in rows}),
        "prompts_kept": len({row.prompt for row in kept}),
    }


def show(record: Mapping[str, Any]) -> None:
    """Print a kept set's record as a table of keep rates and a few sentences."""
    who = "simulated people" if record["simulated"] else "people"
    table = Table("teacher", "bucket", "made", "kept", "rate", title=f"kept set {record['digest']} ({who})")
    for row in record["rates"]:
        share = f"{row['kept'] / max(1, row['made']):.0%}"
        table.add_row(row["teacher"], row["bucket"], str(row["made"]), str(row["kept"]), share)
    num_candidates, num_kept = record["counts"]["candidates"], record["counts"]["kept"]
    rate = f"{num_kept / max(1, num_candidates):.0%}"
    table.add_row("all", "", str(num_candidates), str(num_kept), rate, style="bold")
    console.print(table)
    if "motions" in record:
        motions = ", ".join(f"{name} {row['kept']}" for name, row in record["motions"].items())
        console.print(f"kept by motion: {motions}", highlight=False)
    summary = "{prompts_kept} of {prompts} prompts keep a clip; {jobs} jobs, {votes} votes".format(
        **record["counts"]
    )
    if "quality" in record:
        by_truth = "; by the known truth {right_share:.0%} were right, precision {precision:.2f}, recall {recall:.2f}"
        summary += by_truth.format(**record["quality"])
    console.print(summary, highlight=False, soft_wrap=True)
