"""Candidates are the expensive stage: killed anywhere, it must finish with exactly the planned rows, once each."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from stickers import store
from stickers.artifacts import CANDIDATES, Candidate, PlanRow
from stickers.diffusion.sampling import SamplerSettings
from stickers.export import assemble
from stickers.hitl.generation import CandidateMaker
from stickers.hitl.plan import PlannedTeacher, make_plan, save_plan
from stickers.hitl.prompts import toy_prompts, toy_stickers
from stickers.models.autoencoder import RGBAAutoencoder
from stickers.models.text import TextEncoder
from stickers.models.unet import VideoUNet
from stickers.video.codec import decode_strip

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = SamplerSettings(num_steps=3, guided_steps=1, solver="ddim", num_frames=6, fps=6)
SIZE = 32


def make_foundations(folder: Path) -> None:
    """Encoders with random weights: the plumbing is what is tested."""
    torch.manual_seed(0)
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=32)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    TextEncoder(tokenizer, CLIPTextModel(text)).save(folder)
    autoencoder = RGBAAutoencoder(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, patch_size=2
    )
    autoencoder.save_pretrained(folder / "autoencoder")


def make_teacher(runs: Path, name: str, seed: int) -> Path:
    torch.manual_seed(seed)
    folder = runs / "teachers" / f"{name}-{seed}"
    VideoUNet(
        block_out_channels=(16, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=16,
        norm_num_groups=4,
    ).save_pretrained(folder / "checkpoint")
    store.write_record(
        str(folder),
        {"name": name, "prediction": "v_prediction", "settings": asdict(SETTINGS), "picture_size": SIZE},
    )
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with two teachers, and foundations beside it."""
    folder = tmp_path_factory.mktemp("world")
    make_foundations(folder / "foundations")
    for seed, name in enumerate(("calm", "lively"), start=1):
        make_teacher(folder / "runs", name, seed)
    return folder


@pytest.fixture
def cluster() -> Iterator[None]:
    from actors.cluster import connect

    with connect():
        yield


def command(world: Path, num_prompts: int) -> list[str]:
    options = ["--runs", str(world / "runs"), "--foundations", str(world / "foundations")]
    return [
        *(sys.executable, str(ROOT / "experiments" / "candidates.py"), *options),
        *("--num-prompts", str(num_prompts), "--teachers", "calm", "lively"),
    ]


def run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=500)


def written_files(world: Path) -> list[Path]:
    return sorted((world / "runs" / "plans").glob("*/candidates/*/0/rows/*.parquet"))


@pytest.mark.ray
def test_killed_and_run_again_it_makes_exactly_the_plan(world: Path) -> None:
    argv = command(world, num_prompts=24)
    dry = run([*argv, "--dry-run"])
    assert dry.returncode == 0 and "96 candidates" in dry.stdout, dry.stdout + dry.stderr
    assert not (world / "runs" / "plans").exists()

    victim = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not written_files(world) and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    survivors = {path: path.stat().st_mtime_ns for path in written_files(world)}
    assert survivors and not list((world / "runs" / "plans").glob("*/record.json"))

    second = run(argv)
    assert second.returncode == 0, second.stdout + second.stderr
    kept = {path: path.stat().st_mtime_ns for path in written_files(world) if path in survivors}
    assert kept and all(survivors[path] == when for path, when in kept.items()), (
        "durable rows were made again"
    )
    check_plan(world, num_rows=96)

    before = sorted(path.stat().st_mtime_ns for path in (world / "runs" / "plans").rglob("*"))
    third = run(argv)
    assert third.returncode == 0 and "nothing to do" in third.stdout, third.stdout + third.stderr
    assert sorted(path.stat().st_mtime_ns for path in (world / "runs" / "plans").rglob("*")) == before


def check_plan(world: Path, num_rows: int) -> None:
    plan = store.find_record(str(world / "runs"), "plans")
    wanted = store.read_table(store.join(plan.uri, "plan"))["candidate_id"].to_pylist()
    rows = store.read_table(store.join(plan.uri, "compacted.parquet"), CANDIDATES).to_pylist()
    ids = [row["candidate_id"] for row in rows]
    assert len(ids) == len(set(ids)) == num_rows and ids == sorted(wanted)
    assert {row["status"] for row in rows} == {"made"}
    assert sum(cell["made"] for cell in plan.record["counts"]) == num_rows
    assert decode_strip(rows[0]["clip"], rows[0]["num_frames"]).shape == (6, SIZE, SIZE, 4)
    assert len({row["clip_digest"] for row in rows}) == num_rows


@pytest.mark.ray
def test_a_row_that_fails_is_tried_again_and_recorded(world: Path, cluster: None, tmp_path: Path) -> None:
    from experiments.candidates import MAX_ATTEMPTS, run_teacher

    prompts = toy_prompts(5, seed=9)
    stickers = toy_stickers(prompts, SIZE)
    stickers[3] = replace(stickers[3], png=b"not a picture")
    plan = make_plan(prompts, stickers, [PlannedTeacher("calm", "digest", asdict(SETTINGS))])
    uri = save_plan(str(tmp_path), plan)
    record, foundations = str(world / "runs" / "teachers" / "calm-1"), str(world / "foundations")
    rows = run_teacher(uri, plan, "calm", record, foundations)
    bad = [row for row in rows if row.status == "failed"]
    assert len(rows) == 10 and [row.sticker_id for row in bad] == [stickers[3].sticker_id]
    assert "not a picture" in bad[0].error and bad[0].clip is None and bad[0].attempt == MAX_ATTEMPTS - 1
    assert run_teacher(uri, plan, "calm", record, foundations) == rows


def test_an_unknown_teacher_is_one_sentence(world: Path) -> None:
    done = run([*command(world, num_prompts=3), "--teachers", "nobody"])
    assert (
        done.returncode == 1
        and "finished are: calm, lively" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_pixels_do_not_depend_on_the_neighbours(world: Path) -> None:
    pipeline = assemble(world / "runs" / "teachers" / "calm-1", world / "foundations")
    prompts = toy_prompts(3, seed=0)
    stickers = toy_stickers(prompts, SIZE)
    rows = make_plan(prompts, stickers, [PlannedTeacher("calm", "d", asdict(SETTINGS))]).rows

    def make(some: list[PlanRow]) -> list[Candidate]:
        pictures = {each.sticker_id: each.png for each in stickers}
        return CandidateMaker(pipeline, pictures, plan_id="p", attempt=0, batch_size=4).make(some)

    together, alone = make(rows), make(rows[:1])[0]
    assert together[0].clip_digest == alone.clip_digest
    assert np.array_equal(decode_strip(together[0].clip or b"", 6), decode_strip(alone.clip or b"", 6))
    broken = make([rows[0], replace(rows[1], sticker_id="gone"), rows[2]])
    assert [row.status for row in broken] == ["made", "failed", "made"]
    assert "gone" in broken[1].error and broken[0].clip_digest == alone.clip_digest
