"""The page for setting motion buckets shows windows of a prepared collection, and prints what a project file takes."""

from pathlib import Path

import pytest

from experiments.buckets import main
from experiments.prepare import file_listing, preparation, with_own_videos, write_sets
from recipes.toy.projects import SMOKE
from stickers import storage
from stickers.data.cache import ROWS, CollectionEncoder
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import Withdrawn
from stickers.models.folders import load_autoencoder, load_text_encoder
from stickers.toy.video_files import write_captions, write_clip

NUM_VIDEOS = 6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A runs folder with one prepared collection, `artist`, made by the functions of prepare.py in this process."""
    folder = tmp_path_factory.mktemp("buckets")
    videos, runs = folder / "videos", str(folder / "runs")
    videos.mkdir()
    write_captions(str(videos), [write_clip(str(videos), "artist", index, 0) for index in range(NUM_VIDEOS)])
    project, absent = with_own_videos(SMOKE, videos, ())
    encoders = project.foundation.place
    work = preparation(runs, project, ["state"], encoders, (32,))
    listed = list(file_listing(project, absent, Withdrawn())())
    encoder = CollectionEncoder(work.cache, load_autoencoder(encoders), load_text_encoder(encoders))
    rows = encoder.encode([(str(number), video) for number, video in enumerate(listed)])
    rows_file = storage.join(work.target, "rows", "block.parquet")
    storage.write_table(rows_file, ROWS.empty_table().from_pylist(rows, schema=ROWS), ROWS)
    record = write_sets(work.target, work.cache, encoders, ["artist"])
    storage.write_record(work.target, {"sizes": [32], "online": False, **record})
    storage.set_current(runs, "latents", work.name, work.key)
    return runs


def test_the_page_shows_windows_and_the_screen_the_line_for_the_project(
    runs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "buckets.html"
    main(runs=runs, project="smoke", collection="artist", rates=(4, 8), examples=4, out=page)
    screen = capsys.readouterr().out
    assert f"{page}: 4 windows of {NUM_VIDEOS} videos" in screen
    assert "buckets=MotionBuckets(score='vmaf', edges=(" in screen and "rates=(4, 8))" in screen
    assert all(name in screen for name in ("4 fps", "8 fps", "spread / mean"))
    text = page.read_text()
    assert "artist" in text and text.count('"clip":') == 4


def test_edges_of_the_command_line_are_taken(
    runs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        runs=runs,
        project="smoke",
        collection="artist",
        edges=(1.5,),
        rates=(4, 8),
        examples=2,
        out=tmp_path / "a.html",
    )
    assert "edges=(1.5,)" in capsys.readouterr().out


def test_a_collection_that_was_not_prepared_is_one_sentence(runs: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no collection 'keyword'; collections: artist"):
        main(runs=runs, project="smoke", collection="keyword", out=tmp_path / "a.html")
