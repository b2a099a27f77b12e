"""What people kept of a plan becomes a kept set: frozen votes, a table with its lineage, and latents to train on."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from experiments.cli.options import encoder_digests
from recipes.toy.profiles import Profile
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
from stickers.data.latents import encode_clips
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder, load_text_encoder
from stickers.video.codec import decode_strip

console = Console()


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


def keep(
    place: str,
    plan: storage.Artifact,
    cast: list[Vote],
    settings: Settings,
    profile: Profile,
    foundations: str,
    also: Mapping[str, Any],
) -> tuple[storage.Artifact, bool]:
    """The finished kept set of a plan's votes, and whether it is new.

    Args:
        cast: the votes that count.
        also: what its record remembers beside what every one does; of values that have to be worked out, a function.

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
    made_of = [plan.record["plan_id"], votes_digest(cast), rounds, *encoder_digests(foundations)]
    digest = content_id("kept", *made_of, profile.picture_size)[:12]
    uri = storage.join(place, "kept", digest)
    fresh = not storage.exists(storage.join(uri, storage.RECORD))
    if fresh:
        _write(place, uri, found, rows, kept, cast, settings, foundations, profile.picture_size)
        record = {
            "kind": "kept",
            "digest": digest,
            "profile": profile.name,
            "plan_id": plan.record["plan_id"],
            "votes": f"{votes_digest(cast)}.parquet",
            "simulated": any(row.simulated for row in kept),
            "clips": {"kept": len(kept), "all": len(rows)},
            "rounds": rounds,
            "counts": _counts(rows, kept, cast, settings),
            "rates": keep_rates(rows, kept),
            **{name: value(rows, kept) if callable(value) else value for name, value in also.items()},
        }
        storage.write_record(uri, record)
    if plan.record.get("kind") != "pilot":
        # what comes of the pilot, by which teachers are chosen, stands for nothing
        storage.set_current(place, "kept", profile.name, digest)
    return storage.Artifact(uri, storage.read_json(storage.join(uri, storage.RECORD))), fresh


def _write(
    place: str,
    uri: str,
    found: Candidates,
    rows: list[Candidate],
    kept: list[Kept],
    cast: list[Vote],
    settings: Settings,
    foundations: str,
    size: int,
) -> None:
    freeze(cast, place)
    storage.write_table(storage.join(uri, "kept.parquet"), table_of(kept, Kept), KEPT, rows_per_group=64)
    pairs = table_of(preferences(rows, cast, settings), Preference)
    storage.write_table(storage.join(uri, "preferences.parquet"), pairs, PREFERENCES)
    write_latents(storage.join(uri, "latents.safetensors"), kept, len(kept), foundations, size)
    write_latents(storage.join(uri, "all.safetensors"), found.whole(rows), len(rows), foundations, size)


def write_latents(
    uri: str, rows: Iterable[Candidate] | Iterable[Kept], count: int, foundations: str, size: int
) -> None:
    """Encode `count` clips as students are trained on them, unless it is done."""
    if storage.exists(uri):
        return
    clips = ((decode_strip(r.clip or b"", r.num_frames), float(r.fps), r.prompt) for r in rows)
    bar = tqdm(clips, total=count, desc=f"encode {uri.rpartition('/')[2]}", unit="clip")
    latents = encode_clips(bar, load_autoencoder(foundations), load_text_encoder(foundations), size)
    storage.write_bytes(uri, latents.to_bytes())


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
        said += "; by the oracle {right_share:.0%} were right, precision {precision:.2f}, recall {recall:.2f}".format(
            **record["quality"]
        )
    console.print(said, highlight=False, soft_wrap=True)
