"""Bad files end in a clip or in a sentence: examined in a watched process, where a crash or a hang is a failure."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from experiments.trials import soak
from experiments.trials.mutations import MUTATIONS, good_files, mutants
from stickers.video.headers import refuse_damaged_mp4
from stickers.video.motion import vector_motion
from stickers.video.reading import probe, read_frames, read_luma, read_video
from stickers.video.source import Source, UnreadableVideo


def test_every_mutation_of_every_kind_ends_in_a_clip_or_a_sentence() -> None:
    outcomes = list(soak.soak(len(MUTATIONS) * len(good_files()), seed=0))
    assert [each for each in outcomes if each.verdict in soak.FAILURES] == []
    refused = [each for each in outcomes if each.verdict == soak.REFUSED]
    assert refused and len(refused) < len(outcomes)
    for each in refused:
        assert each.said.startswith("/") and "\n" not in each.said and len(each.said) < 300, each


def test_one_seed_makes_the_same_files() -> None:
    assert mutants(70, seed=3) == mutants(70, seed=3) != mutants(70, seed=4)
    assert {each.mutation for each in mutants(66, seed=0)} == set(MUTATIONS)


def crash_and_hang(pipe, stderr: str) -> None:
    """Stands where `examine_files` does: one path crashes it, one keeps it busy."""
    pipe.send((soak.USABLE, "ready"))
    while path := pipe.recv():
        if path == "crash":
            multiprocessing.current_process().kill()
        elif path == "hang":
            multiprocessing.Event().wait()
        pipe.send((soak.USABLE, path))


def test_the_watch_sees_a_crash_and_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "examine_files", crash_and_hang)
    monkeypatch.setattr(soak, "LIMIT_SECONDS", 3.0)
    watched = soak.Watched(str(tmp_path))
    watched.start()
    said = [watched.examine(path)[0] for path in ("good", "crash", "good", "hang", "good")]
    watched.process.kill()
    assert said == [soak.USABLE, soak.CRASHED, soak.USABLE, soak.HUNG, soak.USABLE]


@pytest.mark.parametrize(
    "read", [probe, read_video, read_luma, vector_motion, lambda s: read_frames(s, [0, 5])]
)
def test_every_way_of_reading_answers_or_says_why_not(read: Callable[[Source], object]) -> None:
    for mutant in mutants(66, seed=5):
        try:
            read(Source("bad", mutant.data))
        except ValueError as error:
            assert str(error).startswith("bad: ") and "\n" not in str(error), error


def test_single_frames_of_a_file_whose_times_lie_are_still_those_of_the_whole() -> None:
    compared = 0
    for seed in range(60):
        data = MUTATIONS["rate untrue"](good_files()["mp4"], "mp4", np.random.default_rng(seed))
        try:
            whole, _ = read_video(Source("lie", data))
        except UnreadableVideo:
            continue
        if len(whole) > 5:
            assert (read_frames(Source("lie", data), [0, 5, 3]) == whole[[0, 5, 3]]).all()
            compared += 1
    assert compared > 5


@pytest.mark.parametrize("kind", ["apng", "gif", "mov", "mp4", "webm", "webp"])
def test_a_file_that_ends_too_soon_is_always_seen(kind: str) -> None:
    data = good_files()[kind]
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        with pytest.raises(UnreadableVideo, match="cut"):
            read_video(Source("cut", data[: int(len(data) * share)]))


@pytest.mark.parametrize(
    ("kind", "about", "claimed"),
    [
        ("apng", b"IHDR", "4096 a side"),
        ("gif", b"GIF89a", "4096 a side"),
        ("webp", b"VP8X", "4096 a side"),
        ("mov", b"IHDR", "8192 a side|Invalid data"),
    ],
)
def test_giant_pictures_are_refused_before_memory_is_taken(kind: str, about: bytes, claimed: str) -> None:
    data = bytearray(good_files()[kind])
    at = data.find(about) + {b"IHDR": 4, b"GIF89a": 6, b"VP8X": 12}[about]
    data[at : at + 2] = b"\x7f\x7f"
    for read in (probe, read_video):
        with pytest.raises(UnreadableVideo, match=claimed):
            read(Source("giant", bytes(data)))


def test_a_table_of_more_frames_than_bytes_is_refused() -> None:
    data = bytearray(good_files()["mov"])
    at = data.find(b"stsz")
    data[at + 8 : at + 16] = (1).to_bytes(4, "big") + (1 << 31).to_bytes(4, "big")
    with pytest.raises(UnreadableVideo, match="claims 2147483648 frames, for which it has no room"):
        read_video(Source("a.mov", bytes(data)))


def test_boxes_within_boxes_end_somewhere() -> None:
    depth = 20_000
    nested = b"".join((8 * (depth - i)).to_bytes(4, "big") + b"moov" for i in range(depth))
    refuse_damaged_mp4("nested", memoryview(nested))


def test_a_file_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stickers.video.source.MAX_SECONDS", -1.0)
    for kind in ("mp4", "gif"):
        with pytest.raises(UnreadableVideo, match="more than -1 seconds"):
            read_video(Source("slow", good_files()[kind]))
