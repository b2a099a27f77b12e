"""A finished network's preview: the same pictures in every run, as a film and a sheet on its MLflow page."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from actors.preview import NUM_CLIPS, Preview, contact_sheet, enlarge, film, png, side_by_side
from actors.tracking import RunTracker, Tracking
from experiments.cli.training import Changes, apply
from recipes.toy.projects import TINY
from stickers.training.job import TrainingJob
from stickers.video.codec import decode_picture


def numbered(count: int, frames: int, side: int) -> np.ndarray:
    """Clips `[B, T, side, side, 4]` whose value is 10 x clip + frame."""
    values = 10 * np.arange(count)[:, None] + np.arange(frames)
    return np.broadcast_to(
        values[:, :, None, None, None].astype(np.uint8), (count, frames, side, side, 4)
    ).copy()


def test_a_film_has_clips_side_by_side_and_a_sheet_has_frames_in_rows() -> None:
    clips = numbered(3, 2, 4)
    assert side_by_side(clips).shape == (2, 4, 12, 4) and side_by_side(clips)[1, 0, ::4, 0].tolist() == [
        1,
        11,
        21,
    ]
    sheet = contact_sheet(clips)
    assert sheet.shape == (12, 8, 4) and sheet[::4, ::4, 0].tolist() == [[0, 1], [10, 11], [20, 21]]
    assert np.array_equal(decode_picture(png(sheet)), sheet)


def test_small_pictures_are_enlarged_and_large_ones_are_not() -> None:
    assert enlarge(numbered(1, 2, 32)).shape == (1, 2, 96, 96, 4)
    assert enlarge(numbered(1, 1, 100)).shape == (1, 1, 100, 100, 4)


def test_the_preview_is_the_first_picture_of_the_first_prompts() -> None:
    stickers = TINY.stickers.stickers()
    preview = Preview.of(stickers, 16)
    assert preview.prompts == tuple(prompt.text for prompt in stickers.prompts[:NUM_CLIPS])
    assert {picture.shape for picture in preview.pictures} == {(16, 16, 4)}


def test_a_network_is_filmed_for_its_page(tiny_foundations: Path, prepared_runs: Path) -> None:
    sets = {
        path.stem.replace("-", "@"): str(path) for path in (prepared_runs / "latents").rglob("*.safetensors")
    }
    recipe = apply(Changes(sampler_num_steps=2, sampler_guided_steps=0), TINY.teachers[0])
    job = TrainingJob.of_recipe(recipe, foundations=str(tiny_foundations), sets=sets)
    tracking = Tracking.open(str(prepared_runs))
    run_id = tracking.run("calm", {"role": "teacher"})
    whole = Preview.of(TINY.stickers.stickers(), job.picture_size)
    preview = Preview(whole.pictures[:2], whole.prompts[:2])
    tracker, unet = RunTracker(tracking.uri, run_id), str(tiny_foundations / "video_unets" / "student")
    film(unet, job, preview, tracker, "cpu")
    film(unet, job, preview, tracker, "cpu", step=3)
    figures = tracking.latest(run_id)
    assert figures["preview/motion_size"] > 0 and 0 <= figures["preview/consistency"] <= 1
    artifacts = {entry.path for entry in tracking.client.list_artifacts(run_id, "previews")}
    assert artifacts == {"previews/preview.mp4", "previews/contact-sheet.png", "previews/step-000003"}
    folder = tracking.client.get_run(run_id).info.artifact_uri.removeprefix("file://")
    sheet = Image.open(io.BytesIO((Path(folder) / "previews" / "contact-sheet.png").read_bytes()))
    assert sheet.size == (96 * job.settings.num_frames, 96 * 2)
