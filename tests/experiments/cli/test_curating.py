"""What curation's commands share: hashes of files, checks of places, and what they say in the end."""

from pathlib import Path

import pyarrow as pa
import pytest

from experiments.cli.curating import (
    SHOWN,
    check_out,
    check_positive,
    contents_of,
    finish,
    mean_words,
    parts_of,
    show,
)
from stickers.curation.parts import KEY
from stickers.curation.video_tables import read_videos
from stickers.errors import UserError
from tests.support.folders import save_videos


def test_equal_files_have_equal_contents_and_others_a_reason(tmp_path: Path) -> None:
    videos = read_videos(save_videos(tmp_path))
    missing = str(tmp_path / "none.mp4")
    contents, unread = contents_of([*videos.files, *videos.files, missing])
    assert set(contents) == set(videos.files) and set(unread) == {missing} and unread[missing]
    assert len(set(contents.values())) == len(videos.files) - 1, "one is a copy"


def test_a_table_is_not_written_over_what_it_is_made_of(tmp_path: Path) -> None:
    check_out(tmp_path / "out.csv", tmp_path / "in.csv")
    with pytest.raises(UserError, match="is read by this command; write to another table"):
        check_out(tmp_path / "in.csv", tmp_path / "in.csv")
    with pytest.raises(UserError):
        check_out(tmp_path / "out.doc")


def test_numbers_must_be_positive_where_they_are_given() -> None:
    check_positive(per_seed=1, limit=None)
    with pytest.raises(UserError, match="--per-seed must be at least 1, got 0"):
        check_positive(per_seed=0)


def test_what_models_said_lies_in_the_runs_folder(tmp_path: Path) -> None:
    schema = pa.schema([(KEY, pa.string()), ("word", pa.string())])
    parts = parts_of(str(tmp_path), "captions", "digest", schema)
    parts.add([{KEY: "a", "word": "cat"}])
    assert (tmp_path / "curation" / "captions" / "digest").is_dir()
    assert parts_of(str(tmp_path), "captions", "digest", schema).read(["a"])["a"]["word"] == "cat"


def test_the_unread_are_told_and_stand_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, target = save_videos(tmp_path), tmp_path / "out.csv"
    table = read_videos(folder)
    unread = {file: f"{file} is torn" for file in table.files[:2]}
    unread |= {f"{n}.mp4": f"{n}.mp4 is away" for n in range(SHOWN)}
    finish(target, "done", [("videos", 12345)], table, unread)
    text = capsys.readouterr().out
    assert "12,345" in text and "is torn" in text and "2 more; " in text and f"written: {target}" in text
    assert read_videos(tmp_path / "out-unread.csv").files == table.files[:2]
    finish(target, "done", [], table, {})
    assert not (tmp_path / "out-unread.csv").exists()


def test_words_are_counted_and_columns_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert mean_words(["a cat", "two cats and a dog"]) == 3.5 and mean_words([]) == 0
    show("title", ("name", "count"), [("cats", 2000)])
    text = capsys.readouterr().out
    assert "title" in text and "count" in text and "2,000" in text
