"""From a finished plan to a kept set: the panel keeps good clips, marks what it touched, and repeats nothing."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.annotate import let_stand, main
from recipes.profiles import TINY
from stickers import store
from stickers.artifacts import CANDIDATES, KEPT, VOTES, Candidate, PlanRow, clip_digest, table_of
from stickers.data.latents import LatentSet
from stickers.data.toy.oracle import draw_sticker, truths
from stickers.hitl.candidates import compact
from stickers.hitl.plan import Plan, PlannedTeacher, make_plan, save_plan
from stickers.hitl.prompts import toy_prompts, toy_stickers
from stickers.video.codec import encode_strip

ROOT = Path(__file__).resolve().parents[2]
SIZE = 32


def candidate(row: PlanRow, plan_id: str, frames: np.ndarray) -> Candidate:
    strip = encode_strip(frames)
    return Candidate(
        **vars(row),
        plan_id=plan_id,
        attempt=0,
        status="made",
        error="",
        clip=strip,
        clip_digest=clip_digest(strip),
        num_frames=8,
        fps=8,
        motion_score=1.0,
        seconds=0.1,
    )


def drawn(plan: Plan, row: PlanRow) -> np.ndarray:
    """The good teacher draws what the prompt admits, the lazy one the frozen still."""
    index = next(each.image_index for each in plan.stickers if each.sticker_id == row.sticker_id)
    if row.teacher == "good":
        found = truths(row.prompt, index, size=SIZE, num_frames=8, still_at=3)
        return found[row.seed % len(found)]
    return np.repeat(draw_sticker(row.prompt, index, SIZE)[None], 8, axis=0)


@pytest.fixture(scope="module")
def finished_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with one finished plan of 48 candidates, half of them good."""
    runs = tmp_path_factory.mktemp("planned") / "runs"
    prompts = toy_prompts(12, seed=0)
    teachers = [PlannedTeacher(name, name, {}) for name in ("good", "lazy")]
    plan = make_plan(prompts, toy_stickers(prompts, SIZE), teachers)
    uri = save_plan(str(runs), plan)
    made = [candidate(row, plan.plan_id, drawn(plan, row)) for row in plan.rows]
    out = store.join(uri, "candidates", "all", "0")
    store.write_table(store.join(out, "rows", "block.parquet"), table_of(made, Candidate), CANDIDATES)
    compact(uri, plan, [out])
    store.write_record(uri, {"plan_id": plan.plan_id, "profile": "tiny"})
    store.set_current(str(runs), "plans", "tiny", plan.plan_id)
    return runs


def test_the_panel_keeps_the_good_ones_and_says_simulated(
    finished_plan: Path, tiny_foundations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished_plan, runs)
    script = str(ROOT / "experiments" / "annotate.py")
    argv = [sys.executable, script, "--runs", str(runs), "--foundations", str(tiny_foundations)]
    victim = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not (runs / "votes.db").exists() and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert (runs / "votes.db").exists() and not list(runs.glob("kept/*/record.json"))

    main(runs=str(runs), foundations=str(tiny_foundations))
    assert "simulated" in capsys.readouterr().out
    found = store.find_record(str(runs), "kept")
    kept = store.read_table(store.join(found.uri, "kept.parquet"), KEPT).to_pylist()
    by_teacher = [sum(row["teacher"] == name for row in kept) for name in ("good", "lazy")]
    assert by_teacher[0] >= 16 and by_teacher[1] <= 2, by_teacher
    assert all(row["simulated"] and len(row["accepted_by"]) >= 2 and row["experts"] for row in kept)
    assert found.record["simulated"] and found.record["counts"]["kept"] == len(kept)
    votes = store.read_table(store.join(str(runs), "votes", found.record["votes"]), VOTES).to_pylist()
    keys = {(vote["job_id"], vote["annotator"], vote["round"]) for vote in votes}
    assert len(keys) == len(votes) == found.record["counts"]["votes"]
    assert len(votes) == 8 * 3 + sum(vote["round"] == 2 for vote in votes) and all(
        v["simulated"] for v in votes
    )
    latents = LatentSet.load(Path(found.uri) / "latents.safetensors")
    everything = LatentSet.load(Path(found.uri) / "all.safetensors")
    assert len(latents) == len(kept) and len(everything) == 48 and int(everything.length[0]) == 8

    main(runs=str(runs), foundations=str(tiny_foundations))
    assert "nothing to do" in capsys.readouterr().out and len(list(runs.glob("kept/*/record.json"))) == 1


def test_another_threshold_is_another_panel(
    finished_plan: Path, tiny_foundations: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished_plan, runs)
    for threshold in (0.75, 2.0):
        main(runs=str(runs), foundations=str(tiny_foundations), threshold=threshold)
    counts = [found.record["counts"]["kept"] for found in store.find_records(str(runs), "kept")]
    assert len(counts) == 2 and counts[1] > counts[0] + 10


def test_what_people_keep_of_a_pilot_stands_for_nothing(tmp_path: Path) -> None:
    let_stand(str(tmp_path), store.Found("", {"kind": "pilot"}), TINY, "digest")
    assert not (tmp_path / "kept").exists()
    let_stand(str(tmp_path), store.Found("", {"kind": "plan"}), TINY, "digest")
    assert (tmp_path / "kept" / "current" / "tiny.json").exists()


def test_nothing_to_judge_is_one_sentence(tiny_foundations: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run experiments/candidates.py first"):
        main(runs=str(tmp_path / "runs"), foundations=str(tiny_foundations))
