"""Candidates are the expensive stage: killed anywhere, it must finish with exactly the planned rows, once each."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

from actors.cluster import connect
from actors.ensemble import MAX_ATTEMPTS, Encoders, Ensemble, run_ensemble
from actors.teacher import Teacher, TeacherWork
from experiments.candidates import main
from stickers import storage
from stickers.artifacts.records import Candidate, PlanRow
from stickers.candidates.archive import FACTS as LIGHT
from stickers.candidates.archive import Candidates, compact
from stickers.candidates.plan import PlannedTeacher, make_plan, save_plan
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.toy.grammar import toy_prompts, toy_stickers
from stickers.video.codec import decode_strip
from tests.support.gates import Gate
from tests.support.processes import kill_driver, wait_for
from tests.support.teachers import SETTINGS, SIZE, save_teacher

ROOT = Path(__file__).resolve().parents[2]
#: the other teacher's pixels a side, frames and latent channels
OTHER_SIZE, OTHER_FRAMES, OTHER_CHANNELS = 48, 4, 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_foundations: Path) -> Path:
    """A runs folder with two teachers, and foundations beside it. The second draws larger pictures and fewer frames in
    latents of other channels, so it has an autoencoder of its own."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "foundations").symlink_to(tiny_foundations)
    for part in ("text_encoder", "tokenizer"):
        copytree(tiny_foundations / part, folder / "others" / part)
    shape = RGBAAutoencoder.load_config(tiny_foundations / "autoencoder")
    torch.manual_seed(0)
    scales = {"latent_mean": [0.0] * OTHER_CHANNELS, "latent_std": [1.0] * OTHER_CHANNELS}
    other = RGBAAutoencoder.from_config(shape | scales | {"latent_channels": OTHER_CHANNELS})
    other.save_pretrained(folder / "others" / "autoencoder")
    like, unlike = tiny_foundations / "video_unets" / "student", {"picture_size": OTHER_SIZE}
    save_teacher(folder / "runs", "calm", 1, like)
    save_teacher(
        folder / "runs", "lively", 2, like, channels=OTHER_CHANNELS, num_frames=OTHER_FRAMES, **unlike
    )
    return folder


@pytest.fixture
def cluster() -> Iterator[None]:
    with connect():
        yield


def options(world: Path, num_prompts: int) -> dict[str, Any]:
    teachers, base = ("calm", "lively"), str(world / "foundations")
    return {
        "runs": str(world / "runs"),
        "foundations": base,
        "num_prompts": num_prompts,
        "teachers": teachers,
        "encoders": {"lively": str(world / "others")},
    }


def start(world: Path, num_prompts: int, gate: Gate) -> subprocess.Popen[bytes]:
    script, runs_option = str(ROOT / "experiments" / "candidates.py"), ["--runs", str(world / "runs")]
    choice = ["--num-prompts", str(num_prompts), "--teachers", "calm", "lively"]
    encoders = ["--foundations", str(world / "foundations"), "--encoders", "lively", str(world / "others")]
    argv = [sys.executable, script, *runs_option, *encoders, *choice]
    return subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=gate.environment()
    )


def written_files(world: Path) -> list[Path]:
    return sorted((world / "runs" / "plans").glob("*/candidates/*/0/rows/*.parquet"))


@pytest.mark.long
@pytest.mark.ray
def test_killed_and_run_again_it_makes_exactly_the_plan(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(**options(world, num_prompts=24), dry_run=True)
    assert "96 candidates" in capsys.readouterr().out and not (world / "runs" / "plans").exists()

    # Each teacher makes three of its six blocks and waits, so that the plan cannot be finished.
    gate = Gate(tmp_path / "gate", Teacher.__call__, free_calls=3)
    victim = start(world, num_prompts=24, gate=gate)
    # Two teachers write side by side, and the newest file of each may still be uncommitted: of four, two are durable,
    # one of which is torn below, as by a storage that lost what it had promised.
    wait_for(lambda: len(written_files(world)) >= 4 or victim.poll() is not None)
    kill_driver(victim)
    torn, *intact = written_files(world)
    torn.write_bytes(torn.read_bytes()[:-100])
    survivors = [row for path in intact for row in pq.read_table(path, columns=LIGHT).to_pylist()]
    assert survivors and not list((world / "runs" / "plans").glob("*/record.json"))

    main(**options(world, num_prompts=24))
    assert f"made again: {torn}" in capsys.readouterr().out
    check_plan(world, num_rows=96)
    seconds = {row.candidate_id: row.seconds for row in finished(world)}
    assert all(seconds[row["candidate_id"]] == row["seconds"] for row in survivors), (
        "durable rows were made again"
    )

    before = sorted(path.stat().st_mtime_ns for path in (world / "runs" / "plans").rglob("*"))
    capsys.readouterr()
    main(**options(world, num_prompts=24))
    assert "nothing to do" in capsys.readouterr().out
    assert sorted(path.stat().st_mtime_ns for path in (world / "runs" / "plans").rglob("*")) == before


def finished(world: Path) -> Candidates:
    return Candidates(storage.find_record(str(world / "runs"), "plans").uri)


def check_plan(world: Path, num_rows: int) -> None:
    plan, rows = storage.find_record(str(world / "runs"), "plans"), finished(world)
    planned_ids = storage.read_table(storage.join(plan.uri, "plan"))["candidate_id"].to_pylist()
    ids = [row.candidate_id for row in rows]
    assert len(ids) == len(set(ids)) == num_rows and ids == sorted(planned_ids)
    assert {row.status for row in rows} == {"made"}
    assert sum(cell["made"] for cell in plan.record["counts"]) == num_rows
    shapes = {"calm": (6, SIZE, SIZE, 4), "lively": (OTHER_FRAMES, OTHER_SIZE, OTHER_SIZE, 4)}
    for row in rows:
        assert decode_strip(rows.clip(row.candidate_id) or b"", row.num_frames).shape == shapes[row.teacher]
    assert len({row.clip_digest for row in rows}) == num_rows
    assert {path.name for path in Path(plan.uri).iterdir()} == {
        "plan", "plan.json", "prompts.parquet", "stickers.parquet", "clips", "index.parquet", "record.json",
    }  # fmt: skip


class Fragile(Teacher):
    """A teacher whose process dies of one picture, first killed and then of its device."""

    def __init__(self, work: TeacherWork) -> None:
        super().__init__(work)
        make = self.maker.make

        def dying(rows: list[PlanRow]) -> list[Candidate]:
            if any(row.sticker_id == Path(work.plan, "deadly").read_text() for row in rows):
                if Path(work.plan, "killed").exists():
                    raise torch.AcceleratorError("device-side assert triggered")
                Path(work.plan, "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return make(rows)

        self.maker.make = dying  # type: ignore[method-assign]


@pytest.mark.long
@pytest.mark.ray
def test_rows_that_fail_or_kill_are_tried_again_and_recorded(
    world: Path, cluster: None, tmp_path: Path
) -> None:
    prompts = toy_prompts(5, seed=9)
    stickers = toy_stickers(prompts, SIZE)
    stickers[3] = replace(stickers[3], png=b"not a picture")
    plan = make_plan(prompts, stickers, [PlannedTeacher("calm", "digest", asdict(SETTINGS))])
    uri, bad, deadly = save_plan(str(tmp_path), plan), stickers[3].sticker_id, stickers[6].sticker_id
    Path(uri, "deadly").write_text(deadly)
    teacher = storage.find_record(str(world / "runs"), "teachers", "calm")
    encoders = {"calm": Encoders(str(world / "foundations"), ["e"])}
    ensemble = Ensemble(teachers={"calm": teacher}, encoders=encoders, batch_size=2, actor=Fragile)
    outs = run_ensemble(uri, plan, ensemble, Console(quiet=True))
    assert len(outs) == MAX_ATTEMPTS
    compact(uri, plan, outs)
    failed_rows = {row.sticker_id: row for row in Candidates(uri) if row.status == "failed"}
    assert failed_rows.keys() == {bad, deadly} and len(Candidates(uri)) == 10
    assert "not a picture" in failed_rows[bad].error and failed_rows[bad].attempt == MAX_ATTEMPTS - 1
    assert (
        failed_rows[bad].clip_digest is None and Candidates(uri).clip(failed_rows[bad].candidate_id) is None
    )
    assert "its process died 2 times" in failed_rows[deadly].error
    assert run_ensemble(uri, plan, ensemble, Console(quiet=True)) == outs


@pytest.mark.long
@pytest.mark.ray
def test_weights_that_changed_since_their_training_draw_nothing(
    world: Path, cluster: None, tmp_path: Path
) -> None:
    prompts = toy_prompts(1, seed=9)
    plan = make_plan(
        prompts, toy_stickers(prompts, SIZE), [PlannedTeacher("calm", "digest", asdict(SETTINGS))]
    )
    uri, teacher = (
        save_plan(str(tmp_path), plan),
        storage.find_record(str(world / "runs"), "teachers", "calm"),
    )
    other = replace(teacher, record={**teacher.record, "weights": "another"})
    encoders = {"calm": Encoders(str(world / "foundations"), ["e"])}
    with pytest.raises(ValueError, match="have changed since they were trained.*not another"):
        run_ensemble(uri, plan, Ensemble(teachers={"calm": other}, encoders=encoders), Console(quiet=True))
    assert not list(Path(uri).rglob("rows/*.parquet"))
