"""Bad files end in a clip or in a sentence: examined in a watched process, where a crash or a hang is a failure."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.trials import soak
from experiments.trials.mutations import MUTATIONS, good_files, mutants
from stickers.video.motion import vector_motion
from stickers.video.reading import probe, read_frames, read_luma, read_video
from stickers.video.source import Source, UnreadableVideoError

#: no file that does not hang takes so long, on however busy a machine
GENEROUS_SECONDS = 120.0


def test_every_mutation_of_every_kind_ends_in_a_clip_or_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "LIMIT_SECONDS", GENEROUS_SECONDS)
    outcomes = list(soak.soak(len(MUTATIONS) * len(good_files()), seed=0))
    assert [outcome for outcome in outcomes if outcome.verdict in soak.FAILURES] == []
    refused = [outcome for outcome in outcomes if outcome.verdict == soak.REFUSED]
    assert refused and len(refused) < len(outcomes)
    for outcome in refused:
        assert outcome.said.startswith("/") and "\n" not in outcome.said and len(outcome.said) < 300, outcome


def test_one_seed_makes_the_same_files() -> None:
    assert mutants(70, seed=3) == mutants(70, seed=3) != mutants(70, seed=4)
    assert {mutant.mutation for mutant in mutants(66, seed=0)} == set(MUTATIONS)


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
