"""Libraries talk into a log below the runs folder, so that the screen has what people need.

While a command runs, its standard output and error lead into the log. So the log also takes what C++ code, child
processes and Ray's workers print. The console of `actors.screen` keeps the screen. A Ray job has a log of its own, in
which all of it goes.
"""

import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.markup import escape

from actors.screen import LOG_FORMAT, OUR_LOGGERS, console, log_to_errors, screen

#: the log of the command that started this one; both write into it
LOG = "STICKERS_LOG"
#: set by Ray for the driver of a job
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
FOLDER = "logs"
OUTPUT, ERRORS = 1, 2
#: the lines of a log that tell how a process ended
TAIL_LINES = 30


@contextmanager
def keeping_log(command: str, runs: str | None) -> Iterator[None]:
    """Send everything into a log for as long as the block lasts, but for what the console prints.

    The log is told when long work begins or, where something stands in it, at the end; an empty one that nobody was
    told of is removed.

    Args:
        command: the name of the script.
        runs: the runs folder; a log of a command that has none, or has one elsewhere, lies in the temporary folder.
    """
    if JOB in os.environ:
        log_to_errors()
        screen.takes_chatter = True
        yield
        return
    inherited = os.environ.get(LOG)
    path = Path(inherited) if inherited else new_log(command, runs)
    is_told = True
    try:
        with path.open("ab") as file, _redirected(file.fileno()), _our_loggers():
            screen.log, screen.takes_chatter, screen.is_log_told = str(path), True, bool(inherited)
            try:
                yield
            finally:
                _flush()
                if screen.log_size():
                    screen.tell_log()
                is_told = screen.is_log_told
                screen.log, screen.takes_chatter, screen.is_log_told = "", False, True
    finally:
        if not is_told:
            _remove(path)


def new_log(command: str, runs: str | None) -> Path:
    """An empty log that is named after the command and the time."""
    name = f"{command}-{time.strftime('%Y%m%d-%H%M%S')}"
    folders = [Path(tempfile.gettempdir(), "stickers-logs")]
    if runs is not None and "://" not in runs:
        folders.insert(0, Path(runs).expanduser().resolve() / FOLDER)
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(1, 1000):
                path = folder / f"{name}{f'-{number}' if number > 1 else ''}.log"
                try:
                    path.touch(exist_ok=False)
                except FileExistsError:
                    continue
                return path
        except OSError:
            if folder is folders[-1]:
                raise
    raise AssertionError(f"{folders[-1]} takes no log")


def _remove(path: Path) -> None:
    """Remove an empty log, and the folders that were made for it alone."""
    path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        try:
            folder.rmdir()
        except OSError:  # it holds something
            return


@contextmanager
def _redirected(log: int) -> Iterator[None]:
    """Standard output and error lead to a file descriptor; the screen is what they were."""
    _flush()
    before = os.dup(OUTPUT), os.dup(ERRORS)
    screen.output, screen.errors = (_line_by_line(descriptor) for descriptor in before)
    os.dup2(log, OUTPUT)
    os.dup2(log, ERRORS)
    try:
        yield
    finally:
        _flush()
        for descriptor, standard in zip(before, (OUTPUT, ERRORS), strict=True):
            os.dup2(descriptor, standard)
        for stream in (screen.output, screen.errors):
            stream.close()
        screen.output = screen.errors = None


def _flush() -> None:
    """Write out what standard output and error hold back; what a full disk does not take is dropped."""
    for stream, descriptor in ((sys.stdout, OUTPUT), (sys.stderr, ERRORS)):
        try:
            stream.flush()
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), descriptor)
            stream.flush()


def _line_by_line(descriptor: int) -> TextIO:
    return os.fdopen(descriptor, "w", buffering=1, encoding=sys.stdout.encoding, errors="backslashreplace")


class _ScreenHandler(logging.Handler):
    """Warnings of ours are for people."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(f"[yellow]{escape(record.getMessage())}", highlight=False, soft_wrap=True)


@contextmanager
def _our_loggers() -> Iterator[None]:
    """Our loggers write to the log from INFO on, and warnings to the screen too."""
    loggers = [logging.getLogger(name) for name in OUR_LOGGERS]
    before = [(logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    to_log, to_screen = logging.StreamHandler(), _ScreenHandler(logging.WARNING)
    to_log.setFormatter(logging.Formatter(LOG_FORMAT))
    for logger in loggers:
        logger.handlers[:], logger.propagate = [to_log, to_screen], False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
            logger.handlers[:], logger.propagate = handlers, propagate
            logger.setLevel(level)


def log_error(sentence: str) -> None:
    """Write the exception that is handled to the log: a sentence where a person can mend it, else its traceback.

    Args:
        sentence: empty for a fault of ours. A sentence alone is no reason to keep a log.
    """
    if not screen.log:
        return
    try:
        if not sentence:
            traceback.print_exc()
        elif screen.log_size():
            print(f"error: {sentence}", file=sys.stderr)
    except OSError:  # the disk is full; the screen says all the same why the command ends
        return


def child_environment() -> dict[str, str]:
    """The environment of a command that this one starts: it writes to the same log."""
    return {**os.environ, **({LOG: screen.log} if screen.log else {})}


def tail_of(start: int) -> str:
    """The last lines of what stands in the log from a byte on; nothing where there is no log."""
    if not screen.log:
        return ""
    with Path(screen.log).open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])
