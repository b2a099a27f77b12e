"""What sampling does to motion that is known, on a few drawn videos."""

import numpy as np
import pytest

from experiments.studies.frame_sampling import (
    KINDS,
    NUM_FRAMES,
    SIZE,
    Drawn,
    buckets_of,
    draw_videos,
    luma_away,
    ratio,
    show_buckets,
    show_conditioning,
    spread,
    windows,
)


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return draw_videos(4, seed=1)


def test_drawn_videos_have_known_speeds(drawn: Drawn) -> None:
    assert len(drawn.frames) == len(drawn.captions) == len(drawn.speeds) == 4 and (drawn.speeds > 0).all()
    assert {frames.shape[1:] for frames in drawn.frames} == {(SIZE, SIZE, 4)}
    for video in range(4):
        times = drawn.times(video)
        assert len(times) == len(drawn.frames[video]) and (np.diff(times) > 0).all()


def test_a_window_begins_at_one_place_whatever_the_rate(drawn: Drawn) -> None:
    slow, fast = list(windows(drawn, 4)), list(windows(drawn, 8))
    assert {len(window) for window in slow + fast} == {NUM_FRAMES}
    assert all(a[-1] - a[0] > b[-1] - b[0] for a, b in zip(slow, fast, strict=True))
    assert all(np.array_equal(*pair) for pair in zip(fast, windows(drawn, 8), strict=True))


def test_spreads_compare(drawn: Drawn) -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert spread(2 * values) == pytest.approx(spread(values)) and spread(np.ones(3)) == 0
    assert ratio(values, values) == "1.00 [1.00, 1.00]"
    frames = np.zeros((2, 4, 4, 4), np.uint8)
    frames[1, ..., :3] = 10
    assert luma_away(frames, 0) == pytest.approx(5.0)


def test_both_tables_have_every_way(drawn: Drawn, capsys: pytest.CaptureFixture[str]) -> None:
    buckets = buckets_of(drawn, "vmaf", (4, 8))
    assert buckets.rates == (4, 8) and len(buckets.edges) == 1
    show_buckets(drawn, drawn, (4, 8))
    show_conditioning(drawn, 8)
    text = capsys.readouterr().out
    assert "4 clips, rates (4, 8)" in text and "conditioning frame of 4 clips at 8 fps" in text
    assert all(kind in text for kind in KINDS)
