"""From listed videos to a manifest and sets: what is listed, what stands for what, and what a person is told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from actors.encoder import COLUMNS, ClipEncoder
from experiments import prepare
from experiments.cli.options import current_latents
from experiments.new import main as new
from experiments.prepare import (
    LISTED,
    file_listing,
    fingerprint,
    in_parts,
    rows_of,
    show,
    with_own_videos,
    write_listing,
    write_sets,
)
from experiments.teachers import prepared_sets
from recipes.toy.projects import TINY
from stickers import storage
from stickers.data.cache import ROWS, FrameCache
from stickers.data.collections import Listed
from stickers.data.latents import LatentSet
from stickers.errors import UserError
from stickers.housekeeping.withdrawn import Withdrawn
from stickers.models.folders import load_autoencoder
from stickers.project import load_project
from stickers.toy.video_files import write_captions, write_clip
from stickers.training.job import TrainingJob

WITH_OTHERS = """

from dataclasses import replace

first, second = project.teachers
project = replace(
    project,
    teachers=(first, replace(second, encoders={others!r}, foundation={others!r} + "/video_unets/motion")),
)
"""


def save_videos(folder: Path) -> Path:
    """Two videos, a copy of the first, and a file that is none."""
    folder.mkdir()
    rows = [write_clip(str(folder), "artist", index, 0) for index in range(2)]
    (folder / "copy.mp4").write_bytes((folder / rows[0]["file"]).read_bytes())
    (folder / "none.mp4").write_text("no video")
    write_captions(
        str(folder), [*rows, {"file": "copy.mp4", "caption": "a copy"}, {"file": "none.mp4", "caption": ""}]
    )
    return folder


def test_videos_and_sets_of_the_command_line_take_the_projects_place(tmp_path: Path) -> None:
    folder = save_videos(tmp_path / "videos")
    assert with_own_videos(TINY, None, ()) == (TINY, [])
    project, absent = with_own_videos(TINY, folder, (f"mine={folder}",))
    names = [row.name for row in TINY.collections]
    assert [row.name for row in project.collections] == [names[0], "mine", *names[1:]] and absent == names[1:]
    listed = list(file_listing(project, absent, Withdrawn())())
    assert len(listed) == 8 and {row.source for row in listed} == {names[0], "mine"}
    with pytest.raises(UserError, match="--sets takes NAME=PATH, got 'mine'"):
        with_own_videos(TINY, None, ("mine",))


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = save_videos(tmp_path / "videos")
    absent = [row.name for row in TINY.collections[1:]]
    listing = file_listing(with_own_videos(TINY, folder, ())[0], absent, Withdrawn())
    before = fingerprint(listing)
    assert fingerprint(listing) == before
    (folder / "none.mp4").write_text("still no video")
    assert fingerprint(listing) != before


def test_a_listing_is_written_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "PART", 3)
    assert list(in_parts(range(7))) == [[0, 1, 2], [3, 4, 5], [6]]
    files = [Listed(f"/{number}.mp4", "a cat", "artist") for number in range(7)]
    assert write_listing(files, str(tmp_path)) == 7
    tables = [storage.read_table(part, LISTED) for part in storage.listing(str(tmp_path))]
    assert [table.num_rows for table in tables] == [3, 3, 1]
    rows = pa.concat_tables(tables).to_pylist()
    assert [row["path"] for row in rows] == [row.path for row in files]
    assert len({row["clip_id"] for row in rows}) == 7


def test_sets_hold_what_is_usable_once_and_the_rest_is_told(
    tiny_foundations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, base, target = save_videos(tmp_path / "videos"), str(tiny_foundations), str(tmp_path / "latents")
    captions = {"copy.mp4": "a copy"}
    files = sorted(path for path in folder.iterdir() if path.suffix != ".csv")
    cache = FrameCache(runs=str(tmp_path), autoencoder="a", text="t", sizes=(32,))
    values = {
        "clip_id": [path.stem for path in files],
        "path": [str(path) for path in files],
        "caption": [captions.get(path.name, "") for path in files],
        "source": ["artist"] * len(files),
    }
    batch = {name: np.array(values[name]) for name in COLUMNS}
    rows = ClipEncoder(base, str(tmp_path), "a", "t", (32,))(batch)
    with pytest.raises(UserError, match="none of the 0 files can be used"):
        write_sets(target, cache, base, ["artist", "keyword"])
    storage.write_table(storage.join(target, "rows", "block.parquet"), rows, ROWS)
    assert len(list(rows_of(target))) == 4
    record = write_sets(target, cache, base, ["artist", "keyword"])
    assert record == {
        "clips": {"artist": 2, "keyword": 2},
        "listed": 4,
        "refused": 1,
        "duplicates": 1,
        "stand_ins": {"keyword": "artist"},
    }
    for name in ("artist", "keyword"):
        latents = LatentSet.load(storage.join(target, f"{name}-32.safetensors"), load_autoencoder(base))
        assert len(latents) == 2 and int(latents.length.sum()) == len(latents.frames)
    show(target, record)
    text = capsys.readouterr().out
    assert "set keyword has no usable clip: artist stands for it" in text
    assert "none.mp4" in text and "have no caption" in text and "more are refused" not in text


def write_project(folder: Path, others: Path) -> Path:
    """A project of two videos and three stickers, whose second teacher has other encoders."""
    folder.mkdir()
    frames = [Image.new("RGBA", (48, 48), (0, 0, 0, 0)) for _ in range(12)]
    for step, frame in enumerate(frames):
        ImageDraw.Draw(frame).ellipse((4 + step, 8, 24 + step, 30), fill=(200, 40, 90, 255))
    for number in range(2):
        shown = frames[number:]
        shown[0].save(folder / f"{number}.webp", save_all=True, append_images=shown[1:], duration=60)
    (folder / "captions.csv").write_text("file,caption\n0.webp,a disc slides\n1.webp,another disc slides\n")
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGBA", (64, 64), "red").save(pictures / f"{name}.png")
    (pictures / "captions.csv").write_text("file,caption\na.png,a box\nb.png,a card\nc.png,a bar\n")
    new(folder, pictures, folder / "discs", size=32, steps=2, people="random")
    file = folder / "discs" / "project.py"
    file.write_text(file.read_text() + WITH_OTHERS.format(others=str(others)))
    return file


@pytest.mark.long
@pytest.mark.ray
def test_every_teacher_has_latents_by_its_own_encoders(tiny_foundations: Path, tmp_path: Path) -> None:
    file, runs = write_project(tmp_path / "videos", tiny_foundations), str(tmp_path / "runs")
    project, _ = load_project(file)
    with pytest.raises(UserError, match="holds nothing of project 'discs'; run experiments/prepare"):
        current_latents(runs, project, project.foundation.place)
    prepare.main(runs, str(file))
    base = project.foundation.place
    artifacts = [current_latents(runs, project, recipe.encoders or base) for recipe in project.teachers]
    assert artifacts[0].folder != artifacts[1].folder and artifacts[0] == storage.current(
        runs, "latents", "discs"
    )
    for recipe, artifact, other in zip(project.teachers, artifacts, artifacts[::-1], strict=True):
        assert artifact.record["clips"] == {"videos": 2} and artifact.record["sizes"] == [32]
        TrainingJob.of_recipe(recipe, foundations=base, sets=prepared_sets(artifact)).check()
        with pytest.raises(UserError, match="text of width"):
            TrainingJob.of_recipe(recipe, foundations=base, sets=prepared_sets(other)).check()
