"""Real files of all kinds become rows; unusable ones have a reason."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from experiments.trials.mutations import encode_webm, good_files, sample_frames
from stickers.artifacts.records import Clip
from stickers.data.collections import VIDEO_SUFFIXES, Listed, list_collection
from stickers.data.manifest import Examined, examine, row_of


def examine_listed(listed: Listed) -> Examined | Clip:
    return examine(row_of(listed, "x"), (32,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind, data in good_files().items():
        (tmp_path / f"good.{kind}").write_bytes(data)
    return tmp_path


def test_every_kind_of_video_is_listed_and_usable(folder: Path) -> None:
    listed = list(list_collection(str(folder), "artist"))
    assert {Path(row.path).suffix for row in listed} == {".apng", ".gif", ".mov", ".mp4", ".webm", ".webp"}
    for row in listed:
        result = examine_listed(row)
        assert isinstance(result, Examined), result
        clip, pixels = result.clip, result.frames[32]
        assert pixels.shape == (12, 32, 32, 4)
        assert (clip.num_frames, clip.fps, clip.width, clip.height) == (12, 12, 48, 48)
        assert clip.has_alpha == (not row.path.endswith("mp4")) and clip.motion_score > 1
        assert (pixels[:, 0, 0, 3] == 0).all(), "the corner is transparent, in MP4 cut out"


def test_an_ending_in_capitals_and_an_animated_png_count(folder: Path) -> None:
    shutil.move(folder / "good.apng", folder / "good.PNG")
    rows = {Path(row.path).name: row for row in list_collection(str(folder), "artist")}
    assert isinstance(examine_listed(rows["good.PNG"]), Examined)
    assert {".gif", ".webp", ".png", ".apng"} < set(VIDEO_SUFFIXES)


def test_stills_and_short_animations_are_refused_with_their_reason(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 40)).save(tmp_path / "still.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "still.webp")
    (tmp_path / "short.webm").write_bytes(encode_webm(sample_frames()[:5], 12))
    results = [examine_listed(row) for row in list_collection(str(tmp_path), "artist")]
    reasons = sorted(row.reason.replace(f"{tmp_path}/", "") for row in results if isinstance(row, Clip))
    assert reasons == [
        "short.webm has 5 frames, at least 8 are needed",
        "still.png: a still PNG picture; animated ones are accepted",
        "still.webp: a still WEBP picture; animated ones are accepted",
    ]
