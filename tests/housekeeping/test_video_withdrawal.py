"""A withdrawn video leaves cache, sets and manifests; others keep their frames; teachers that saw it are marked."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stickers import storage
from stickers.artifacts.records import CLIPS
from stickers.data.cache import INDEX
from stickers.errors import UserError
from stickers.housekeeping.video_withdrawal import withdraw_video
from stickers.housekeeping.withdrawal import LEARNED, REMAINS, REMOVED, ROWS_REMOVED, carry_out
from stickers.housekeeping.withdrawn import Withdrawn, warning_of
from tests.support.old_runs import KEPT, LATENTS, STUDENT, TEACHER, copy_artifact, copy_runs


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return copy_runs(tmp_path)


def manifest(runs: Path) -> list[dict]:
    return storage.read_table(str(runs / LATENTS / "clips"), CLIPS).to_pylist()


def index(runs: Path) -> list[dict]:
    (folder,) = (runs / "cache").glob("frames-*")
    return storage.read_table(str(folder / "index"), INDEX).to_pylist()


def frames(runs: Path, row: dict) -> torch.Tensor:
    (folder,) = (runs / "cache").glob("frames-*")
    tensors = load_file(folder / row["shard"])
    return torch.cat(
        [tensors[name][row["first"] : row["first"] + row["num_frames"]].flatten().float() for name in tensors]
    )


def twice(runs: Path) -> dict:
    """The row of a video that was listed under two names."""
    return next(row for row in manifest(runs) if row["status"] == "duplicate")


@pytest.mark.parametrize("column", ["uri", "clip_id", "content"])
def test_a_video_is_found_by_file_id_and_content_and_under_all_its_names(runs: Path, column: str) -> None:
    row = twice(runs)
    withdrawal = withdraw_video(str(runs), row[column])
    assert withdrawal.request.contents == (row["content"],)
    assert withdrawal.request.uris == ("/tmp/v0/videos/again.mov", "/tmp/v0/videos/artist-00000.mov")
    effects = [(step.kind, step.artifact.split("/")[-1], step.effect) for step in withdrawal.steps]
    (cache,) = (runs / "cache").glob("frames-*")
    assert effects == [
        ("teachers", TEACHER.split("/")[1], LEARNED),
        ("cache", cache.name, ROWS_REMOVED),
        ("latents", LATENTS.split("/")[1], REMOVED),
        ("file", "again.mov", REMAINS),
        ("file", "artist-00000.mov", REMAINS),
    ]
    assert withdrawal.learned == [TEACHER]


def test_its_frames_are_gone_and_those_of_others_are_what_they_were(runs: Path) -> None:
    row = twice(runs)
    gone, other = sorted(index(runs), key=lambda entry: entry["content"] != row["content"])
    before = frames(runs, other)
    assert frames(runs, gone).abs().nansum() > 0 and before.abs().nansum() > 0
    withdrawal = withdraw_video(str(runs), row["uri"], reason="asked by its maker")
    folder = carry_out(str(runs), withdrawal, withdrawal.steps)
    assert not frames(runs, gone).any() and torch.equal(frames(runs, other).nan_to_num(), before.nan_to_num())
    assert [entry["content"] for entry in index(runs)] == [other["content"]]
    left = {path.name for path in (runs / LATENTS).iterdir()}
    assert left == {storage.RECORD, "withdrawn.json"}
    record = storage.read_record(folder)
    assert record["subject"] == "video" and record["reason"] == "asked by its maker"
    assert [step["kind"] for step in record["steps"]] == ["teachers", "cache", "latents", "file", "file"]
    assert Withdrawn.of(str(runs)).contents == {row["content"]}
    assert "/tmp/v0/videos/again.mov" in Withdrawn.of(str(runs)).uris


def test_what_learned_from_it_is_refused_with_the_command_that_makes_it_again(runs: Path) -> None:
    withdrawal = withdraw_video(str(runs), twice(runs)["uri"])
    carry_out(str(runs), withdrawal, withdrawal.steps)
    sentences = {
        TEACHER: r"learned from a video that was withdrawn on 20.*; experiments/teachers.py makes it again without",
        LATENTS: r"lost parts to a video that was withdrawn on 20.*; experiments/prepare.py makes it again",
    }
    for name, sentence in sentences.items():
        with pytest.raises(UserError, match=sentence):
            warning_of(str(runs / name))
    assert warning_of(str(runs / STUDENT)) == "", "nothing says that it descends from this teacher"


def test_a_policy_may_be_to_warn_alone_but_not_of_what_lost_its_parts(runs: Path) -> None:
    withdrawal = withdraw_video(str(runs), twice(runs)["uri"], policy="warn")
    carry_out(str(runs), withdrawal, withdrawal.steps)
    assert "learned from a video" in warning_of(str(runs / TEACHER))
    with pytest.raises(UserError, match="lost parts"):
        warning_of(str(runs / LATENTS))


def test_everything_made_by_a_teacher_that_saw_it_is_marked(runs: Path) -> None:
    plan = json.loads((runs / KEPT / storage.RECORD).read_text())["plan_id"]
    record = runs / "plans" / plan / storage.RECORD
    teachers = {"good": {"record": TEACHER.split("/")[1], "checkpoint": "c"}}
    record.write_text(json.dumps(json.loads(record.read_text()) | {"teachers": teachers}))
    learned = withdraw_video(str(runs), twice(runs)["uri"]).learned
    assert [name.split("/")[0] for name in learned] == [
        "plans",
        "kept",
        "teachers",
        "students",
        "distilled",
        "exported",
    ]


def test_a_teacher_that_read_other_collections_of_the_same_set_is_not_marked(runs: Path) -> None:
    copy_artifact(runs, TEACHER, "teachers/other", data={"neighbours@32": "x"}, inputs=[LATENTS])
    assert withdraw_video(str(runs), twice(runs)["uri"]).learned == [TEACHER]
    record = runs / LATENTS / storage.RECORD
    stand_ins = {"neighbours": "artist"}
    record.write_text(json.dumps(json.loads(record.read_text()) | {"stand_ins": stand_ins}))
    assert withdraw_video(str(runs), twice(runs)["uri"]).learned == [TEACHER, "teachers/other"]


def test_an_interrupted_withdrawal_is_finished_by_asking_again(runs: Path) -> None:
    uri = twice(runs)["uri"]

    class Stopped(Exception):
        """The process ends here."""

    for stop in range(4):
        withdrawal = withdraw_video(str(runs), uri)

        def interrupted(steps: list, last: int = stop) -> list:
            def end() -> None:
                raise Stopped

            return [*steps[:last], type(steps[0])(kind="", artifact="", effect="", detail="", act=end)]

        with pytest.raises(Stopped):
            carry_out(str(runs), withdrawal, interrupted(list(withdrawal.steps)))
        assert not (Path(withdrawal.request.folder(str(runs))) / storage.RECORD).exists()
        assert Withdrawn.of(str(runs)).contents == set(withdrawal.request.contents), (
            "it counts from the start"
        )
    withdrawal = withdraw_video(str(runs), uri)
    assert withdrawal.learned == [TEACHER], "although the set that led to it is gone"
    folder = carry_out(str(runs), withdrawal, withdrawal.steps)
    assert storage.exists(storage.join(folder, storage.RECORD)) and len(index(runs)) == 1
    assert carry_out(str(runs), withdraw_video(str(runs), uri), []) == folder


def test_a_drawn_video_is_deleted_and_a_file_that_was_never_prepared_is_refused_later(
    runs: Path, tmp_path: Path
) -> None:
    drawn = runs / "collections" / "x" / "a.mp4"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"not yet listed")
    withdrawal = withdraw_video(str(runs), str(drawn))
    assert not withdrawal.steps and len(withdrawal.request.contents) == 1
    carry_out(str(runs), withdrawal, withdrawal.steps)
    assert Withdrawn.of(str(runs)).contents == set(withdrawal.request.contents)
    with pytest.raises(
        UserError, match=r"lists the video 'nowhere.mp4'; give its file as the manifest has it"
    ):
        withdraw_video(str(runs), "nowhere.mp4")
