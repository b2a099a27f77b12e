"""What people see of a command: one console, and how far each piece of work is.

Work shows as bars on a terminal and as a line now and then elsewhere. `experiments/cli/logs.py` sends everything else
that a process prints into a log.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TextIO, TypeVar, cast

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from stickers.candidates.progress import Pace

T = TypeVar("T")
#: where nobody watches: seconds between two lines of one piece of work, and when it comes sooner, the share of the
#: work that is new and the seconds that have passed
LINE_EVERY, LINE_SHARE, LINE_SOONEST = 30.0, 0.25, 5.0
#: seconds between two figures of a pace
PACE_EVERY = 1.0
#: seconds between two looks at work that cannot tell how far it is
LOOK_EVERY = 3.0
#: counts that are bytes
BYTES = "bytes"
#: seconds up to which a duration is told in seconds, minutes up to which it is told in minutes
MOST_SECONDS, MOST_MINUTES = 120, 120
#: the packages whose loggers are ours
OUR_LOGGERS = ("stickers", "actors", "recipes", "serve", "experiments")
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Screen:
    """Where people read: standard output, or what that was before a log took its place."""

    def __init__(self) -> None:
        self.output: TextIO | None = None
        self.errors: TextIO | None = None
        #: the log that takes what libraries print; empty when there is none
        self.log = ""
        #: whether libraries may talk, because a log or a job's output takes it
        self.takes_chatter = False
        self.is_log_told = True

    @property
    def encoding(self) -> str:
        """How text becomes bytes."""
        return self._target.encoding

    def write(self, text: str) -> int:
        """As a text file does."""
        return self._target.write(text)

    def flush(self) -> None:
        """As a text file does."""
        self._target.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._target.isatty()

    def fileno(self) -> int:
        """The file descriptor."""
        return self._target.fileno()

    @property
    def _target(self) -> TextIO:
        return self.output or sys.stdout

    def log_size(self) -> int:
        """Bytes that stand in the log."""
        return Path(self.log).stat().st_size if self.log else 0

    def tell_log(self) -> None:
        """Say once where the log is."""
        if not self.is_log_told:
            self.is_log_told = True
            console.print(f"log: {self.log}", highlight=False, markup=False, soft_wrap=True)


screen = Screen()
#: the console of every command
console = Console(file=cast(IO[str], screen))


def log_to_errors() -> None:
    """Our loggers write to standard error from INFO on: for a job's driver and for workers, whose output is kept."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(LOG_FORMAT))
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers[:] = [handler]
        logger.propagate = False  # else a library that sets up the root logger would print it again


class Bar:
    """How far one piece of work is. Use it as a context manager.

    Args:
        description: what is done, a few words.
        total: how much there is to do; none when nobody knows.
        unit: what is counted, in the plural; `BYTES` are shown in kB, MB or GB.
        done: how much of it is there already.
        pace: what estimates the end; by default one that takes every item for itself.
    """

    def __init__(
        self,
        description: str,
        total: float | None = None,
        unit: str = "",
        *,
        done: float = 0,
        pace: Pace | None = None,
        bars: "Bars | None" = None,
    ) -> None:
        self.description, self.total, self.unit, self.done = description, total, unit, done
        self.note = ""
        self.bars = bars or shared_bars
        self.task: TaskID | None = None
        self.pace = pace or Pace(1)
        self.began = self.last_line = self.last_figure = 0.0
        self.line_done = done
        self.is_open = False

    def __enter__(self) -> "Bar":
        self.open()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def open(self) -> None:
        """Show it; the work begins now."""
        self.began = self.last_line = self.last_figure = time.monotonic()
        self.pace.add(self.began, int(self.done))
        self.is_open = True
        self.bars.add(self)

    def close(self) -> None:
        """The work has ended, done or not; the last figures stay on the screen. Again, or unopened, it does nothing."""
        if self.is_open:
            self.is_open = False
            self.bars.remove(self)

    def advance(self, count: float = 1) -> None:
        """So much more is done."""
        self.update(self.done + count)

    def update(self, done: float, note: str | None = None) -> None:
        """So much is done in all.

        Args:
            note: a few words beside the figures; they stay until there are others.
        """
        self.done = done
        self.note = self.note if note is None else note
        now = time.monotonic()
        if now - self.last_figure >= PACE_EVERY:
            self.last_figure = now
            self.pace.add(now, int(done))
        self.bars.refresh(self, now)

    @property
    def amount(self) -> str:
        """The figures in words: 12 of 40 clips."""
        if self.unit == BYTES:
            figures = [
                decimal(int(self.done)),
                *([decimal(int(self.total))] if self.total is not None else []),
            ]
            return " of ".join(figures)
        figures = [f"{self.done:,.0f}", *([f"{self.total:,.0f}"] if self.total is not None else [])]
        return f"{' of '.join(figures)} {self.unit}".rstrip()

    def expected_end(self) -> str:
        """What is left, and when that will be; empty while too little is known."""
        if self.total is None:
            return ""
        remaining = self.pace.remaining(time.monotonic(), int(self.total - self.done))
        if remaining is None or not remaining.likely:
            return ""
        end = time.strftime("%H:%M", time.localtime(time.time() + remaining.likely))
        return f"{remaining} left, until about {end}"

    @property
    def line(self) -> str:
        """All of it in one plain line."""
        is_done = self.total is not None and self.done >= self.total
        end = duration(time.monotonic() - self.began) if is_done else self.expected_end()
        return f"{self.description}: {', '.join(filter(None, (self.amount, self.note, end)))}"


class Bars:
    """The bars of one console: on a terminal they move, elsewhere each prints a line now and then."""

    def __init__(self, output: Console) -> None:
        self.output = output
        self.lock = threading.RLock()
        self.progress: Progress | None = None
        self.num_open = 0

    @staticmethod
    def of(output: Console) -> "Bars":
        """The bars of a console; there is one set for the console that commands share."""
        return shared_bars if output is console else Bars(output)

    def add(self, bar: Bar) -> None:
        """Show another bar."""
        screen.tell_log()
        with self.lock:
            self.num_open += 1
            if not self.output.is_terminal:
                return
            if self.progress is None:
                self.progress = _moving_bars(self.output)
                self.progress.start()
            bar.task = self.progress.add_task(
                escape(bar.description), total=bar.total, completed=int(bar.done), bar=bar
            )

    def refresh(self, bar: Bar, now: float) -> None:
        """Show what a bar says now."""
        with self.lock:
            if self.progress is not None and bar.task is not None:
                self.progress.update(bar.task, completed=bar.done, total=bar.total)
                return
            waited, share = now - bar.last_line, (bar.done - bar.line_done) / (bar.total or float("inf"))
            if waited >= LINE_EVERY or (waited >= LINE_SOONEST and share >= LINE_SHARE):
                self._print_line(bar, now)

    def remove(self, bar: Bar) -> None:
        """The work has ended; the last figures stay on the screen."""
        with self.lock:
            self.num_open -= 1
            if self.progress is None or bar.task is None:
                self._print_line(bar, time.monotonic())
                return
            self.progress.update(bar.task, completed=bar.done, total=bar.total)
            self.progress.stop_task(bar.task)
            if not self.num_open:
                self.progress.stop()
                self.progress = None

    def _print_line(self, bar: Bar, now: float) -> None:
        bar.last_line, bar.line_done = now, bar.done
        self.output.print(bar.line, highlight=False, markup=False, soft_wrap=True)


shared_bars = Bars(console)


class _Figures(ProgressColumn):
    """What a bar says of itself in words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def render(self, task: Task) -> Text:
        """The text of one task's bar."""
        bar: Bar = task.fields["bar"]
        return Text(
            {"amount": bar.amount, "note": bar.note, "end": "" if task.finished else bar.expected_end()}[
                self.text
            ]
        )


def _moving_bars(output: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), _Figures("amount"), _Figures("note"))
    # what others print meanwhile is not for the screen
    return Progress(
        *columns,
        TimeElapsedColumn(),
        _Figures("end"),
        console=output,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def track(items: Iterable[T], description: str, total: float | None = None, unit: str = "") -> Iterator[T]:
    """The items, with a bar that shows how many of them are done with.

    Args:
        total: how many there are, where their length does not tell.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with Bar(description, total, unit) as bar:
        for item in items:
            yield item
            bar.advance()


@contextmanager
def watching(bar: Bar, count: Callable[[], int], every: float = LOOK_EVERY) -> Iterator[None]:
    """Show how far work has come that cannot tell it itself, until the block ends.

    Args:
        count: how much is done.
        every: seconds between two looks.
    """
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(every):
            bar.update(count())

    with bar:
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            bar.update(count())


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < MOST_SECONDS:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < MOST_MINUTES else f"{minutes / 60:.1f} h"
