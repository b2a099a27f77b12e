"""A gate in the processes that a test starts: a function of ours waits at its nth call until the test lets it go on.

A test that kills something in the middle of its work must know that it is in the middle. Watching for a sign of that
and then being quick is a race, which the test loses on a busy machine. Here the work waits for the test instead.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from tests.support.processes import wait_for

FOLDER = Path(__file__).with_name("gating")


@dataclass(frozen=True)
class Gate:
    """A closed gate. Each process passes it `free_calls` times; later calls wait.

    `folder` is the gate's own, on a disk that the processes share with the test.
    """

    folder: Path
    function: Callable[..., Any]
    free_calls: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.close()

    def variables(self) -> dict[str, str]:
        """The environment variables that give the gate to a process and its children."""
        paths = [str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
        gate = {
            "module": self.function.__module__,
            "name": self.function.__qualname__,
            "free_calls": self.free_calls,
            "folder": str(self.folder),
        }
        return {"PYTHONPATH": os.pathsep.join(paths), "STICKERS_TEST_GATE": json.dumps(gate)}

    def environment(self) -> dict[str, str]:
        """This process's environment with the gate."""
        return {**os.environ, **self.variables()}

    def close(self) -> None:
        for arrival in self.folder.glob("arrived-*"):
            arrival.unlink()
        (self.folder / "closed").touch()

    def open(self) -> None:
        (self.folder / "closed").unlink()

    def arrivals(self) -> int:
        """How many processes have reached the gate since it was closed."""
        return len(list(self.folder.glob("arrived-*")))

    def wait(self, process: "Popen[Any]", log: Path | None = None, arrivals: int = 1) -> None:
        """Wait until `arrivals` processes stand at the gate. AssertionError: `process`, their parent, ended."""
        wait_for(lambda: self.arrivals() >= arrivals or process.poll() is not None)
        assert process.poll() is None, log.read_text()[-6000:] if log else f"ended with {process.returncode}"
