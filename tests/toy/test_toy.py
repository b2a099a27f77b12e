"""The toy world: real files, a gap between domains, motion that nothing fixes, and an honest hold-out."""

import numpy as np
import pytest

from stickers.toy import words
from stickers.toy.characters import SUBJECTS, Look
from stickers.toy.motions import MOTIONS, Mode, grid_of_modes, render_motion, render_still
from stickers.toy.oracle import draw_sticker, landmarks, truths
from stickers.toy.video_files import COLLECTIONS, write_clip
from stickers.video.reading import probe


def test_there_are_at_least_twelve_subjects_and_motions_over_three_buckets():
    assert len(SUBJECTS) >= 12 and len(MOTIONS) >= 12
    assert {words.BUCKET_OF[motion] for motion in MOTIONS} == {"action", "emotion", "open-ended"}


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_mode_passes_through_the_still_and_differs_elsewhere(motion):
    look = Look.draw("dragon", np.random.default_rng(0))
    still = render_still(look, 48).astype(int)
    modes = grid_of_modes(amplitudes=2, speeds=2, lags=1)
    clips = [render_motion(look, motion, mode, np.arange(8) - 3, 48).astype(int) for mode in modes]
    for clip in clips:
        assert np.array_equal(clip[3], still)
        assert np.abs(np.diff(clip, axis=0)).mean() > 0.3
    for i, one in enumerate(clips):
        for other in clips[i + 1 :]:
            assert np.abs(one - other).mean() > 0.2


def test_no_two_motions_look_alike():
    look = Look.draw("fox", np.random.default_rng(0))
    mode = Mode(hz=1 / 8)
    clips = [render_motion(look, motion, mode, np.arange(8) - 3, 32).astype(float) for motion in MOTIONS]
    gaps = [np.abs(a - b).mean() for i, a in enumerate(clips) for b in clips[i + 1 :]]
    assert min(gaps) > 1.0


def test_hold_out_takes_every_motion_and_subject_in_turn():
    held = words.pairs(held=True)
    assert len(held) == 24 and not set(held) & set(words.pairs(held=False))
    assert {motion for _, motion in held} == set(MOTIONS)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_collections_hold_no_held_out_pair(collection, tmp_path):
    """Neither drawn nor said: no caption names one, not even one that is wrong about its clip."""
    captions = [write_clip(str(tmp_path), collection, index, seed=3)["caption"] for index in range(40)]
    rng = np.random.default_rng(0)
    captions += [words.noisy_caption(*pair, rng) for pair in words.pairs(held=False) for _ in range(30)]
    phrases = {phrase: motion for motion, many in words.PHRASES.items() for phrase in many}
    named = [
        (subject, motion)
        for caption in captions
        for subject in SUBJECTS
        for phrase, motion in phrases.items()
        if subject in caption and phrase in caption
    ]
    assert len(named) > 100 and not any(words.held_out(*pair) for pair in named)


def test_files_are_as_real_collections_look(tmp_path):
    rows = [write_clip(str(tmp_path), name, i, seed=0) for name in COLLECTIONS for i in range(12)]
    found = [probe(str(tmp_path / row["file"])) for row in rows]
    assert {row["file"].rpartition(".")[2] for row in rows} == {"mp4", "mov"}
    assert len({info.width for info in found}) >= 3 and len({info.fps for info in found}) >= 4
    assert all(8 <= info.fps <= 30 and info.num_frames >= 8 for info in found)
    assert all(
        info.has_alpha for row, info in zip(rows, found, strict=True) if row["file"].startswith("artist")
    )
    noisy = [row["caption"] for row in rows if row["file"].startswith("neighbours")]
    assert any(not caption or caption.startswith("IMG") for caption in noisy) or len(set(noisy)) == len(noisy)


def test_the_same_seed_and_index_draw_the_same_file(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    for folder in (one, two):
        for index in range(4, 10):
            write_clip(str(folder), "keyword", index, seed=9)
    for first in one.iterdir():
        assert first.read_bytes() == (two / first.name).read_bytes()


def test_prompts_read_back_and_single_subjects_admit_several_motions():
    rng = np.random.default_rng(0)
    for subject, motion in words.pairs(held=False):
        said = words.meaning(words.prompt(subject, motion, rng))
        assert (said.subject, said.motions) == (subject, (motion,))
    assert words.meaning("a fox").motions == words.BUCKETS["open-ended"]
    with pytest.raises(ValueError, match="none of the toy subjects"):
        words.meaning("a teapot waving")


def test_the_oracle_holds_the_still_at_the_conditioning_frame():
    clips = truths("a fox", 1, size=32, num_frames=8, still_at=3)
    still = draw_sticker("a fox", 1, 32)
    assert len(clips) == 3 * 60 and all(np.array_equal(clip[3], still) for clip in clips)
    every, motions = landmarks("a fox", 1, size=32, num_frames=8, still_at=3)
    assert len(every) == len(motions) and set(motions) == set(MOTIONS)
