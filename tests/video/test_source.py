"""Times and rates of small clocks worked by hand, and the limits on memory and time."""

from fractions import Fraction
from pathlib import Path

import pytest

from stickers.video.source import (
    MAX_SIDE,
    Clock,
    ReadingLimits,
    Source,
    UnreadableVideoError,
    as_source,
    describe,
    shrunk_size,
)


def info_of(
    ticks: list[int | None], last: int = 1, stated_fps: float | None = None, tick: Fraction = Fraction(1, 10)
):
    """The info of a video of 4x2 pixels with these times, in tenths of a second."""
    return describe(Source("a"), Clock(ticks, tick, last, stated_fps), size=(4, 2), has_alpha=False)


def test_a_steady_rate_is_the_stated_one() -> None:
    info = info_of([3, 4, 5, 6], stated_fps=10)
    assert (info.fps, info.variable_fps, info.num_frames, info.width, info.height) == (10, False, 4, 4, 2)
    assert info.times == pytest.approx((0, 0.1, 0.2, 0.3)) and info.duration == pytest.approx(0.4)


def test_times_count_where_the_stated_rate_contradicts_them() -> None:
    assert info_of([0, 1, 2, 3], stated_fps=30).fps == pytest.approx(10)
    assert info_of([0, 1, 2, 3], stated_fps=10.4).fps == 10.4  # within the tolerance


def test_uneven_gaps_are_a_variable_rate_over_the_full_duration() -> None:
    info = info_of([0, 1, 5, 6], last=4, stated_fps=10)
    assert info.variable_fps and info.duration == pytest.approx(1.0) and info.fps == pytest.approx(4)


def test_absent_times_follow_from_the_stated_rate() -> None:
    for ticks in ([None, None], [5, 5], [5, 4]):
        assert info_of(ticks, stated_fps=4).times == (0, 0.25)
        with pytest.raises(UnreadableVideoError, match="a: the video states no frame rate"):
            info_of(ticks)
    with pytest.raises(UnreadableVideoError, match="states no frame rate"):
        info_of([0], last=0)


def test_a_broken_clock_is_refused() -> None:
    with pytest.raises(UnreadableVideoError, match="claims 100000 frames a second"):
        info_of([0, 1, 2], tick=Fraction(1, 100_000))


def test_a_source_is_a_path_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"video")
    source = as_source(path)
    assert source.read() == b"video" and as_source(source) is source
    assert Source("inside", b"video").read() == b"video"
    path.write_bytes(b"")
    for empty in (source, Source("inside", b"")):
        with pytest.raises(UnreadableVideoError, match=r"the file is empty \(0 bytes\)"):
            empty.read()
    with pytest.raises(UnreadableVideoError, match="there is no such file"):
        Source(str(tmp_path / "absent")).read()


def test_sizes_shrink_in_proportion_and_never_grow() -> None:
    assert shrunk_size((400, 100), 40) == (40, 10)
    assert shrunk_size((400, 1), 40) == (40, 1)
    assert shrunk_size((40, 10), 400) == shrunk_size((40, 10), None) == (40, 10)


def test_limits_on_memory_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ReadingLimits(Source("a"))
    watch.check_size(MAX_SIDE, 1)
    watch.check_length(8, 512, 512)
    watch.check_time()
    for sides in ((MAX_SIDE + 1, 1), (1, 0)):
        with pytest.raises(UnreadableVideoError, match=f"1 to {MAX_SIDE} a side are accepted"):
            watch.check_size(*sides)
    with pytest.raises(UnreadableVideoError, match="take more than 2 GiB"):
        watch.check_length(2049, 512, 512)
    monkeypatch.setattr("stickers.video.source.MAX_SECONDS", -1.0)
    with pytest.raises(UnreadableVideoError, match="more than -1 seconds"):
        watch.check_time()
