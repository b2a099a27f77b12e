"""The pilot by which teachers are chosen: its plan, the measurements of its clips, and their scores.

A pilot is a small plan of its own with several seeds; it never becomes the current plan of its project. Measurements
are stored sticker by sticker, so an interrupted command goes on where it stopped.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import pyarrow as pa
import ray
from ray.util import ActorPool

from actors.cluster import connect
from actors.critic import Critic
from actors.screen import console, track
from experiments.cli.options import encoder_digests
from stickers import storage
from stickers.annotation.store.votes import thaw
from stickers.artifacts.ids import content_id, seed_from
from stickers.artifacts.records import STICKERS, Candidate, Vote
from stickers.artifacts.schema import records_of
from stickers.candidates.plan import Plan, PlannedTeacher, make_plan
from stickers.errors import UserError
from stickers.evaluation.quality import ClipMeasures, Quality, by_pixels, by_truth, by_votes
from stickers.evaluation.teacher_selection import Scored
from stickers.evaluation.truth import Truth
from stickers.metrics.motion_size import motion_per_second
from stickers.project import Project
from stickers.prompts.sticker_tables import Stickers

KIND = "pilot"
QualityName = Literal["auto", "votes", "truth", "pixels"]
MEASURED = pa.schema(
    [
        ("sticker_id", pa.string()),
        ("candidate_id", pa.string()),
        ("clip_digest", pa.string()),
        ("motion_size", pa.float64()),
        ("consistency", pa.float64()),
        ("truth_error", pa.float64()),
    ]
)


def pilot_plan(project: Project, sources: Stickers, teachers: list[PlannedTeacher], num_seeds: int) -> Plan:
    """The pilot's plan; its noise differs from that of the project's own plan."""
    seed = seed_from(KIND, project.seed)
    return make_plan(sources.prompts, sources.stickers, teachers, seed, num_seeds=num_seeds)


def measure_clips(
    runs: str, pilot: storage.Artifact, candidates: Sequence[Candidate], truth: Truth | None, encoders: str
) -> dict[str, ClipMeasures]:
    """The measurements of every made clip, by candidate id.

    Args:
        truth: the project's; None for stickers that it does not cover.
        encoders: folder of the autoencoder through which the truth passes.
    """
    key = content_id("measured", pilot.folder, encoder_digests(encoders) if truth else "no truth")[:12]
    folder = storage.join(runs, "measured", key)
    table = storage.read_table(storage.join(pilot.uri, "stickers.parquet"), STICKERS)
    index = dict(zip(table["sticker_id"].to_pylist(), table["image_index"].to_pylist(), strict=True))
    looks: defaultdict[tuple[str, int], list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        if candidate.clip_digest is not None:
            looks[candidate.sticker_id, candidate.num_frames].append(candidate)
    todo = {key: rows for key, rows in looks.items() if not storage.exists(_file(folder, *key))}
    if todo:
        with connect():
            _measure(folder, [(index[sticker], rows) for (sticker, _), rows in todo.items()], truth, encoders)
    tables = [storage.read_table(_file(folder, *key), MEASURED) for key in looks]
    return {row.candidate_id: row for table in tables for row in records_of(table, ClipMeasures)}


def _file(folder: str, sticker_id: str, num_frames: int) -> str:
    return storage.join(folder, f"{sticker_id}-{num_frames}.parquet")


def _measure(
    folder: str, work: list[tuple[int, list[Candidate]]], truth: Truth | None, encoders: str
) -> None:
    """Measure with one actor for each core; a sticker's measurements are written as soon as they exist."""
    make = ray.remote(num_cpus=1)(Critic)
    pool = ActorPool(
        [make.remote(truth, encoders) for _ in range(min(len(work), max(1, os.cpu_count() or 1)))]
    )
    frames = {rows[0].candidate_id: rows[0].num_frames for _, rows in work}
    results = pool.map_unordered(lambda actor, item: actor.look.remote(*item), work)
    for rows in track(results, "measure", len(work), "stickers"):
        uri = _file(folder, rows[0]["sticker_id"], frames[rows[0]["candidate_id"]])
        storage.write_table(uri, pa.Table.from_pylist(rows, schema=MEASURED), MEASURED)


def votes_on(runs: str, plan_id: str) -> list[Vote]:
    """The last revision of every vote on a plan's clips, over all frozen snapshots."""
    latest: dict[tuple[str, str, int], Vote] = {}
    for uri in storage.listing(storage.join(runs, "votes")):
        for vote in thaw(uri):
            key = vote.job_id, vote.annotator, vote.round
            if vote.plan_id == plan_id and (key not in latest or vote.revision > latest[key].revision):
                latest[key] = vote
    return [latest[key] for key in sorted(latest)]


def choose_quality(
    name: QualityName, votes: list[Vote], candidates: Sequence[Candidate], truth: Truth | None
) -> Quality:
    """How the pilot's clips are scored.

    Args:
        name: votes, truth or pixels; `auto` is votes when every clip was judged, else the truth where there is one,
            else pixels.

    Raises:
        UserError: `votes` is asked for and a clip has none, or `truth` and there is none.
    """
    if name == "truth" and truth is None:
        raise UserError("there is no truth for these stickers; give --quality pixels or votes")
    if name == "votes" or (name == "auto" and votes):
        try:
            return by_votes(votes, candidates)
        except UserError as error:
            if name == "votes":
                raise
            console.print(f"[yellow]votes take no part:[/] {error}", highlight=False, soft_wrap=True)
    return by_truth(truth) if truth is not None and name in ("truth", "auto") else by_pixels()


def score(
    candidates: Sequence[Candidate],
    measured: Mapping[str, ClipMeasures],
    quality: Quality,
    truth: Truth | None,
) -> list[Scored]:
    """Every clip of the pilot with its score; a clip that could not be made scores 0."""
    rows = []
    for candidate in candidates:
        clip = measured.get(candidate.candidate_id)
        rows.append(
            Scored(
                candidate_id=candidate.candidate_id,
                teacher=candidate.teacher,
                prompt=candidate.prompt,
                bucket=candidate.bucket,
                group=truth.group(candidate.prompt) if truth else candidate.bucket,
                quality=quality.score(clip) if clip else 0.0,
                speed=motion_per_second(clip.motion_size, candidate.fps) if clip else None,
                consistency=clip.consistency if clip else None,
            )
        )
    return rows
