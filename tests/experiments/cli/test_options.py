"""How scripts end: what a person can mend in one sentence, a fault of ours with its traceback, Ctrl-C at once."""

import errno
import subprocess
import sys
from collections.abc import Callable

import pytest
from ray.exceptions import RayTaskError
from sqlalchemy.exc import OperationalError

from experiments.cli.options import run_script
from stickers.errors import UserError

INTERRUPTED = """
import os, signal, time
from experiments.cli.options import run_script

def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a background job would ignore
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        time.sleep(0.1)

run_script(main)
"""


def fail(error: Exception, cause: Exception | None = None) -> Callable[[], None]:
    def main() -> None:
        raise error from cause

    return main


FULL = OSError(errno.ENOSPC, "No space left on device", "/runs/x")


@pytest.mark.parametrize(
    ("main", "sentence"),
    [
        (fail(UserError("there is no recipe 'x'")), "error: there is no recipe 'x'"),
        (fail(FULL), "error: No space left on device: /runs/x"),
        (fail(RayTaskError("write", "", FULL)), "error: No space left on device: /runs/x"),
        (
            fail(RuntimeError("the store"), OperationalError("", {}, Exception("database or disk is full"))),
            "error: database or disk is full, in the runs folder",
        ),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(
    main: Callable[[], None], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["script"])
    with pytest.raises(SystemExit) as ended:
        run_script(main)
    assert ended.value.code == sentence


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script"])
    with pytest.raises(KeyError):
        run_script(fail(KeyError("x"), UserError("not the user's")))
    with pytest.raises(ValueError, match="a library's"):
        run_script(fail(ValueError("a library's")))


def test_control_c_ends_at_once_with_one_sentence() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 130 and done.stderr.strip() == "stopped; the same command goes on"
