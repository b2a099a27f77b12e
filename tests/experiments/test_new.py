"""From a stranger's folders to a project: what is written, what is checked, and what is refused in one sentence."""

import csv
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageDraw

from experiments.new import main
from stickers.errors import UserError
from stickers.project import load_project


def write_captions(folder: Path, rows: list[tuple[str, str]]) -> None:
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "caption"), *rows])


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Animated WebP files, as Pillow writes them."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(2):
        frames = []
        for step in range(8):
            frame = Image.new("RGBA", (48, 48), (0, 0, 0, 0))
            ImageDraw.Draw(frame).ellipse((4 + step, 8, 24 + step, 30), fill=(200, 40 * number, 90, 255))
            frames.append(frame)
        frames[0].save(folder / f"{number}.webp", save_all=True, append_images=frames[1:], duration=60)
    write_captions(folder, [("0.webp", "a disc slides"), ("1.webp", "another disc slides")])
    return folder


@pytest.fixture
def stickers(tmp_path: Path) -> Path:
    """Four pictures: one opaque, one oblong, one that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, mode, size in (("a", "RGBA", (64, 64)), ("b", "RGB", (64, 64)), ("c", "RGBA", (64, 40))):
        Image.new(mode, size, "red").save(folder / f"{name}.png")
    (folder / "d.png").write_text("no picture")
    rows = [
        ("a.png", "a box waves"),
        ("b.png", "a card jumps"),
        ("c.png", "a bar bends"),
        ("d.png", "nothing"),
    ]
    write_captions(folder, rows)
    return folder


def test_a_project_is_written_checked_and_loads(
    videos: Path, stickers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cats"
    main(videos=videos, stickers=stickers, out=target, people="random", steps=5, licence="CC0-1.0")
    screen = capsys.readouterr().out
    assert "2 videos, 0 without a caption" in screen and "2 stickers to animate, 1 held out" in screen
    assert "1 of 3 stickers have no alpha" in screen and "1 of 3 stickers are not square" in screen
    assert "d.png is no picture that can be read" in screen and "H100-hours" in screen
    project, _ = load_project(target / "project.py")
    assert project.name == "cats" and project.simulated and project.collections[0].licence == "CC0-1.0"
    assert [recipe.num_steps for recipe in (*project.teachers, *project.students)] == [5, 5, 5]
    to_animate = {prompt.text for prompt in project.stickers.stickers().prompts}
    held_out = {prompt.text for prompt in project.evaluation.stickers.stickers().prompts}
    assert (
        to_animate | held_out == {"a box waves", "a card jumps", "a bar bends"} and not to_animate & held_out
    )
    environment = yaml.safe_load((target / "runtime-env.yaml").read_text())
    job = Path(environment["working_dir"])
    assert (job / "experiments" / "teachers.py").exists() and (job / "project.py").exists()
    assert (
        environment["env_vars"]["STICKERS_REVISION"]
        and environment["env_vars"]["STICKERS_PROJECT"] == "project.py"
    )
    with pytest.raises(UserError, match="holds a project"):
        main(videos=videos, stickers=stickers, out=target)


def test_what_cannot_be_a_project_is_refused_in_one_sentence(
    videos: Path, stickers: Path, tmp_path: Path
) -> None:
    target = tmp_path / "cats"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there are no stickers at"):
        main(videos=videos, stickers=tmp_path / "absent", out=target)
    with pytest.raises(UserError, match=r"has no captions.csv; it needs the columns file and caption"):
        main(videos=videos, stickers=tmp_path / "empty", out=target)
    with pytest.raises(UserError, match="is no foundation: it has no network"):
        main(videos=videos, stickers=stickers, out=target, foundation=tmp_path / "empty")
    (videos / "captions.csv").unlink()
    with pytest.raises(UserError, match="none of the 2 videos in .* has a caption"):
        main(videos=videos, stickers=stickers, out=target)
    assert not target.exists(), "nothing is written before everything is checked"


def test_licences_beside_videos_and_stickers_come_into_the_project(
    videos: Path, stickers: Path, tmp_path: Path
) -> None:
    (videos / "LICENCE").write_text("\n  CC BY 4.0\nThe text of it.\n")
    (stickers / "LICENSE.txt").write_text("MIT License\n")
    main(videos=videos, stickers=stickers, out=tmp_path / "cats", people="random", steps=5)
    project, _ = load_project(tmp_path / "cats" / "project.py")
    assert project.collections[0].licence == "CC BY 4.0" and project.sticker_licence == "MIT License"
    assert "The text of it." in (tmp_path / "cats" / "licences" / "videos.txt").read_text()
    assert (tmp_path / "cats" / "licences" / "stickers.txt").exists()
