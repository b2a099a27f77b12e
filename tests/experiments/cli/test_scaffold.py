"""What a new project is made of: its stickers, its split, its networks, its file."""

import csv
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
from PIL import Image

from experiments.cli.scaffold import (
    COLUMNS,
    Networks,
    StickerRow,
    describe_stickers,
    list_stickers,
    list_videos,
    networks_of,
    render,
    split,
    write_job_folder,
    write_stickers,
)
from stickers.errors import UserError
from stickers.project import load_project
from stickers.toy.video_files import write_captions, write_clip

ROW = StickerRow(prompt="a cat", picture="/a.png", bucket="action", width=64, height=64, has_alpha=True)


def rows_of(count: int) -> list[StickerRow]:
    return [replace(ROW, prompt=f"a cat {number % 10}", picture=f"/{number}.png") for number in range(count)]


def test_a_table_lists_its_pictures_and_refuses_the_others(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 10), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    table = tmp_path / "t.csv"
    table.write_text(
        "prompt,picture,bucket\na cat,a.png,action\n ,a.png,\na dog,b.png,\na fox,c.png,\nan owl,a.png,\n"
    )
    rows, refused = list_stickers(table)
    assert [(row.prompt, row.bucket, row.width, row.height, row.has_alpha) for row in rows] == [
        ("a cat", "action", 20, 10, True),
        ("an owl", "open-ended", 20, 10, True),
    ]
    assert [sentence.partition(": ")[0] for sentence in refused] == [f"{table}, row {n}" for n in (2, 3, 4)]
    assert all(
        reason in sentence
        for reason, sentence in zip(
            ("has no prompt", "no picture that", "there is no picture"), refused, strict=True
        )
    )
    with pytest.raises(UserError, match="there are no stickers at"):
        list_stickers(tmp_path / "none")
    table.write_text("prompt,picture\na dog,b.png\n")
    with pytest.raises(UserError, match="holds no usable sticker"):
        list_stickers(table)


def test_the_split_is_by_prompts_and_always_the_same() -> None:
    rows = rows_of(30)
    to_animate, held_out = split(rows, 0.2)
    assert len(held_out) == 6 and sorted(row.picture for row in to_animate + held_out) == sorted(
        row.picture for row in rows
    )
    assert not {row.prompt for row in to_animate} & {row.prompt for row in held_out}
    assert split(rows[::-1], 0.2)[1] == held_out[::-1]
    with pytest.raises(UserError, match="two prompts or more"):
        split(rows_of(1), 0.2)


def test_stickers_are_written_as_projects_read_them(tmp_path: Path) -> None:
    write_stickers(tmp_path / "s.csv", rows_of(2))
    with (tmp_path / "s.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            [*COLUMNS],
            ["a cat 0", "/0.png", "action"],
            ["a cat 1", "/1.png", "action"],
        ]


def test_a_person_is_told_what_becomes_of_their_stickers() -> None:
    rows = [*rows_of(3), replace(ROW, has_alpha=False, width=32, height=48)]
    sentences = "\n".join(describe_stickers(rows, size=64))
    assert "1 of 4 stickers have no alpha" in sentences and "1 of 4 stickers are not square" in sentences
    assert "smaller than the 64 pixels" in sentences and "most of them 64 x 64 (3)" in sentences
    assert len(describe_stickers(rows_of(3), size=64)) == 1


def test_videos_need_a_caption(tmp_path: Path) -> None:
    clip = write_clip(str(tmp_path), "artist", 0, 0)
    write_captions(str(tmp_path), [clip])
    assert [video.caption for video in list_videos(tmp_path)] == [clip["caption"]]
    (tmp_path / "captions.csv").unlink()
    with pytest.raises(UserError, match="none of the 1 videos in .* has a caption"):
        list_videos(tmp_path)


def test_the_students_network_is_the_smallest(tiny_foundations: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no foundation: it has no network"):
        networks_of(tmp_path)
    base = tmp_path / "base"
    copytree(tiny_foundations, base)
    weights = base / "video_unets" / "consistency" / "diffusion_pytorch_model.safetensors"
    for name in ("motion", "student"):
        larger = base / "video_unets" / name / weights.name
        larger.write_bytes(larger.read_bytes() + b"\0" * 100)
    assert networks_of(base) == Networks(
        teachers=("motion", "student"), student="consistency", prediction="v_prediction", size=64
    )


@pytest.mark.parametrize("people", ["random", "real"])
def test_the_written_project_loads_and_a_job_carries_it(people: str, tmp_path: Path) -> None:
    networks = Networks(teachers=("motion",), student="student", prediction="sample_residual", size=32)
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("stickers.csv", "held-out.csv"):
        write_stickers(folder / name, rows_of(1))
    text = render(
        name="mine",
        videos=tmp_path / "videos",
        foundation=tmp_path / "base",
        networks=networks,
        people=people,
        steps=7,
        size=32,
        video_licence="CC0-1.0",
        sticker_licence="MIT",
    )
    (folder / "project.py").write_text(text)
    project, _ = load_project(folder / "project.py")
    assert (project.name, project.simulated) == ("mine", people == "random")
    assert {recipe.num_steps for recipe in (*project.teachers, *project.students)} == {7}
    assert project.collections[0].licence == "CC0-1.0" and project.foundation.place == str(tmp_path / "base")
    environment = write_job_folder(folder)
    assert write_job_folder(folder) == environment, "a second time it is the same"
    assert f"working_dir: {folder / 'job'}" in environment.read_text()
    assert (folder / "job" / "project.py").resolve() == folder / "project.py"
    assert (folder / "job" / "platform" / "stickers").is_dir()
