"""Motion scores against FFmpeg's own filter, against motion known by construction and against sums worked by hand."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from experiments.benchmarks.reading import draw_frames, filter_scores, write_h264
from experiments.trials.mutations import good_files
from stickers.video.motion import (
    frame_motion,
    luma_motion,
    mean_length,
    motion_score,
    reference_distances,
    vector_motion,
    window_score,
)
from stickers.video.packets import Index, index_packets, opened, serves_others
from stickers.video.reading import read_luma
from stickers.video.source import Source

VECTOR = np.dtype(
    [
        ("source", "<i4"), ("w", "u1"), ("h", "u1"), ("src_x", "<i2"), ("src_y", "<i2"), ("dst_x", "<i2"),
        ("dst_y", "<i2"), ("flags", "<u8"), ("motion_x", "<i4"), ("motion_y", "<i4"), ("motion_scale", "<u2"),
    ],
    align=True,
)  # fmt: skip


# -- vmafmotion -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("size", [16, 30, 96, 256])
def test_scores_print_as_ffmpeg_s_do(tmp_path: Path, size: int, pix_fmt: str) -> None:
    frames = draw_frames(np.random.default_rng(size), size, 10)[:, : size - 6]  # not square
    path = write_h264(tmp_path / "a.mp4", frames, {"preset": "veryfast"}, pix_fmt)
    with av.open(path) as container:
        theirs = filter_scores(list(container.decode(video=0)))
    ours = luma_motion(*read_luma(path))
    assert ours.dtype == np.float32 and ours[0] == 0 and ours[1:].min() > 0
    assert [f"{score:.2f}" for score in ours] == theirs


def test_the_integers_are_ffmpeg_s_in_every_pixel() -> None:
    """The filter's definition, computed pixel by pixel."""

    def mirrored(index: int, length: int) -> int:
        return abs(index) if abs(index) < length else 2 * length - 1 - index

    taps = np.array([1785, 8002, 13193, 8002, 1785])
    luma = np.random.default_rng(0).integers(0, 256, (3, 7, 9), dtype=np.uint8)
    blurred = np.zeros(luma.shape, np.int64)
    for t, frame in enumerate(luma.astype(np.int64)):
        down = np.zeros_like(frame)
        for y, x in np.ndindex(frame.shape):
            down[y, x] = sum(tap * frame[mirrored(y + k - 2, 7), x] for k, tap in enumerate(taps)) >> 8
        for y, x in np.ndindex(frame.shape):
            blurred[t, y, x] = sum(tap * down[y, mirrored(x + k - 2, 9)] for k, tap in enumerate(taps)) >> 15
    expected = np.abs(np.diff(blurred, axis=0)).sum(axis=(1, 2)) / (63 * 128)
    assert luma_motion(luma)[1:] == pytest.approx(expected, rel=1e-6)


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    luma = np.random.default_rng(0).integers(0, 1024, (3, 70, 50), dtype=np.uint16)
    unbanded = luma_motion(luma, 10)
    monkeypatch.setattr("stickers.video.motion.BAND_PIXELS", 150)
    assert (luma_motion(luma, 10) == unbanded).all()
    for height, width in ((1, 1), (2, 3), (3, 1)):
        assert luma_motion(luma[:, :height, :width], 10).shape == (3,)


def test_a_still_scores_nothing_and_a_flash_its_height() -> None:
    still = np.full((4, 20, 20, 4), 100, np.uint8)
    assert motion_score(still) == 0
    still[2:, ..., :3] = 160
    still[..., 3] = 255
    scores = frame_motion(still)
    assert scores == pytest.approx([0, 0, 60, 0], abs=0.01)
    assert motion_score(still) == pytest.approx(15, abs=0.01)  # the first frame counts


def test_colour_under_zero_alpha_does_not_move() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 20, 20, 4), dtype=np.uint8)
    frames[..., 3] = 0
    assert motion_score(frames) == 0


def test_a_window_leaves_out_the_difference_to_what_came_before_it() -> None:
    scores = np.array([0, 1, 2, 30, 4, 5], np.float32)
    assert window_score(scores, 0, 3) == 1.5
    assert window_score(scores, 3, 6) == 4.5  # the cut into frame 3 is not in it
    assert window_score(scores, 2, 3) == 0
    for first, last in ((3, 3), (-1, 2), (0, 7)):
        with pytest.raises(ValueError, match="does not lie in a video of 6 frames"):
            window_score(scores, first, last)


def test_wrong_luma_is_named() -> None:
    with pytest.raises(ValueError, match="uint16 of 8 bits"):
        luma_motion(np.zeros((2, 8, 8), np.uint16))
    with pytest.raises(ValueError, match="without a zero"):
        luma_motion(np.zeros((0, 8, 8), np.uint8))


# -- motion vectors -------------------------------------------------------------------------------


def drift(path: Path, step: tuple[int, int], options: dict[str, str], codec: str = "libx264") -> str:
    """A texture that moves `step` (down, right) pixels a frame, and comes in again on the other side."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    texture = np.asarray(small.resize((128, 128), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options)
        stream.width = stream.height = 128
        for t in range(24):
            pixels = np.roll(texture, (t * step[0], t * step[1]), (0, 1))
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24"))
            )
        container.mux(stream.encode(None))
    return str(path)


@pytest.mark.parametrize("bframes", ["0", "3"])
@pytest.mark.parametrize("step", [(0, 3), (4, 3), (0, 0)])
def test_known_motion_is_read_from_the_vectors(tmp_path: Path, step: tuple[int, int], bframes: str) -> None:
    path = drift(tmp_path / "a.mp4", step, {"bf": bframes, "refs": "1", "b-pyramid": "none"})
    scores = vector_motion(path)
    assert scores is not None and scores.shape == (24,) and scores[0] == 0
    assert scores[1:] == pytest.approx(np.hypot(*step), abs=0.15 * np.hypot(*step) + 1e-6)
    assert np.mean(scores[1:]) == pytest.approx(np.hypot(*step), rel=0.03)


def test_frames_without_vectors_score_as_their_neighbours(tmp_path: Path) -> None:
    path = drift(tmp_path / "a.mp4", (0, 3), {"bf": "0", "refs": "1", "g": "6"})
    with av.open(path) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert kinds.count(1) == 4
    scores = vector_motion(path)
    assert scores is not None and scores[0] == 0 and scores[1:] == pytest.approx(3, abs=0.2)


def test_only_h264_has_vectors_to_read(tmp_path: Path) -> None:
    assert vector_motion(drift(tmp_path / "a.mp4", (0, 3), {}, codec="mpeg4")) is None
    assert vector_motion(drift(tmp_path / "b.mp4", (0, 3), {"g": "1"})) is None  # nothing but key frames
    for kind in ("webm", "gif", "mov"):
        assert vector_motion(Source(kind, good_files()[kind])) is None


def vectors(*rows: tuple[int, int, int, int, int, int, int]) -> np.ndarray:
    """(source, w, h, dst_x, dst_y, motion_x, motion_y), in quarter pixels."""
    records = np.zeros(len(rows), VECTOR)
    for name, column in zip(("source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_y"), zip(*rows)):
        records[name] = column
    records["motion_scale"] = 4
    return records


def test_mean_length_by_hand() -> None:
    # a picture of 32 x 16: two macroblocks
    one = (-1, 16, 16, 8, 8, 12, 16)  # (3, 4) pixels: 5 long
    assert mean_length(vectors(one), 32, 16) == 2.5  # the other block holds none and counts as zero
    assert mean_length(vectors(one, (-1, 8, 16, 20, 8, 0, 8)), 32, 16) == 2.5 + 2 / 4  # by area
    assert mean_length(vectors(one), 32, 16, past=2) == 1.25
    assert mean_length(vectors((-2, *one[1:])), 32, 16) == 1.25  # two frames away, by the decoder's own word
    both = (1, 16, 16, 8, 8, 4, 0)  # of the same block, to the other side
    assert mean_length(vectors(one, both), 32, 16) == (5 + 1) / 2 / 2
    assert mean_length(vectors(one, both), 32, 16, past=5, future=1) == (1 + 1) / 2 / 2
    assert mean_length(vectors(one), 30, 10) == 2.5  # coded as whole macroblocks
    assert mean_length(vectors()[:0], 32, 16) == 0


def test_distances_by_hand() -> None:
    """Shown I B B P B P; in the file I P B B P B, of which only I and P are references."""
    index = Index(packets=[], order=[0, 2, 3, 1, 5, 4], ticks=[0, 1, 2, 3, 4, 5], last=1)
    is_reference = [True, True, False, False, True, False]
    assert reference_distances(index, is_reference) == {
        0: (1, 1),
        1: (1, 2),
        2: (2, 1),
        3: (3, 1),
        4: (1, 1),
        5: (2, 1),
    }


def test_distances_of_a_real_file_follow_from_the_kinds_of_its_frames(tmp_path: Path) -> None:
    path = drift(tmp_path / "a.mp4", (0, 3), {"bf": "3", "b-pyramid": "none"})
    with av.open(path) as container:
        both_ways = [frame.pict_type == 3 for frame in container.decode(video=0)]
    with opened(Source(path), num_threads=1) as film:
        index = index_packets(film)
        is_reference = [serves_others(film, packet) for packet in index.packets]
        distances = reference_distances(index, is_reference)
    assert 4 < sum(both_ways) < 20
    for number, tick in enumerate(index.ticks):
        past = next((k for k in range(1, number + 1) if not both_ways[number - k]), 1)
        future = next(k for k in range(1, 24) if not both_ways[number + k]) if both_ways[number] else 1
        assert distances[tick] == (past, future)
