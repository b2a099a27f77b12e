"""What may go is listed, what something finished needs is not, and an interrupted removal is finished later."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from stickers import storage
from stickers.candidates.driver import driving
from stickers.data.latents import LatentSet, shards_of
from stickers.housekeeping.cleaning import Findings, InUse, look, look_at_machine, remove, totals
from tests.support.latents import numbered
from tests.support.old_runs import (
    DISTILLED,
    EXPORTED,
    KEPT,
    LATENTS,
    PLAN,
    REGENERATION,
    STUDENT,
    TEACHER,
    copy_artifact,
    copy_runs,
)

NOTHING = InUse(exported=frozenset(), plans=frozenset())
SERVED = InUse(exported={EXPORTED.split("/")[1]}, plans=frozenset())


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return copy_runs(tmp_path)


def find(
    runs: Path | str, in_use: InUse = SERVED, *, idle_seconds: float = 0, caches: bool = False
) -> Findings:
    return look(str(runs), in_use, idle_seconds=idle_seconds, with_caches=caches)


def names(findings: Findings, category: str) -> set[str]:
    return {row.name for row in findings.removable if row.category == category}


def kept_latents(runs: Path, folder: str, kept: str) -> Path:
    """Finished latents of a kept set."""
    target = runs / "kept-latents" / folder
    target.mkdir(parents=True)
    numbered().save(target / "latents.safetensors")
    storage.write_record(str(target), {"kept": kept.split("/")[1], "set": "kept"})
    return target


def test_only_what_was_interrupted_may_go_from_a_finished_run(runs: Path) -> None:
    findings = find(runs)
    assert {(row.category, row.name) for row in findings.removable} == {("unfinished", REGENERATION)}
    (row,) = findings.removable
    files = [path for path in (runs / REGENERATION).rglob("*") if path.is_file()]
    assert row.num_files == len(files) and row.num_bytes == sum(path.stat().st_size for path in files)
    assert row.reason.startswith("interrupted on 20") and not findings.busy


def test_a_newer_training_leaves_the_older_one_until_nothing_is_made_from_it(runs: Path) -> None:
    copy_artifact(runs, TEACHER, "teachers/newer", stands_for="tiny-keyword-artist-8fps")
    copy_artifact(runs, STUDENT, "students/newer", stands_for="tiny-student")
    assert names(find(runs), "superseded") == set(), "a choice names the teacher, the distilled the student"
    (runs / "choices" / "current" / "tiny.json").unlink()
    assert names(find(runs), "superseded") == {TEACHER, "choices/7wmy7e13m69v"}
    copy_artifact(runs, DISTILLED, "distilled/newer", stands_for="tiny-distilled", foundation="elsewhere")
    assert names(find(runs), "superseded") == {TEACHER, "choices/7wmy7e13m69v"}, "it is served"
    assert names(find(runs, NOTHING), "superseded") == {
        TEACHER,
        "choices/7wmy7e13m69v",
        STUDENT,
        DISTILLED,
        EXPORTED,
    }
    assert EXPORTED not in names(find(runs, InUse(exported=None, plans=None)), "superseded")


def test_plans_that_people_voted_on_stay_with_what_they_regenerate(runs: Path) -> None:
    copy_artifact(runs, PLAN, "plans/later", stands_for="tiny", supersedes=PLAN.split("/")[1])
    copy_artifact(runs, PLAN, "plans/aside")
    assert names(find(runs), "superseded") == {"plans/aside"}
    assert names(find(runs, InUse(exported=None, plans={"aside"})), "superseded") == set()
    assert names(find(runs, InUse(exported=None, plans=None)), "superseded") == set()
    storage.set_current(str(runs), "plans", "tiny", "aside")
    (runs / KEPT / storage.RECORD).unlink()
    shutil.rmtree(runs / "kept")
    assert names(find(runs, NOTHING), "superseded") >= {"plans/later"}
    assert PLAN not in names(find(runs, NOTHING), "superseded"), "an unfinished regeneration goes back to it"
    shutil.rmtree(runs / REGENERATION)
    assert PLAN in names(find(runs, NOTHING), "superseded")


def test_what_served_making_goes_and_the_result_stays(runs: Path) -> None:
    for name in (f"{TEACHER}/checkpoint_000001/rank-0.pt", f"{PLAN}/candidates/good/0/rows/a.parquet",
                 f"{LATENTS}/listed/part.parquet", f"{LATENTS}/.writing-1-x"):  # fmt: skip
        (runs / name).parent.mkdir(parents=True, exist_ok=True)
        (runs / name).write_bytes(b"12345678")
    findings = find(runs)
    assert names(findings, "leftovers") == {TEACHER, PLAN, LATENTS}
    assert totals(findings.removable)["leftovers"] == (3, 24)
    assert [row.num_bytes for row in findings.removable if row.category == "temporary"] == [8]
    before = {path for path in runs.rglob("*") if path.is_file()}
    for row in findings.removable:
        remove(row)
        remove(row)
    gone = before - {path for path in runs.rglob("*") if path.is_file()}
    assert {path.relative_to(runs).parts[1] for path in gone} == {
        name.split("/")[1] for name in (TEACHER, PLAN, LATENTS, REGENERATION)
    }
    assert (runs / TEACHER / "checkpoint" / "config.json").exists() and not find(runs).removable


def test_what_is_written_now_is_busy_and_then_nothing_that_it_may_read_goes(runs: Path) -> None:
    copy_artifact(runs, PLAN, "plans/aside")
    (runs / TEACHER / "checkpoint_1").mkdir()
    (runs / TEACHER / "checkpoint_1" / "x").write_bytes(b"x")
    long_ago = time.time() - 3 * 24 * 3600
    for path in [path for path in runs.rglob("*") if path.is_file()]:
        os.utime(path, (long_ago, long_ago))
    assert len(find(runs, idle_seconds=3600).removable) == 3
    making = runs / "evaluation" / "new" / "items" / "a.parquet"
    making.parent.mkdir(parents=True)
    making.write_bytes(b"x")
    findings = find(runs, idle_seconds=3600)
    assert findings.busy == ["evaluation/new"]
    assert {(row.category, row.name) for row in findings.removable} == {("unfinished", REGENERATION)}
    os.utime(making, (long_ago, long_ago))
    findings = find(runs, idle_seconds=3600)
    assert names(findings, "unfinished") == {REGENERATION, "evaluation/new"} and not findings.busy


def test_a_plan_that_somebody_drives_is_busy_however_old_its_files_are(runs: Path) -> None:
    with driving(str(runs / REGENERATION)):
        findings = find(runs)
        assert findings.busy == [REGENERATION] and not findings.removable
    assert names(find(runs), "unfinished") == {REGENERATION}


def test_what_was_finished_a_moment_ago_stays(runs: Path) -> None:
    copy_artifact(runs, PLAN, "plans/aside")
    for path in [path for path in runs.rglob("*") if path.is_file()]:
        os.utime(path, (0, 0))
    assert names(find(runs, idle_seconds=3600), "superseded") == {"plans/aside"}
    (runs / "plans" / "aside" / storage.RECORD).touch()
    assert names(find(runs, idle_seconds=3600), "superseded") == set()


def test_an_interrupted_removal_leaves_no_artifact_that_seems_finished(runs: Path) -> None:
    copy_artifact(runs, PLAN, "plans/aside")
    (row,) = [row for row in find(runs).removable if row.category == "superseded"]
    storage.remove(row.uris[0])  # what the first step of the removal does
    assert not (runs / "plans" / "aside" / storage.RECORD).exists()
    findings = find(runs)
    assert names(findings, "unfinished") == {REGENERATION, "plans/aside"}
    for row in findings.removable:
        remove(row)
    assert not (runs / "plans" / "aside").exists() and (runs / PLAN / storage.RECORD).exists()


def test_latents_of_kept_sets_go_where_their_kept_set_is_not_the_current_one(runs: Path) -> None:
    copy_artifact(runs, KEPT, "kept/newer", stands_for="tiny")
    kept_latents(runs, "of-old", KEPT)
    new = kept_latents(runs, "of-new", "kept/newer")
    (runs / "measured" / "x").mkdir(parents=True)
    (runs / "measured" / "x" / "a.parquet").write_bytes(b"x")
    assert names(find(runs), "caches") == {"kept-latents/of-old"}
    assert names(find(runs, caches=True), "caches") == {
        "kept-latents/of-old",
        "kept-latents/of-new",
        "measured/x",
    }
    assert new.exists()


def test_frames_go_with_the_last_set_that_reads_them(runs: Path) -> None:
    frames = next((runs / "cache").glob("frames-*"))
    texts = next((runs / "cache").glob("texts-*"))
    stale = texts / "stale.safetensors"
    stale.write_bytes(b"x")
    other = runs / "cache" / "frames-64-other"
    shutil.copytree(frames, other)
    (runs / "collections" / LATENTS.split("/")[1]).mkdir(parents=True)
    (runs / "collections" / LATENTS.split("/")[1] / "a.mp4").write_bytes(b"x")
    findings = find(runs)
    assert names(findings, "caches") == {f"cache/{other.name}", f"cache/{texts.name}"}
    for row in findings.removable:
        remove(row)
    assert texts.exists() and not stale.exists() and not other.exists()
    read = LatentSet.load(runs / LATENTS / "artist-32.safetensors")
    assert read.clip(0, fps=8, num_frames=4, start_fraction=0.0).shape[0] == 4 and read.text(0).ndim == 2
    assert {Path(shard).parent for shard in shards_of(str(runs / LATENTS / "artist-32.safetensors"))} == {
        frames,
        texts,
    }
    for kind in ("choices", "teachers"):
        shutil.rmtree(runs / kind)
    copy_artifact(runs, LATENTS, "latents/newer", stands_for="tiny")
    for path in (runs / "latents" / "newer").glob("*.safetensors"):
        path.unlink()
    findings = find(runs)
    assert names(findings, "superseded") == {LATENTS, f"collections/{LATENTS.split('/')[1]}"}
    assert names(findings, "caches") == {f"cache/{frames.name}", f"cache/{texts.name}"}


@pytest.mark.parametrize("system", ["memory", "s3"])
def test_a_remote_runs_folder_is_cleaned_in_the_same_way(
    runs: Path, system: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    root = request.getfixturevalue("bucket") if system == "s3" else f"fsspec+memory://{uuid4().hex}"
    place = f"{root}/runs"
    copy_artifact(runs, PLAN, "plans/aside")
    storage.upload_folder(runs, place)
    findings = find(place)
    assert {(row.category, row.name) for row in findings.removable} == {
        ("unfinished", REGENERATION),
        ("superseded", "plans/aside"),
    }
    assert not find(place, idle_seconds=3600).removable, "everything was written a moment ago"
    for row in findings.removable:
        remove(row)
    assert not find(place).removable
    assert storage.listing(f"{place}/{REGENERATION}") == [] and storage.find_record(place, "plans")


def test_this_machine_keeps_copies_and_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STICKERS_CACHE", str(tmp_path / "cache"))
    ended = tmp_path / "ray" / "session_2026-01-01_00-00-00_000000_1"
    for folder in (tmp_path / "cache" / "copy", ended, tmp_path / "ray" / "session_latest"):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"12345")
    rows = look_at_machine(0, tmp_path / "ray")
    assert [(row.category, row.num_bytes) for row in rows] == [("copies", 5), ("ray", 5)]
    assert rows[1].name == str(ended) and not look_at_machine(3600, tmp_path / "ray")
    named = tmp_path / "ray" / "session_2026-01-02_00-00-00_000000_2"
    named.mkdir()
    assert len(look_at_machine(0, tmp_path / "ray")) == 3
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)", str(named)]
    with subprocess.Popen(sleep, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        try:
            assert len(look_at_machine(0, tmp_path / "ray")) == 2, "a process names it"
        finally:
            process.kill()
