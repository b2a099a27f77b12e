"""Planted faults do what their names say, to any clip, and leave the clip that they are given as it is."""

import numpy as np
import pytest

from stickers.metrics.clip_checks import FLAGS
from stickers.toy.faults import (
    FAULTS,
    Fault,
    burning,
    coded_still,
    cut_by_the_edge,
    noisy_still,
    nothing,
    one_empty_frame,
    pulsing,
    shuffled,
    still,
    two_in_turn,
)
from stickers.toy.motions import Mode, render_motion
from stickers.toy.oracle import look_of
from stickers.video.clips import on_white

CLIP = render_motion(look_of("a cat waving", 0), "wave", Mode(hz=1 / 20), np.arange(9), 32)
CLIP.flags.writeable = False


def apply(fault: Fault, seed: int = 0) -> np.ndarray:
    return fault(CLIP, np.random.default_rng(seed))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_gives_another_clip_of_as_many_frames(fault: Fault) -> None:
    clip = apply(fault)
    assert clip.dtype == np.uint8 and len(clip) == len(CLIP) and clip.shape[-1] == 4
    assert not np.array_equal(clip, CLIP) and np.array_equal(clip, apply(fault)), "a seed decides"
    assert FAULTS[fault] in FLAGS


def test_frozen_clips_show_one_frame() -> None:
    assert (apply(still) == CLIP[0]).all()
    noisy = apply(noisy_still).astype(int)
    assert 1 <= np.abs(noisy - CLIP[0]).max() <= 3 and (noisy[..., 3] == CLIP[0, ..., 3]).all()
    assert len({frame.tobytes() for frame in noisy}) == len(CLIP), "each time with other noise"
    coded = apply(coded_still)
    assert (coded[..., 3] == 255).all()
    differences = np.abs(coded[..., :3].astype(int) - on_white(CLIP[:1])[..., :3])
    assert 0 < differences.mean() < 12, "near the frame, as a coder leaves it"


def test_flickering_clips_go_to_and_fro() -> None:
    turns = apply(two_in_turn)
    assert (turns[::2] == turns[0]).all() and (turns[1::2] == turns[1]).all()
    assert (turns[1] == np.roll(CLIP[0], 4, axis=1)).all()
    order = [[(frame == other).all() for other in CLIP].index(True) for frame in apply(shuffled)]
    assert order == [0, 8, 1, 7, 2, 6, 3, 5, 4]
    pulse = apply(pulsing).astype(int)
    assert (pulse[::2] == CLIP[::2]).all() and (pulse[1::2, ..., 3] == CLIP[1::2, ..., 3]).all()
    assert np.abs(pulse[1::2, ..., :3] - CLIP[1::2, ..., :3].astype(int) * 2 / 3).max() <= 1


def test_clipped_clips_burn_out_or_lose_their_edges() -> None:
    burnt = apply(burning).astype(int)
    assert (burnt[0] == CLIP[0]).all()
    for number, frame in enumerate(CLIP.astype(int)):
        factor = 1 + 5 * number / (len(CLIP) - 1)
        assert np.abs(burnt[number, ..., :3] - np.minimum(factor * frame[..., :3], 255)).max() <= 1
    assert (burnt[..., 3] == CLIP[..., 3]).all()
    assert (apply(cut_by_the_edge) == CLIP[:, 8:24, 8:24]).all()


def test_empty_frames_show_nothing() -> None:
    assert not apply(nothing)[..., 3].any()
    for seed in range(20):
        empty = [not frame.any() for frame in apply(one_empty_frame, seed)]
        assert sum(empty) == 1 and not empty[0] and not empty[-1]
