"""The oracle: a sticker is its prompt and index, and every true clip holds its picture."""

import numpy as np

from stickers.toy.motions import MOTIONS
from stickers.toy.oracle import GRIDS, draw_sticker, landmarks, look_of, truths


def test_the_oracle_holds_the_still_at_the_conditioning_frame() -> None:
    clips = truths("a fox", 1, size=32, num_frames=8, still_at=3)
    still = draw_sticker("a fox", 1, 32)
    assert len(clips) == 3 * 60 and all(np.array_equal(clip[3], still) for clip in clips)
    marks, motions = landmarks("a fox", 1, size=32, num_frames=8, still_at=3)
    assert len(marks) == len(motions) and set(motions) == set(MOTIONS)


def test_a_prompt_and_an_index_are_one_individual() -> None:
    assert look_of("a fox waving", 0) == look_of("a fox waving", 0)
    individuals = {look_of(prompt, index) for prompt in ("a fox waving", "a fox jumping") for index in (0, 1)}
    assert len(individuals) == 4 and {look.subject for look in individuals} == {"fox"}


def test_a_prompt_of_one_motion_admits_that_one_alone() -> None:
    waving = truths("a cat waving", 0, size=16, num_frames=4, still_at=1)
    assert waving.shape == (len(GRIDS["coarse"]), 4, 16, 16, 4)
    marks, motions = landmarks("a cat waving", 0, size=16, num_frames=4, still_at=1)
    assert motions.count("wave") == len(GRIDS["landmarks"]) == len(marks) // len(MOTIONS)
    fine = truths("a cat waving", 0, size=16, num_frames=4, still_at=1, grid="fine")
    assert len(fine) == len(GRIDS["fine"]) > len(waving)
    assert (waving[:, 1] == fine[0, 1]).all(), "all pass through one picture"
