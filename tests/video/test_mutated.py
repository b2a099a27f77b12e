"""Bad files end in a clip or in a sentence, however they are read."""

from collections.abc import Callable

import numpy as np
import pytest

from experiments.trials.mutations import MUTATIONS, good_files, mutants
from stickers.video.motion import vector_motion
from stickers.video.reading import probe, read_frames, read_luma, read_video
from stickers.video.source import Source, UnreadableVideoError


@pytest.mark.parametrize(
    "read", [probe, read_video, read_luma, vector_motion, lambda s: read_frames(s, [0, 5])]
)
def test_every_way_of_reading_answers_or_says_why_not(read: Callable[[Source], object]) -> None:
    for mutant in mutants(66, seed=5):
        try:
            read(Source("bad", mutant.data))
        except ValueError as error:
            assert str(error).startswith("bad: ") and "\n" not in str(error), error


def test_single_frames_of_a_file_with_wrong_times_are_still_those_of_the_full_video() -> None:
    compared = 0
    for seed in range(60):
        data = MUTATIONS["rate untrue"](good_files()["mp4"], "mp4", np.random.default_rng(seed))
        try:
            frames, _ = read_video(Source("lie", data))
        except UnreadableVideoError:
            continue
        if len(frames) > 5:
            assert (read_frames(Source("lie", data), [0, 5, 3]) == frames[[0, 5, 3]]).all()
            compared += 1
    assert compared > 5


def test_a_file_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stickers.video.source.MAX_SECONDS", -1.0)
    for kind in ("mp4", "gif"):
        with pytest.raises(UnreadableVideoError, match="more than -1 seconds"):
            read_video(Source("slow", good_files()[kind]))
