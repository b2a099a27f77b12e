"""What people see: bars that move on a terminal, lines now and then elsewhere, and an end that the pace foretells."""

import io
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from actors import screen
from actors.screen import BYTES, Bar, Bars, duration, track, watching


def plain_console() -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    return Console(file=output, width=120), output


def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A monotonic clock that moves when it is told to."""
    now = [1000.0]
    monkeypatch.setattr(screen.time, "monotonic", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


def test_where_nobody_watches_a_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    move = clock(monkeypatch)
    console, output = plain_console()
    with Bar("encode", 100, "clips", bars=Bars(console)) as bar:
        for _ in range(100):
            move(2.0)
            bar.advance()
    lines = output.getvalue().splitlines()
    assert lines[0].startswith("encode: 15 of 100 clips") and lines[-1] == "encode: 100 of 100 clips, 3 min"
    assert len(lines) == 7, "every 30 seconds, and at the end"
    # a Pace tells an interval; the middle of the work has 100 seconds left
    assert " left, until about " in lines[3]


def test_quick_work_is_one_line_with_its_note() -> None:
    console, output = plain_console()
    with Bar("train", 3, "steps", bars=Bars(console)) as bar:
        for step in range(1, 4):
            bar.update(step, f"loss 0.{step}")
    assert output.getvalue() == "train: 3 of 3 steps, loss 0.3, 0 s\n"


def test_work_that_breaks_off_says_how_far_it_came() -> None:
    console, output = plain_console()
    with pytest.raises(KeyError), Bar("hash", 9, "files", bars=Bars(console)) as bar:
        bar.advance(4)
        raise KeyError("x")
    assert output.getvalue() == "hash: 4 of 9 files\n"


def test_an_unknown_total_and_bytes() -> None:
    assert Bar("list", unit="files", done=1200).amount == "1,200 files"
    assert Bar("fetch", 2_000_000, BYTES, done=500_000).amount == "500.0 kB of 2.0 MB"
    assert [duration(seconds) for seconds in (0.4, 119, 150, 9000)] == ["0 s", "119 s", "2 min", "2.5 h"]


def test_on_a_terminal_bars_of_one_console_stand_below_each_other_and_stay() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120)
    bars = Bars(console)
    with Bar("outer", 2, "parts", bars=bars) as outer, Bar("inner", 4, "clips", bars=bars) as inner:
        console.print("a word in between")
        inner.update(4, "all [good]")
        outer.advance()
    text = output.getvalue()
    last = text[text.rindex("outer") :]
    assert "1 of 2 parts" in last and "4 of 4 clips" in last and "all [good]" in last
    assert text.index("a word in between") < text.rindex("outer") and bars.progress is None


def test_track_counts_what_is_done_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2, 3], "count", unit="numbers")) == [1, 2, 3]
    assert list(track(iter("ab"), "spell")) == ["a", "b"]
    assert capsys.readouterr().out == "count: 3 of 3 numbers, 0 s\nspell: 2\n"


def test_work_that_cannot_tell_is_looked_at() -> None:
    console, output = plain_console()
    counts = iter([1, 2])
    with watching(Bar("decode", 2, "files", bars=Bars(console)), lambda: next(counts, 2), every=0.01):
        time.sleep(0.1)
    assert output.getvalue() == "decode: 2 of 2 files, 0 s\n"
