"""The screen has what people need, the log has everything; the name of the log is told once.

The scripts run one after another in one process, because starting one costs seconds. Each is called as Python calls it,
so that descriptors are what they would be.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli.logs import FOLDER, new_log

RUN = """
import json, os, subprocess, sys, logging, warnings
from pathlib import Path
from actors.screen import console, track
from experiments.cli.logs import child_environment
from experiments.cli.options import run_script
from experiments.cli.stages import Stages
from stickers.errors import UserError

LIBRARY, OURS = logging.getLogger("library"), logging.getLogger("stickers.x")

def chatter() -> None:
    handler = logging.StreamHandler()
    LIBRARY.handlers[:] = [handler]
    LIBRARY.warning("library: a warning")
    warnings.warn("library: deprecated", FutureWarning)
    print("library: printed")
    os.write(1, b"library: from C\\n")
    os.write(2, b"library: from C, an error\\n")
    subprocess.run(["sh", "-c", "echo library: a child"])
    OURS.info("ours, in passing")
    OURS.warning("ours, for people")

def works(runs: str = "runs") -> None:
    stages = Stages("first", "second")
    chatter()
    stages.begin("first", "with clips")
    for _ in track(range(3), "encode", unit="clips"):
        pass
    stages.begin("second")
    console.print("result: better than a still")

def breaks(runs: str = "runs") -> None:
    chatter()
    raise KeyError("a fault of ours")

def refuses(runs: str = "runs") -> None:
    raise UserError("there is no recipe 'x'")

def starts_another(runs: str = "runs") -> None:
    Stages("only").begin("only")
    code = "import sys; sys.argv = ['child']; exec(sys.stdin.read()); run_script(works)"
    from actors.screen import screen
    from experiments.cli.stages import NUMBERED
    subprocess.run(
        [sys.executable, "-c", code], input=SOURCE, text=True, check=True,
        stdout=screen.output, stderr=screen.errors, env=child_environment() | {NUMBERED: "1"},
    )
"""
DRIVE = """
import sys, json
SOURCE = sys.stdin.read()
exec(SOURCE)
codes = []
for command in (works, breaks, refuses, starts_another):
    for stream in (sys.stdout, sys.stderr):
        print(f"-- {command.__name__}", file=stream, flush=True)
    sys.argv = [command.__name__, "--runs", f"runs-{command.__name__}"]
    try:
        run_script(command)
    except SystemExit as error:
        codes.append(error.code)
    except KeyError:
        import traceback
        traceback.print_exc()
        codes.append("KeyError")
with open("codes.json", "w") as file:
    json.dump(codes, file)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of four commands, `codes.json`, and what stood on standard output and error."""
    folder = tmp_path_factory.mktemp("commands")
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'platform'}"}
    environment.pop("STICKERS_LOG", None)
    with (folder / "output").open("wb") as output, (folder / "errors").open("wb") as errors:
        subprocess.run(
            [sys.executable, "-c", DRIVE],
            input=RUN.encode(), stdout=output, stderr=errors, cwd=folder, env=environment, check=True, timeout=300,
        )  # fmt: skip
    return folder


def part(ran: Path, command: str, stream: str = "output") -> list[str]:
    """The lines that one of the commands left on the screen."""
    text = (ran / stream).read_text().split(f"-- {command}\n")[1]
    return text.split("-- ")[0].splitlines()


def log_of(ran: Path, command: str) -> Path:
    (path,) = (ran / f"runs-{command}" / "logs").iterdir()
    return path


def test_the_screen_has_no_chatter_and_the_log_has_all(ran: Path) -> None:
    log = log_of(ran, "works")
    assert log.name.startswith("works-") and log.suffix == ".log"
    assert part(ran, "works") == [
        "ours, for people",
        f"log: {log}",
        "stage 1 of 2: first: with clips",
        "encode: 3 of 3 clips, 0 s",
        "stage 2 of 2: second (0 s so far)",
        "result: better than a still",
    ]
    assert part(ran, "works", "errors") == []
    text = log.read_text()
    for words in ("a warning", "deprecated", "printed", "from C", "from C, an error", "a child"):
        assert f"library: {words}\n" in text.replace("FutureWarning: ", "")
    assert "INFO stickers.x: ours, in passing" in text and "WARNING stickers.x: ours, for people" in text


def test_a_traceback_is_on_the_screen_and_in_the_log(ran: Path) -> None:
    errors = "\n".join(part(ran, "breaks", "errors"))
    text = log_of(ran, "breaks").read_text()
    for place in (errors, text):
        assert place.count("Traceback") == 1 and place.count("KeyError: 'a fault of ours'") == 1
    assert "library:" not in errors and part(ran, "breaks")[-1] == f"log: {log_of(ran, 'breaks')}"


def test_a_command_that_is_refused_leaves_one_sentence_and_no_log(ran: Path) -> None:
    codes = json.loads((ran / "codes.json").read_text())
    assert codes == [None, "KeyError", "error: there is no recipe 'x'", None]
    assert part(ran, "refuses") == [] and not (ran / "runs-refuses").exists()


def test_a_command_that_another_starts_writes_to_its_log_and_has_parts(ran: Path) -> None:
    log = log_of(ran, "starts_another")
    assert part(ran, "starts_another") == [
        f"log: {log}",
        "stage 1 of 1: only",
        "ours, for people",
        "part 1 of 2: first: with clips",
        "encode: 3 of 3 clips, 0 s",
        "part 2 of 2: second (0 s so far)",
        "result: better than a still",
    ]
    assert "library: a child" in log.read_text() and not (ran / "runs").exists()


def test_logs_are_named_after_command_and_time_and_never_shared(tmp_path: Path) -> None:
    logs = [new_log("prepare", str(tmp_path / "runs")) for _ in range(3)]
    assert len(set(logs)) == 3 and {log.parent for log in logs} == {tmp_path / "runs" / FOLDER}
    assert all(log.name.startswith("prepare-") and log.suffix == ".log" and log.exists() for log in logs)


@pytest.mark.parametrize("runs", [None, "s3://bucket/runs", "a file/runs"])
def test_where_runs_take_no_log_it_lies_in_the_temporary_folder(
    runs: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert new_log("prepare", runs).parent == tmp_path / "stickers-logs"
