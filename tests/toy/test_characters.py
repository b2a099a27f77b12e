"""Characters: subjects are told apart, each part of a pose is seen, and areas and shifts are those of the formulas."""

from dataclasses import fields, replace
from itertools import combinations
from math import cos, dist, pi, sin

import numpy as np
import pytest

from stickers.toy.characters import ACCENTS, SCALE, SUBJECTS, Canvas, Look, Pose, draw_character, two_bones

SIZE = 48


def look_of(subject: str) -> Look:
    """An individual of middling proportions, the same for all subjects; tall rabbits reach over the edge."""
    return replace(Look.draw("cat", np.random.default_rng(0)), subject=subject)


def centre_of(picture: np.ndarray) -> np.ndarray:
    """Where the middle of what is seen lies: x and y in pixels."""
    alpha = picture[..., 3].astype(float)
    y, x = np.mgrid[0 : len(alpha), 0 : len(alpha)]
    return np.array([(x * alpha).sum(), (y * alpha).sum()]) / alpha.sum()


def test_subjects_are_many_and_told_apart() -> None:
    assert len(SUBJECTS) >= 12 and len({colour for *_, colour in SUBJECTS.values()}) == len(SUBJECTS)
    pictures = {subject: draw_character(look_of(subject), Pose(), SIZE).astype(float) for subject in SUBJECTS}
    alike = [
        (first, second)
        for first, second in combinations(pictures, 2)
        if np.abs(pictures[first] - pictures[second]).mean() < 0.2
    ]
    assert alike == [("robot", "chick")], "these two differ in colour alone"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_sticker_stands_whole_inside_a_white_outline(subject: str) -> None:
    picture = draw_character(look_of(subject), Pose(), SIZE)
    assert picture.shape == (SIZE, SIZE, 4) and picture.dtype == np.uint8
    alpha = picture[..., 3]
    border = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    assert not border.any(), "nothing is cut by the edge"
    assert alpha[round(0.6 * SIZE), SIZE // 2] == 255
    faint = picture[(alpha > 0) & (alpha < 128)][:, :3]
    assert len(faint) > SIZE and (faint >= 250).mean() > 0.98, "what fades out into nothing is white"


@pytest.mark.parametrize("part", [field.name for field in fields(Pose)])
def test_every_part_of_a_pose_is_seen(part: str) -> None:
    rest = draw_character(look_of("cat"), Pose(), SIZE).astype(int)
    posed = draw_character(look_of("cat"), Pose(**{part: 0.2}), SIZE).astype(int)
    assert np.abs(posed - rest).mean() > 0.02


def test_a_move_shifts_the_whole_by_its_share_of_the_canvas() -> None:
    rest = centre_of(draw_character(look_of("fox"), Pose(), SIZE))
    moved = centre_of(draw_character(look_of("fox"), Pose(dx=0.05, dy=-0.03), SIZE))
    assert moved - rest == pytest.approx(np.array([0.05, -0.03]) * SCALE * SIZE, abs=0.15)


def test_areas_are_those_of_the_shapes() -> None:
    def area(canvas: Canvas) -> float:
        return float(canvas.render()[..., 3].sum()) / 255 / (SCALE * SIZE) ** 2

    ellipse = Canvas(Pose(), SIZE, outline=0.0)
    ellipse.ellipse((0.5, 0.5), 0.3, 0.2, (9, 9, 9), turn=0.4)
    assert area(ellipse) == pytest.approx(pi * 0.3 * 0.2, rel=0.04)
    box = Canvas(Pose(), SIZE, outline=0.0)
    box.polygon([(0.2, 0.3), (0.8, 0.3), (0.8, 0.7), (0.2, 0.7)], (9, 9, 9))
    assert area(box) == pytest.approx(0.6 * 0.4, rel=0.04)
    capsule = Canvas(Pose(), SIZE, outline=0.0)
    capsule.capsule([(0.3, 0.5), (0.7, 0.5)], 0.1, (9, 9, 9))
    radius = 0.1 / SCALE  # thickness is of the canvas, not of the body
    assert area(capsule) == pytest.approx(0.4 * 2 * radius + pi * radius**2, rel=0.04)
    outlined = Canvas(Pose(), SIZE, outline=0.03)
    outlined.capsule([(0.3, 0.5), (0.7, 0.5)], 0.1, (9, 9, 9))
    radius = 0.13 / SCALE
    assert area(outlined) == pytest.approx(0.4 * 2 * radius + pi * radius**2, rel=0.04)


@pytest.mark.parametrize("bend", [0.0, 0.7, -1.2])
def test_two_bones_are_of_one_length_however_they_bend(bend: float) -> None:
    start, elbow, end = two_bones((0.4, 0.3), 0.5, 0.2, bend)
    assert start == (0.4, 0.3) and dist(start, elbow) == pytest.approx(0.1) == dist(elbow, end)
    assert elbow == pytest.approx((0.4 + 0.1 * sin(0.5), 0.3 + 0.1 * cos(0.5)))
    assert end == pytest.approx((elbow[0] + 0.1 * sin(0.5 + bend), elbow[1] + 0.1 * cos(0.5 + bend)))


def test_individuals_of_a_subject_differ_and_stay_near_its_colour() -> None:
    rng = np.random.default_rng(0)
    looks = [Look.draw("frog", rng) for _ in range(40)]
    assert len(set(looks)) == 40 and {look.subject for look in looks} == {"frog"}
    colours = np.array([look.body for look in looks])
    assert np.abs(colours - SUBJECTS["frog"][2]).max() <= 22 and {look.accent for look in looks} <= {*ACCENTS}
    assert Look.draw("frog", np.random.default_rng(5)) == Look.draw("frog", np.random.default_rng(5))
    white = [Look.draw("panda", rng).body for _ in range(40)]
    assert max(map(max, white)) <= 245, "a body is never as white as its outline"
