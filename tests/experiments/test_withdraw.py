"""`withdraw.py` lists, asks and removes; stages obey what was withdrawn and refuse what learned from it."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tyro

from actors.tracking import RunTracker, Tracking
from actors.trainer import train_all
from experiments import withdraw
from experiments.annotate import main as annotate
from experiments.candidates import gather_stickers
from experiments.cli.keeping import join_queue, keep, vote_stores, votes_on
from experiments.cli.options import current, current_training
from experiments.cli.plans import regenerated
from experiments.evaluate import held_out
from experiments.prepare import file_listing
from recipes.toy.projects import TINY
from serve.apps import find_model
from stickers import storage
from stickers.annotation.rounds import advance
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from stickers.artifacts.records import KEPT
from stickers.candidates.archive import Candidates
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import Request, Withdrawn, mark, sentence_of
from stickers.project import Collection
from stickers.toy.video_files import write_captions, write_clip
from stickers.training.job import TrainingJob
from tests.support.choosing import PEOPLE, do, work
from tests.support.old_runs import ARTIFACTS, EXPORTED, STUDENT, TEACHER, copy_runs
from tests.support.plans import finish_plan


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "STICKERS_VOTES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def chosen(tmp_path: Path) -> Path:
    """A runs folder with a finished plan, the votes of three annotators and an expert, and a kept set."""
    runs = tmp_path / "chosen"
    finish_plan(runs, 2)
    with VoteStore(f"sqlite:///{runs}/votes.db") as store:
        for name, role in PEOPLE.items():
            do(store, lambda connection, name=name, role=role: add_person(connection, name, role))
        join_queue(store, storage.find_record(str(runs), "plans"), "lea")
    keep_again(runs, "ann", "bob", "cid")
    return runs


def keep_again(runs: Path, *annotators: str) -> storage.Artifact:
    """The kept set once these annotators and the expert have answered the jobs that are left for them."""
    plan = storage.find_record(str(runs), "plans")
    candidates = {row.candidate_id: row for row in Candidates(plan.uri)}
    good = {name for name, row in candidates.items() if row.teacher == "good"}
    with VoteStore(f"sqlite:///{runs}/votes.db") as store:
        for name in annotators:
            work(store, name, good)
        do(store, lambda connection: advance(connection, candidates))
        work(store, "eve", good)
        votes, settings = votes_on(store, plan.record["plan_id"])
    return keep(str(runs), plan, votes, settings, TINY)[0]


def people_in(kept: storage.Artifact) -> set[str]:
    rows = storage.read_table(storage.join(kept.uri, "kept.parquet"), KEPT).to_pylist()
    return {name for row in rows for name in (*row["accepted_by"], *row["experts"])}


def test_a_persons_votes_are_listed_then_withdrawn_and_a_new_kept_set_leaves_them_out(
    chosen: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdraw.console, "width", 400)  # no path is broken
    before = current(str(chosen), "kept", TINY)
    assert people_in(before) == {"ann", "bob", "cid", "eve"}
    withdraw.main(runs=str(chosen), project="tiny", votes_of="ann", dry_run=True)
    text = capsys.readouterr().out
    assert "rows removed" in text and "votes.db" in text and before.folder in text
    assert current(str(chosen), "kept", TINY).folder == before.folder, "nothing has changed yet"
    with pytest.raises(UserError, match="Nobody is at the terminal"):
        withdraw.main(runs=str(chosen), project="tiny", votes_of="ann")
    withdraw.main(runs=str(chosen), project="tiny", votes_of="ann", yes=True)
    assert "withdrawn: " in capsys.readouterr().out
    with pytest.raises(
        UserError, match=r"lost parts to votes that were withdrawn .* experiments/annotate.py keep"
    ):
        current(str(chosen), "kept", TINY)
    with pytest.raises(UserError, match="nothing is kept"):
        keep_again(chosen)  # two people are too few
    kept = keep_again(chosen, "dan")
    assert kept.folder != before.folder and people_in(kept) == {"bob", "cid", "dan", "eve"}
    assert current(str(chosen), "kept", TINY).folder == kept.folder


def test_a_withdrawn_sticker_is_not_drawn_again_nor_kept(chosen: Path) -> None:
    plan = storage.find_record(str(chosen), "plans")
    before = current(str(chosen), "kept", TINY)
    sticker = storage.read_table(storage.join(before.uri, "kept.parquet"), KEPT)["sticker_id"][0].as_py()
    withdraw.main(runs=str(chosen), project="tiny", sticker=sticker, yes=True)
    kept = keep_again(chosen)
    assert kept.folder != before.folder and kept.record["clips"]["kept"] < before.record["clips"]["kept"]
    rows = storage.read_table(storage.join(kept.uri, "kept.parquet"), KEPT)
    assert rows.num_rows and sticker not in rows["sticker_id"].to_pylist()
    with pytest.raises(UserError, match="there is nothing to make again"):
        regenerated(plan, "status == 'failed'", lambda _: (), None)


def test_a_sticker_of_a_project_is_withdrawn_before_it_is_ever_drawn(tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    first, *_ = gather_stickers(runs, TINY, None, 2).stickers
    withdraw.main(runs=runs, project="tiny", sticker=first.sticker_id, yes=True)
    names = {row.sticker_id for row in gather_stickers(runs, TINY, None, 2).stickers}
    assert names and first.sticker_id not in names
    shown = TINY.evaluation.stickers.stickers().stickers[0]
    withdraw.main(runs=runs, project="tiny", sticker=shown.sticker_id, yes=True)
    withdrawn = Withdrawn.of(runs)
    assert len(held_out(TINY, withdrawn)) == len(held_out(TINY, Withdrawn())) - 1


def test_runs_and_registered_models_get_a_tag_and_previews_of_a_held_out_sticker_go(tmp_path: Path) -> None:
    runs = copy_runs(tmp_path)
    tracking = Tracking.open(str(runs))
    parent = tracking.parent("tiny")
    run_id = tracking.child(parent, "x", {"run_digest": "x"}, params={}, tags={"ensemble": "tiny"}, data={})
    RunTracker(tracking.uri, run_id).log_preview("preview.mp4", b"film")
    version = tracking.register(str(runs / EXPORTED), run_id)
    kept = storage.read_table(str(runs / "kept" / "5zrd0141ds62" / "kept.parquet"), KEPT)
    withdraw.main(runs=str(runs), project="tiny", sticker=kept["sticker_id"][0].as_py(), yes=True)
    assert tracking.previewed("tiny") == [run_id], "it is not one of those that are previewed"
    model = tracking.client.get_model_version("animated-stickers-student", version)
    assert model.tags == {"withdrawn": storage.listing(str(runs / "withdrawn"))[0].rsplit("/", 1)[1]}
    shown = TINY.evaluation.stickers.stickers(1).stickers[0].sticker_id
    withdraw.main(runs=str(runs), project="tiny", sticker=shown, yes=True)
    assert tracking.previewed("tiny") == []


def test_what_learned_from_it_is_refused_or_used_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = copy_runs(tmp_path)
    withdraw.main(runs=str(runs), project="tiny", video="/tmp/v0/videos/again.mov", learned="warn", yes=True)
    capsys.readouterr()
    teacher = current_training(str(runs), "teachers", TINY, "keyword-artist-8fps")
    assert teacher and teacher.folder in TEACHER and "learned from a video" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"lost parts to a video .* experiments/prepare.py makes it again"):
        current(str(runs), "latents", TINY)
    other = copy_runs(tmp_path / "strict")
    withdraw.main(runs=str(other), project="tiny", video="/tmp/v0/videos/again.mov", yes=True)
    with pytest.raises(UserError, match=r"learned from a video .* experiments/teachers.py makes it again"):
        current_training(str(other), "teachers", TINY, "keyword-artist-8fps")
    assert current_training(str(other), "students", TINY, "student")


def test_a_withdrawn_video_is_not_listed_again(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    rows = [write_clip(str(videos), "keyword", i, seed=3) for i in range(2)]
    write_captions(str(videos), rows)
    project = replace(TINY, teachers=(), collections=(Collection(name="artist", place=str(videos)),))
    listed = [row.path for row in file_listing(project, (), Withdrawn())()]
    withdrawn = Withdrawn(uris=frozenset(listed[:1]))
    assert [row.path for row in file_listing(project, (), withdrawn)()] == listed[1:] and len(listed) == 2


def test_the_same_training_on_what_is_left_is_no_longer_refused(
    prepared_runs: Path, tiny_foundations: Path
) -> None:
    runs = str(prepared_runs)
    sets = {
        f"{name}@32": f"{runs}/latents/0123456789ab/{name}-32.safetensors"
        for name in ("artist", "keyword", "neighbours")
    }
    recipe = TINY.teachers[0]
    job = TrainingJob.of_recipe(recipe, foundations=str(tiny_foundations), sets=sets)
    storage.write_record(job.run_uri(runs), job.record())
    assert job.record()["inputs"] == ["latents/0123456789ab"]
    mark(job.run_uri(runs), "teachers", Request(subject="video", contents=("x",)), touched=False)
    storage.set_current(runs, "teachers", f"tiny-{recipe.name}", job.folder)
    with pytest.raises(UserError, match="learned from a video"):
        current_training(runs, "teachers", TINY, recipe.name)
    (outcome,) = train_all([job], runs, project=TINY)
    assert outcome.status == "finished before" and current_training(runs, "teachers", TINY, recipe.name)


def test_what_is_served_is_served_with_a_warning(
    student_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "exported"
    shutil.copytree(student_folder, folder)
    assert find_model(str(folder), "") == str(folder) and not caplog.messages
    mark(str(folder), "exported", Request(subject="votes", person="p"), touched=False)
    with caplog.at_level(logging.WARNING):
        assert find_model(str(folder), "") == str(folder)
    assert caplog.messages == [sentence_of(str(folder))[0]] and "learned from votes" in caplog.messages[0]


def test_a_file_of_votes_does_not_bring_a_person_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = copy_runs(tmp_path)
    with VoteStore(vote_stores(str(runs))[0]) as store:
        name = store.all(retired=True)[0].annotator
    withdraw.main(runs=str(runs), project="tiny", votes_of=name, yes=True)
    fresh = f"sqlite:///{tmp_path}/fresh.db"
    for kind, file in (("jobs", "jobs.parquet"), ("votes", "votes.csv")):
        command = ["import", kind, str(ARTIFACTS / "exchange" / file), "--votes", fresh, "--runs", str(runs)]
        tyro.cli(annotate, args=command)
    assert "are of people who withdrew" in capsys.readouterr().out
    with VoteStore(fresh) as store:
        names = {vote.annotator for vote in store.all(retired=True)}
    assert names and name not in names


@pytest.mark.parametrize("things", [{}, {"video": "a", "votes_of": "b"}])
def test_one_thing_is_withdrawn_at_a_time(tmp_path: Path, things: dict[str, str]) -> None:
    with pytest.raises(UserError, match="give one of --video, --sticker, --votes-of"):
        withdraw.main(runs=str(tmp_path), project="tiny", **things)


def test_a_no_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = copy_runs(tmp_path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda: "no")
    withdraw.main(runs=str(runs), project="tiny", video="/tmp/v0/videos/again.mov")
    assert not (runs / "withdrawn").exists() and current(str(runs), "latents", TINY)
    assert (runs / STUDENT).exists()
