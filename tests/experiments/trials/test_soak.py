"""Bad files examined in a watched process: a crash or a hang there is a failure, and ends nothing else."""

import io
import multiprocessing
from pathlib import Path

import pytest
from rich.console import Console

from experiments.trials import soak
from experiments.trials.mutations import MUTATIONS, good_files
from experiments.trials.soak import FileOutcome

#: no file that does not hang takes so long, on however busy a machine
GENEROUS_SECONDS = 120.0


def test_every_mutation_of_every_kind_ends_in_a_clip_or_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "LIMIT_SECONDS", GENEROUS_SECONDS)
    outcomes = list(soak.soak(len(MUTATIONS) * len(good_files()), seed=0))
    assert [outcome for outcome in outcomes if outcome.verdict in soak.FAILURES] == []
    refused = [outcome for outcome in outcomes if outcome.verdict == soak.REFUSED]
    assert refused and len(refused) < len(outcomes)
    for outcome in refused:
        assert outcome.reason.startswith("/"), outcome
        assert "\n" not in outcome.reason and len(outcome.reason) < 300, outcome


def crash_and_hang(pipe, _stderr: str) -> None:
    """Takes the part of `examine_files`: one path crashes it, one makes it hang."""
    pipe.send((soak.USABLE, "ready"))
    while path := pipe.recv():
        if path == "crash":
            multiprocessing.current_process().kill()
        elif path == "hang":
            multiprocessing.Event().wait()
        pipe.send((soak.USABLE, path))


def test_the_watch_sees_a_crash_and_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "examine_files", crash_and_hang)
    watched = soak.Watched(str(tmp_path))
    watched.start()
    verdicts = []
    for path in ("good", "crash", "good", "hang", "good"):
        # what hangs never answers, however short the limit
        monkeypatch.setattr(soak, "LIMIT_SECONDS", 0.5 if path == "hang" else GENEROUS_SECONDS)
        verdicts.append(watched.examine(path)[0])
    watched.process.kill()
    assert verdicts == [soak.USABLE, soak.CRASHED, soak.USABLE, soak.HUNG, soak.USABLE]


def test_failures_are_told_one_by_one() -> None:
    screen = io.StringIO()
    outcomes = [
        FileOutcome("mp4", "cut off", soak.USABLE, 0.1, "12 frames"),
        FileOutcome("gif", "cut off", soak.CRASHED, 3.0, "the process ended with status -9"),
        FileOutcome("gif", "no frames", soak.REFUSED, 0.2, "it holds no frame"),
    ]
    soak.show(outcomes, Console(file=screen, width=160))
    text = screen.getvalue()
    assert "3 mutated files" in text and "slowest: 3.00 s, gif, cut off, crashed" in text
    assert (
        "crashed: gif, cut off: the process ended with status -9" in text and "it holds no frame" not in text
    )
