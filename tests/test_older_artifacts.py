"""What an earlier version of the program wrote opens, and so does what a later one may write with a column more.

`data/v0` holds real artifacts of one earlier version, and what is in them (`expected.json`).
"""

import csv
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, field, fields, is_dataclass, make_dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tyro
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sqlalchemy import text

from experiments.annotate import main as annotate
from experiments.cli.keeping import join_queue, votes_on
from stickers import storage
from stickers.annotation.exchange.vote_tables import columns_of, read_jobs, read_votes
from stickers.annotation.jobs import Job
from stickers.annotation.kept import kept_rows
from stickers.annotation.library import Library
from stickers.annotation.store import database
from stickers.annotation.store.votes import VoteStore, thaw
from stickers.artifacts.records import (
    CANDIDATES,
    CLIPS,
    KEPT,
    PLAN,
    PREFERENCES,
    PROMPTS,
    REFUSED,
    STICKERS,
    VOTES,
    Candidate,
    Clip,
    Kept,
    PlanRow,
    Preference,
    Prompt,
    Refused,
    Sticker,
    Vote,
)
from stickers.artifacts.schema import DEFAULT, records_of, schema_of
from stickers.candidates.archive import INDEX, INDEXED, Candidates, compact
from stickers.candidates.audit import audit_index, audit_part, parts_of
from stickers.candidates.plan import load_plan
from stickers.data import cache
from stickers.data.latents import LatentSet
from stickers.diffusion.sampling import SamplerSettings
from stickers.errors import UserError
from stickers.evaluation.choice import current_choice
from stickers.models.unet import VideoUNet
from stickers.video.codec import decode_strip
from tests.support.plans import candidate

V0 = Path(__file__).with_name("data") / "v0"
EXPECTED = json.loads((V0 / "expected.json").read_text())
PLAN_ID, REGENERATION = "2vpbxzfrcgnn", "3rfvykjdn9yk"
#: a column and a key that this version does not know
ADDED = "of_tomorrow"
#: the schema and the record of each table, by how its path ends
TABLES: dict[str, tuple[pa.Schema, type | None]] = {
    "clips/part-00000.parquet": (CANDIDATES, Candidate),
    "latents/*/clips/part-00000.parquet": (CLIPS, Clip),
    "index.parquet": (INDEXED, Candidate),
    "cache/*/index/*.parquet": (cache.INDEX, None),
    "kept.parquet": (KEPT, Kept),
    "plan/*.parquet": (PLAN, PlanRow),
    "preferences.parquet": (PREFERENCES, Preference),
    "prompts.parquet": (PROMPTS, Prompt),
    "refused.parquet": (REFUSED, Refused),
    "stickers.parquet": (STICKERS, Sticker),
    "superseded.parquet": (pa.schema([pa.field("candidate_id", pa.string(), nullable=False)]), None),
    "votes/*.parquet": (VOTES, Vote),
    "exchange/votes.parquet": (VOTES, Vote),
}


def plain(value: Any) -> Any:
    """As JSON has it: times in ISO 8601, bytes by their digest."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return blake2b(value, digest_size=8).hexdigest()
    return value.isoformat() if isinstance(value, datetime) else value


def as_written(runs: Path) -> None:
    """Nothing is changed."""


def add_a_column(runs: Path) -> None:
    """What a later version may add: a column to each table and store, a key to each record and vote."""
    for path in runs.rglob("*.parquet"):
        table = pq.read_table(path)
        numbers = pa.field(ADDED, pa.int64(), nullable=False)
        pq.write_table(table.append_column(numbers, pa.array([7] * table.num_rows, pa.int64())), path)
    for path in runs.rglob("record.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {ADDED: 7}))
    for path in runs.rglob("*.db"):
        with sqlite3.connect(path) as connection:
            connection.execute(f"ALTER TABLE votes ADD COLUMN {ADDED} INTEGER NOT NULL DEFAULT 7")
        connection.close()
    for path in (runs / "exchange").glob("*.csv"):
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([[*rows[0], ADDED], *([*row, "7"] for row in rows[1:])])
    for path in (runs / "exchange").glob("*.json"):
        tasks = json.loads(path.read_text())
        for task in tasks:
            task["data"]["job"][ADDED] = 7
            for annotation in task["annotations"]:
                annotation["result"][0]["meta"]["vote"][ADDED] = 7
        path.write_text(json.dumps(tasks))
    for path in runs.rglob("*.safetensors"):
        if path.parent.parent.name in ("latents", "kept"):
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
            tensors = load_file(path)
            save_file(tensors | {ADDED: next(iter(tensors.values())).clone()}, path, metadata)


@pytest.fixture(params=[as_written, add_a_column], ids=["as written", "with a column more"])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the runs folder of then."""
    shutil.copytree(V0 / "artifacts", tmp_path / "runs")
    change: Callable[[Path], None] = request.param
    change(tmp_path / "runs")
    return tmp_path / "runs"


def schema_for(name: str) -> tuple[pa.Schema, type | None]:
    """The most telling pattern is the longest."""
    return TABLES[max((pattern for pattern in TABLES if Path(name).match(pattern)), key=len)]


ALL_TABLES = sorted(name for name in EXPECTED["tables"] if name != "exchange/jobs.parquet")


def test_every_kind_of_table_is_there() -> None:
    assert all(any(Path(name).match(pattern) for name in ALL_TABLES) for pattern in TABLES)


def test_every_table_opens(runs: Path) -> None:
    for name in ALL_TABLES:
        schema, record = schema_for(name)
        table = storage.read_table(str(runs / name), schema)
        rows, expected = table.to_pylist(), EXPECTED["tables"][name]
        added = {ADDED: 7} if ADDED in table.column_names else {}
        assert [plain(row) for row in rows] == [{**row, **added} for row in expected], name
        if record is not None:
            named = [
                {key: row.get(key) for key in (field.name for field in fields(record))} for row in expected
            ]
            assert [plain(row) for row in records_of(table, record)] == named, name


def test_every_table_opens_when_its_schema_has_a_new_column() -> None:
    for name in ALL_TABLES:
        schema, record = schema_for(name)
        if record is None or schema == INDEXED:
            continue
        later = make_dataclass(
            record.__name__,
            [
                (
                    ADDED,
                    str,
                    field(default="x", metadata={"arrow": pa.string(), "unit": "", "nullable": False}),
                )
            ],
            bases=(record,),
            frozen=True,
            kw_only=True,
        )
        rows = records_of(storage.read_table(str(V0 / "artifacts" / name), schema_of(later)), later)
        assert [plain(row) for row in rows] == [{**row, ADDED: "x"} for row in EXPECTED["tables"][name]], name


def test_every_table_opens_without_the_columns_that_have_a_default(tmp_path: Path) -> None:
    dropped = 0
    for name in ALL_TABLES:
        schema, _ = schema_for(name)
        defaults = {
            field.name: json.loads(field.metadata[DEFAULT])
            for field in schema
            if DEFAULT in (field.metadata or {})
        }
        pq.write_table(
            pq.read_table(V0 / "artifacts" / name).drop_columns(list(defaults)), tmp_path / "older.parquet"
        )
        rows = storage.read_table(str(tmp_path / "older.parquet"), schema).to_pylist()
        assert [plain(row) for row in rows] == [{**row, **defaults} for row in EXPECTED["tables"][name]], name
        dropped += len(defaults)
    assert dropped > 20


def test_a_plan_opens_and_has_no_fault(runs: Path) -> None:
    plan = storage.find_record(str(runs), "plans", PLAN_ID)
    candidates = Candidates(plan.uri)
    expected = EXPECTED["tables"][f"plans/{PLAN_ID}/index.parquet"]
    assert [candidate.candidate_id for candidate in candidates] == [row["candidate_id"] for row in expected]
    assert all(candidate.clip is not None for candidate in candidates.with_clips(candidates))
    assert audit_index(plan.uri) == []
    assert [fault for part in parts_of(plan.uri).items() for fault in audit_part(plan.uri, *part)] == []
    saved = load_plan(plan.uri)
    assert saved.plan_id == PLAN_ID and len(saved.rows) == 4 and saved.teachers == ["good", "lazy"]


def test_a_regeneration_of_then_is_made_now_and_takes_unknown_columns_along(runs: Path) -> None:
    uri = str(runs / "plans" / REGENERATION)
    plan = load_plan(uri)
    old = Candidates(str(runs / "plans" / PLAN_ID))
    (row,) = plan.rows
    assert plan.supersedes == PLAN_ID and set(plan.superseded) < {candidate.candidate_id for candidate in old}
    strip = next(
        candidate.clip for candidate in old.with_clips(old) if candidate.candidate_id in plan.superseded
    )
    redrawn = candidate(row, plan.plan_id, decode_strip(strip or b"", 8))
    table = pa.Table.from_pylist([asdict(redrawn)], schema=CANDIDATES)
    later = ADDED in old.table.column_names
    if later:
        table = table.append_column(ADDED, pa.array([8], pa.int64()))
    block = storage.join(uri, "candidates", "good", "0", "rows", "a.parquet")
    storage.write_table(block, table, CANDIDATES)
    compact(uri, plan, [storage.join(uri, "candidates", "good", "0")])
    assert audit_index(uri) == [] and len(Candidates(uri)) == 4
    assert [fault for part in parts_of(uri).items() for fault in audit_part(uri, *part)] == []
    if later:
        index = storage.read_table(storage.join(uri, INDEX), INDEXED)
        assert sorted(index[ADDED].to_pylist()) == [7, 7, 7, 8]
        (part,) = (runs / "plans" / REGENERATION / "clips").iterdir()
        assert pq.read_table(part)[ADDED].to_pylist() == [8]


def test_what_people_kept_opens_and_follows_from_the_votes(runs: Path) -> None:
    kept = storage.current(str(runs), "kept", "tiny")
    assert kept is not None and kept.record["counts"]["kept"] == 1 and kept.record["simulated"]
    rows = records_of(storage.read_table(storage.join(kept.uri, "kept.parquet"), KEPT), Kept)
    plan = storage.find_record(str(runs), "plans", PLAN_ID)
    with VoteStore(f"sqlite:///{runs}/votes-simulated.db") as votes:
        assert join_queue(votes, plan, "Ana") == 0, "its jobs are there"
        cast, settings = votes_on(votes, PLAN_ID)
        assert Library.of(votes).clip(rows[0].clip_digest) == rows[0].clip
    candidates = Candidates(plan.uri)
    assert kept_rows(candidates.with_clips(candidates), cast, settings) == rows
    assert plain(thaw(str(runs / "votes" / kept.record["votes"]))) == EXPECTED["votes"]
    assert len(LatentSet.load(storage.join(kept.uri, "latents.safetensors"))) == 1


@pytest.mark.parametrize("name", ["votes-simulated.db", "votes-0001.db"])
def test_a_vote_store_opens_and_takes_more(runs: Path, name: str) -> None:
    for _ in range(2):  # the second time it is of this version
        with VoteStore(f"sqlite:///{runs}/{name}") as votes:
            cast = votes.all(retired=True)
            assert plain(cast) == EXPECTED["votes"]
            assert votes.add(cast) == 0
    again = Vote(**{**vars(cast[0]), "revision": 1, "picks": []})
    with VoteStore(f"sqlite:///{runs}/{name}") as votes:
        assert votes.add([again]) == 1 and again in votes.all(retired=True)
        with pytest.raises(Exception, match="votes are append-only"):
            votes.write(lambda connection: connection.execute(text("DELETE FROM votes"))).result()


def test_a_later_version_adds_a_column_to_an_older_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(database.MIGRATIONS, tmp_path / "later")
    (tmp_path / "later" / "versions" / "v9999_mood.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '9999', "
        f"{json.dumps(newest_migration())}\n"
        "def upgrade():\n"
        "    op.add_column('votes', sa.Column('mood', sa.String(9), nullable=False, server_default='calm'))\n"
    )
    for name in ("votes-simulated.db", "votes-0001.db"):
        shutil.copy(V0 / "artifacts" / name, tmp_path / name)
        url = f"sqlite:///{tmp_path}/{name}"
        with monkeypatch.context() as later:
            later.setattr(database, "MIGRATIONS", tmp_path / "later")
            with VoteStore(url) as votes:
                assert plain(votes.all(retired=True)) == EXPECTED["votes"]
                moods = votes.read(lambda c: c.execute(text("SELECT mood FROM votes")).scalars().all())
                assert moods == ["calm"] * len(EXPECTED["votes"])
        with pytest.raises(UserError, match="was made by another version of this program"):
            VoteStore(url)


def one_order(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def newest_migration() -> str:
    """The revision that a store of this version is at."""
    return max(path.name[1:5] for path in (database.MIGRATIONS / "versions").glob("v*.py"))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_exported_files_are_read(runs: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    votes, refused = read_votes(str(runs / "exchange" / f"votes.{suffix}"))
    assert sorted(plain(votes), key=one_order) == sorted(EXPECTED["votes"], key=one_order) and not refused
    jobs, refused = read_jobs(str(runs / "exchange" / f"jobs.{suffix}"))
    expected = [
        {name: row[name] for name in columns_of(Job)} for row in EXPECTED["tables"]["exchange/jobs.parquet"]
    ]
    assert plain(jobs) == expected and not refused
    warnings = [
        message for message in caplog.messages if f"fields '{ADDED}' are unknown and ignored" in message
    ]
    assert len(warnings) == (2 if ADDED in (runs / "exchange" / "votes.csv").read_text() else 0)


def test_commands_take_votes_out_of_an_old_store_and_into_a_new_one(runs: Path, tmp_path: Path) -> None:
    file, fresh = str(tmp_path / "votes.csv"), f"sqlite:///{tmp_path}/fresh.db"
    old = f"sqlite:///{runs}/votes-simulated.db"
    for arguments in (
        ["export", "votes", file, "--votes", old, "--plan", PLAN_ID],
        ["import", "jobs", str(runs / "exchange" / "jobs.parquet"), "--votes", fresh],
        ["import", "votes", file, "--votes", fresh],
    ):
        tyro.cli(annotate, args=[*arguments, "--runs", str(runs)])
    with VoteStore(fresh) as votes:
        assert plain(votes.all(retired=True)) == EXPECTED["votes"]


def test_prepared_videos_open(runs: Path) -> None:
    latents = storage.current(str(runs), "latents", "tiny")
    assert latents is not None and latents.record["clips"]["artist"] == 2
    latent_set = LatentSet.load(storage.join(latents.uri, "artist-32.safetensors"))
    assert len(latent_set) == 2
    assert latent_set.clip(0, fps=8, num_frames=4, start_fraction=0.0).shape[0] == 4
    (folder,) = (runs / "cache").glob("frames-32-*")
    frames = cache.FrameCache(runs=str(runs), autoencoder="a", text="t", sizes=(32,))
    folder.rename(frames.folder(32))  # its own name follows from the weights, which are left out
    assert len(frames.entries) == 2 and {size for _, size in frames.entries} == {32}


def test_records_open_under_todays_names_and_say_so_once(
    runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    kinds = {
        "plans", "kept", "latents", "prompts", "stickers", "choices", "teachers", "students", "distilled", "exported"
    }  # fmt: skip
    for kind in kinds:
        (artifact, *more) = storage.find_records(str(runs), kind)
        old = json.loads((Path(artifact.uri) / storage.RECORD).read_text())
        todays = {{"profile": "project"}.get(name, name): value for name, value in old.items()}
        assert not more and artifact.record == todays and "version" not in old
    sentences = [message for message in caplog.messages if "read with 'profile' as 'project'" in message]
    assert len(sentences) == 1 and sentences[0].startswith(f"{runs} holds records of an earlier version")
    for kind in ("plans", "kept", "latents", "prompts", "stickers"):
        current = storage.current(str(runs), kind, "tiny")
        assert current is not None and current.record["project"] == "tiny"
    choice = current_choice(str(runs), "tiny")
    assert choice is not None and choice.by == "Ana" and list(choice.teachers) == ["keyword-artist-8fps"]


def test_networks_open(runs: Path) -> None:
    for kind in ("teachers", "students", "distilled"):
        (artifact,) = storage.find_records(str(runs), kind)
        settings = SamplerSettings.of(artifact.record["settings"], artifact.uri)
        assert (
            settings.num_steps == (8 if kind == "distilled" else 15) and artifact.record["picture_size"] == 32
        )
        config = json.loads((Path(artifact.uri) / "checkpoint" / "config.json").read_text())
        assert VideoUNet.from_config(config).config.out_channels == config["out_channels"]
    (exported,) = storage.find_records(str(runs), "exported")
    config = storage.read_json(storage.join(exported.uri, "pipeline.json"))
    assert SamplerSettings.of(config["settings"], exported.uri).num_steps == 8
    later = {name: value for name, value in config["settings"].items() if name != "temperature"}
    assert SamplerSettings.of(later, exported.uri).temperature == 1.0
    with pytest.raises(UserError, match="sampler setting 'mood' is unknown; accepted: solver"):
        SamplerSettings.of(config["settings"] | {"mood": 1}, exported.uri)


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    storage.write_record(str(tmp_path / "plans" / "a"), {"project": "cats"})
    record = storage.find_record(str(tmp_path), "plans").record
    assert record["project"] == "cats" and record["version"] == 2
    (tmp_path / "plans" / "b").mkdir()
    (tmp_path / "plans" / "b" / storage.RECORD).write_text(json.dumps({"version": 3}))
    with pytest.raises(UserError, match=r"b/record.json is a record of version 3, .* reads versions up to 2"):
        storage.find_records(str(tmp_path), "plans")
