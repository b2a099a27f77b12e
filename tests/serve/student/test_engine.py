"""What people send is fitted to the model, and a folder that holds no model is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stickers.video.clips import cut_out, fit, on_white
from tests.support.student_requests import encoded


def test_any_picture_is_fitted_with_its_subject_cut_out(student_folder: Path) -> None:
    from serve.student.engine import Student

    student = Student.build(str(student_folder))
    green = np.zeros((90, 140, 4), np.uint8)
    green[...] = (20, 200, 60, 255)
    green[30:60, 55:85, :3] = (200, 30, 30)
    request = student.prepare(encoded(green), "  a  box\nhopping ", 3)
    assert request.prompt == "a box hopping"
    assert (request.picture == on_white(fit(cut_out(green[None]), 32))[0]).all()
    assert request.picture[0, 0].tolist() == [255, 255, 255, 0]
    assert request.picture[16, 16, 3] == 255
    jpeg = student.prepare(encoded(green[..., :3], "JPEG"), "a box", 3)
    assert jpeg.picture[0, 0, 3] == 0, "the noise of JPEG must not keep the background"


def test_a_large_photo_is_cut_out_like_a_small_one(student_folder: Path) -> None:
    from serve.student.engine import Student

    student = Student.build(str(student_folder))
    small = np.zeros((128, 128, 4), np.uint8)
    small[...] = (20, 200, 60, 255)
    small[40:90, 30:100, :3] = (200, 30, 30)
    large = small.repeat(24, axis=0).repeat(24, axis=1)
    one, other = (
        student.prepare(encoded(picture), "a box", 3).picture.astype(int) for picture in (small, large)
    )
    assert np.abs(one - other).max() <= 40 and np.abs(one - other).mean() < 2


def test_digest_is_the_models_own(student_folder: Path, tmp_path: Path) -> None:
    from serve.student.engine import Student

    copy = tmp_path / "elsewhere"
    shutil.copytree(student_folder, copy)
    original = Student.build(str(student_folder)).digest
    assert Student.build(str(copy)).digest == original
    config = copy / "pipeline.json"
    config.write_text(config.read_text().replace('"fps": 6', '"fps": 7'))
    assert Student.build(str(copy)).digest != original


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    from serve.student.engine import Student

    with pytest.raises(ValueError, match="no animation model"):
        Student.build(str(tmp_path))
