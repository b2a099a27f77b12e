"""The four steps of curation as commands, on real videos, through real models and Ray."""

import csv
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from actors.cluster import connect
from experiments.curate import Captions, Keywords, Neighbours, ReviewVideos
from stickers.curation.neighbours import ClipEmbedder, embed
from stickers.curation.video_tables import read_videos
from stickers.data.collections import list_collection
from tests.support.folders import save_blip, save_clip, save_entity, save_videos

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven videos, the last a copy of the first; a file that is no video; one that is absent."""
    folder = save_videos(tmp_path_factory.mktemp("collection"))
    (folder / "text.mp4").write_text("no video")
    with (folder / "captions.csv").open("a") as captions:
        captions.write("text.mp4,a cat waving\nabsent.mp4,two cats\n")
    return folder


@pytest.fixture
def videos(folder: Path, tmp_path: Path) -> Path:
    return Path(copytree(folder, tmp_path / "videos"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    savers = {"clip": save_clip, "blip": save_blip, "entities": save_entity}
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in savers.items()}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with connect(num_cpus=2):
        yield


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as lines:
        return list(csv.DictReader(lines))


def figure(label: str, printed: str) -> str:
    """A number of the summary."""
    match = re.search(rf"│ {label} +│ (\S+)", printed)
    assert match, printed
    return match[1]


def curate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "experiments" / "curate.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


def test_keywords_from_the_command_line(videos: Path, tmp_path: Path) -> None:
    target = tmp_path / "keyword.csv"
    done = curate("keywords", "--videos", videos, "--any", "cats", "bear", "--none", "two", "--out", target)
    assert done.returncode == 0, done.stderr
    captions = [row["caption"] for row in rows_of(videos / "captions.csv")]
    matching = [text for text in captions if ("cat" in text or "bear" in text) and "two" not in text]
    rows = rows_of(target)
    assert [row["caption"] for row in rows] == matching and len(matching) >= 2
    assert {row["matched"] for row in rows} == {"cats", "bear"}
    assert rows[0]["file"].startswith("videos/") and "in the table" in done.stdout
    assert set(read_videos(target).files) < {video.path for video in list_collection(str(videos), "x")}

    with pytest.raises(ValueError, match="no words are given"):
        Keywords(videos=videos, out=target).run()
    with pytest.raises(ValueError, match="is read by this command; write to another table"):
        Keywords(videos=target, any=("cat",), out=target).run()


def test_pages_are_made_once_and_decisions_part_the_table(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = ReviewVideos(videos=videos, out=tmp_path / "review", per_page=4)
    pages.run()
    page_times = {path: path.stat().st_mtime_ns for path in (tmp_path / "review").glob("page-*.html")}
    assert len(page_times) == 3 and (tmp_path / "review" / "index.html").exists()
    assert "text.mp4" in (tmp_path / "review" / "page-0002.html").read_text()
    first = min(page_times)
    first.unlink()
    pages.run()
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "review").glob("page-*.html")}
    assert {path for path in page_times if page_times[path] != again[path]} == {first}
    with pytest.raises(ValueError, match="holds the review of another table"):
        replace(pages, per_page=5).run()
    with pytest.raises(ValueError, match="names a table; without --apply"):
        replace(pages, out=tmp_path / "kept.csv").run()

    names = read_videos(videos).names
    lines = [
        f"{names[0]},accept,,ann,t",
        f"{names[1]},reject,jitter,ann,t",
        f"{names[7]},reject,broken,ann,t",
    ]
    (tmp_path / "decisions.csv").write_text("\n".join(["file,decision,reason,reviewer,time", *lines]))
    apply = ReviewVideos(videos=videos, apply=(tmp_path / "decisions.csv",), out=tmp_path / "kept.csv")
    apply.run()
    assert [row["file"] for row in rows_of(tmp_path / "kept.csv")] == [f"videos/{names[0]}"]
    assert [row["reason"] for row in rows_of(tmp_path / "kept-rejected.csv")] == ["jitter", "broken"]
    assert "unreviewed, left out" in capsys.readouterr().out
    replace(apply, keep_unreviewed=True).run()
    assert len(rows_of(tmp_path / "kept.csv")) == len(names) - 2


@pytest.mark.ray
@pytest.mark.long
def test_neighbours_leave_out_seeds_and_copies_and_ask_nothing_twice(
    cluster: None,
    videos: Path,
    models: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = read_videos(videos).files
    (tmp_path / "seeds.csv").write_text(f"file,caption\n{files[0]},\n{files[3]},\n")
    (tmp_path / "few.jsonl").write_text(
        "".join(f'{{"file": "{file}", "caption": ""}}\n' for file in files[:5])
    )
    command = Neighbours(
        videos=tmp_path / "few.jsonl",
        seeds=(tmp_path / "seeds.csv",),
        clip_model=models["clip"],
        out=tmp_path / "found.csv",
        runs=str(tmp_path / "runs"),
    )
    command.run()
    assert figure("asked now", capsys.readouterr().out) == "5"
    replace(command, videos=videos, recall=True).run()
    printed = capsys.readouterr().out
    assert (figure("asked now", printed), figure("known before", printed)) == (
        "2",
        "5",
    )  # one of the two is no video
    assert figure("recall of auto against exact", printed) == "1.0000"

    table = read_videos(tmp_path / "found.csv")
    pool = [1, 2, 4, 5]
    vectors = np.array([embed("", file, ClipEmbedder(models["clip"]))["vector"] for file in files[:6]])  # type: ignore[index]
    similarity = vectors[pool] @ vectors[[0, 3]].T
    order = [pool[at] for at in np.argsort(-similarity.max(1))]
    assert table.files == [files[at] for at in order]
    scores = [float(score) for score in table.rows["score"].to_pylist()]
    assert scores == pytest.approx(sorted(similarity.max(1), reverse=True), abs=1e-5)
    nearest = [files[(0, 3)[similarity[pool.index(at)].argmax()]] for at in order]
    assert table.rows["nearest"].to_pylist() == nearest
    unread = rows_of(tmp_path / "found-unread.csv")
    assert [row["file"] for row in unread] == ["videos/text.mp4", "videos/absent.mp4"] and unread[0]["reason"]
    replace(command, videos=videos, limit=2).run()
    assert read_videos(tmp_path / "found.csv").files == table.files[:2]


@pytest.mark.ray
def test_captions_become_richer_and_the_old_ones_stay(
    cluster: None,
    videos: Path,
    models: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = read_videos(videos)
    (tmp_path / "all.csv").write_text(
        "file,caption,likes\n"
        + "".join(f"{file},hello kitty on the moon {at},{at}\n" for at, file in enumerate(before.files))
    )
    command = Captions(
        videos=tmp_path / "all.csv",
        captioner=models["blip"],
        entities=models["entities"],
        out=tmp_path / "captioned.csv",
        num_frames=2,
        num_beams=2,
        runs=str(tmp_path / "runs"),
    )
    command.run()
    assert figure("asked now", capsys.readouterr().out) == "8"
    rows = rows_of(tmp_path / "captioned.csv")
    assert [row["likes"] for row in rows] == [str(at) for at in range(7)]
    assert [row["original_caption"] for row in rows] == [f"hello kitty on the moon {at}" for at in range(7)]
    for row in rows:
        assert "hello kitty" in row["caption"] and row["caption"] != row["original_caption"]
        assert "red" in row["caption"] or "moon" in row["caption"]
    assert len(rows_of(tmp_path / "captioned-unread.csv")) == 2

    again = replace(command, videos=tmp_path / "captioned.csv", out=tmp_path / "again.csv")
    again.run()
    assert figure("asked now", capsys.readouterr().out) == "0"
    assert rows_of(tmp_path / "again.csv") == rows and not (tmp_path / "again-unread.csv").exists()


def test_what_cannot_be_meant_is_one_sentence(videos: Path, models: dict[str, Path], tmp_path: Path) -> None:
    command = Neighbours(
        videos=videos,
        seeds=(videos,),
        clip_model=models["entities"],
        out=tmp_path / "o.csv",
        runs=str(tmp_path),
    )
    with pytest.raises(ValueError, match="cannot be loaded as AutoModel: its weights lack"):
        command.run()
    with pytest.raises(ValueError, match="--seeds is empty"):
        replace(command, seeds=()).run()
    with pytest.raises(ValueError, match="--per-seed must be at least 1, got 0"):
        replace(command, per_seed=0).run()
    with pytest.raises(ValueError, match="a table is written as .csv, .jsonl, .parquet"):
        Keywords(videos=videos, any=("cat",), out=tmp_path / "o").run()
    with pytest.raises(ValueError, match="give the downloaded decisions too"):
        ReviewVideos(videos=videos, out=tmp_path, keep_unreviewed=True).run()
