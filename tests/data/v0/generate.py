"""Writes the artifacts beside this file with the program as it was at commit fa7b49a, so that later versions can prove
that they still open them. It does not run on later versions: their artifacts belong in a folder of their own.

    git worktree add --detach OLD fa7b49a
    cd OLD && PYTHONPATH=.:platform python THIS/tests/data/v0/generate.py OUT

Every artifact is written by the command or function that users ran then. Weights are left out afterwards: they are
large, and nothing in them has a schema of ours.
"""

import json
import os
import shutil
import sqlite3
import sys
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 64)
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

import torch
from pyarrow import parquet
from tests.plans import finish_plan
from transformers import CLIPTextConfig, CLIPTextModel

from actors.cluster import connect
from experiments import annotate, distil, draw, export, prepare, prompts, students, teachers
from experiments.annotation import Export
from experiments.training import Changes, TrainOptions
from stickers import store
from stickers.data.toy.collections import write_captions, write_clip
from stickers.diffusion.sampling import SamplerSettings
from stickers.hitl.candidates import remove_blocks
from stickers.hitl.choice import Choice, Origin, record_choice
from stickers.hitl.plan import PlannedTeacher, load_plan, regeneration, save_plan
from stickers.hitl.votes import VoteStore
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.text import TextEncoder
from stickers.models.unet import VideoUNet
from stickers.pipeline import AnimationPipeline
from tests.conftest import byte_tokenizer

ONE_STEP = Changes(steps=1, batch_size=2)
#: votes as the first versions stored them, made without Alembic
FIRST_VOTES = """
CREATE TABLE votes (
    job_id VARCHAR(26) NOT NULL, annotator VARCHAR(100) NOT NULL, round INTEGER NOT NULL, plan_id VARCHAR(26) NOT NULL,
    shown JSON NOT NULL, shown_digests JSON NOT NULL, picks JSON NOT NULL, started_at DATETIME NOT NULL,
    submitted_at DATETIME NOT NULL, simulated BOOLEAN NOT NULL, PRIMARY KEY (job_id, annotator, round)
)
"""
FIRST_COLUMNS = (
    "job_id, annotator, round, plan_id, shown, shown_digests, picks, started_at, submitted_at, simulated"
)


def write_foundations(folder: Path) -> None:
    """Networks as small as they can be, with random weights."""
    torch.manual_seed(0)
    folder.mkdir(parents=True)
    tokenizer = byte_tokenizer(folder)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    AnimationPipeline(
        unet=VideoUNet(
            block_out_channels=(8, 8),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            attention_head_dim=2,
            cross_attention_dim=8,
            norm_num_groups=4,
        ),
        autoencoder=RGBAAutoencoder(
            block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4, patch_size=4
        ),
        text=TextEncoder((tokenizer, CLIPTextModel(text))),
        prediction="v_prediction",
        settings=SamplerSettings(num_steps=2, guided_steps=0, solver="ddim"),
        picture_size=32,
    ).save(folder)
    for name in ("motion", "consistency", "student"):
        shutil.copytree(folder / "unet", folder / "video_unets" / name)


def prepare_videos(runs: Path, foundations: Path) -> None:
    """Two videos, one of them listed twice under other names, so that the manifest has a duplicate."""
    videos = runs.parent / "videos"
    videos.mkdir()
    rows = [write_clip(str(videos), "artist", index, 0) for index in range(2)]
    copy = rows[0] | {"file": "again" + Path(rows[0]["file"]).suffix}
    shutil.copy(videos / rows[0]["file"], videos / copy["file"])
    (videos / "broken.mp4").write_bytes(b"no video")
    write_captions(str(videos), [*rows, copy, copy | {"file": "broken.mp4"}])
    prepare.main(runs=str(runs), videos=videos, foundations=str(foundations))


def write_plans(runs: Path) -> str:
    """A finished plan of two stickers by two teachers, and a regeneration of one row that is not made yet."""
    plan = finish_plan(runs, 1)
    row = plan.rows[0]
    again = regeneration(
        plan.plan_id,
        [row],
        plan.prompts,
        plan.stickers,
        [PlannedTeacher(row.teacher, row.checkpoint, {})],
        reseed=1,
    )
    save_plan(str(runs), again)
    assert load_plan(store.join(str(runs), "plans", again.plan_id)) == again
    remove_blocks(store.join(str(runs), "plans", plan.plan_id))
    return plan.plan_id


def write_first_votes(runs: Path) -> None:
    """The same votes as a database of the first versions has them."""
    with sqlite3.connect(runs / "votes-simulated.db") as source:
        rows = source.execute(f"SELECT {FIRST_COLUMNS} FROM votes WHERE revision = 0").fetchall()
    with sqlite3.connect(runs / "votes-0001.db") as target:
        target.execute(FIRST_VOTES)
        target.execute("CREATE INDEX ix_votes_plan_id ON votes (plan_id)")
        target.executemany(f"INSERT INTO votes ({FIRST_COLUMNS}) VALUES ({', '.join('?' * 10)})", rows)


def pack(database: Path) -> None:
    """The same database in small pages, since most of its tables hold a few rows."""
    connection = sqlite3.connect(database, isolation_level=None)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    for statement in ("journal_mode=DELETE", "page_size=1024"):
        connection.execute(f"PRAGMA {statement}").fetchall()
    connection.execute("VACUUM")
    connection.execute(f"PRAGMA journal_mode={mode}").fetchall()
    connection.close()


def train(runs: Path, foundations: Path) -> None:
    """One step of a teacher, a student and its distillation, exported, and a choice of the teacher."""
    options = {"runs": str(runs), "foundations": str(foundations), "changes": ONE_STEP}
    name = teachers.choose_profile("tiny").teachers[0].name
    with connect():
        assert not teachers.main(TrainOptions(**options, only=name))
        assert not students.main(TrainOptions(**options))
        assert not distil.main(TrainOptions(**options))
    export.main(runs=str(runs), foundations=str(foundations))
    teacher = store.find_record(str(runs), "teachers")
    record_choice(
        str(runs),
        Choice(
            profile="tiny",
            teachers={name: Origin(record=teacher.folder, checkpoint=teacher.record["weights"])},
            by="Ana",
            because="its cats walk",
            evidence="",
            simulated=False,
        ),
    )


def leave_out_weights(runs: Path) -> None:
    """Keep what has a schema of ours."""
    for kind in ("teachers", "students", "distilled", "exported"):
        for path in (runs / kind).rglob("*"):
            if path.is_file() and path.suffix != ".json":
                path.unlink()
    for path in runs.rglob("tokenizer*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in ("mlruns", "mlflow.db", "mlflow-artifacts", "work", "panel"):
        path = runs / name
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def write_expected(runs: Path) -> None:
    """What is in the tables and in the store, read by none of our readers but the store's."""
    tables = {
        path.relative_to(runs).as_posix(): [plain(row) for row in parquet.read_table(path).to_pylist()]
        for path in sorted(runs.rglob("*.parquet"))
    }
    with VoteStore(f"sqlite:///{runs}/votes-simulated.db") as votes:
        cast = [plain(vars(vote)) for vote in votes.all()]
    expected = {"tables": tables, "votes": cast}
    (runs.parent / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True))


def plain(row: dict) -> dict:
    """A row as JSON has it: times in ISO 8601, bytes by their digest."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return blake2b(value, digest_size=8).hexdigest()
    return value.isoformat() if isinstance(value, datetime) else value


def main(out: str) -> None:
    """Write all of them below `out`."""
    base = Path(out).resolve()
    runs, foundations = base / "artifacts", base / "foundations"
    write_foundations(foundations)
    prepare_videos(runs, foundations)
    prompts.main(runs=str(runs), num=3)
    draw.main(runs=str(runs))
    plan_id = write_plans(runs)
    annotate.main(runs=str(runs), plan=plan_id, foundations=str(foundations))
    files = runs / "exchange"
    files.mkdir()
    for what in ("jobs", "votes"):
        for suffix in ("csv", "parquet", "json"):
            Export(
                runs=str(runs),
                votes=f"sqlite:///{runs}/votes-simulated.db",
                what=what,
                file=str(files / f"{what}.{suffix}"),
            ).run()
    write_first_votes(runs)
    train(runs, foundations)
    leave_out_weights(runs)
    write_expected(runs)
    for database in runs.glob("*.db"):
        pack(database)


if __name__ == "__main__":
    main(sys.argv[1])
