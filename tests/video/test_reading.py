"""Bytes, times, single frames and luma, read back from real files whose every frame is known."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from experiments.trials.mutations import encode_webm, good_files, sample_frames
from stickers.video.codec import write_video
from stickers.video.reading import probe, read_frames, read_luma, read_video
from stickers.video.source import Source, UnreadableVideoError
from tests.support.films import FILMS, drifting, encode

# -- bytes and times ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["apng", "gif", "mov", "mp4", "webm", "webp"])
def test_bytes_are_read_as_files_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(good_files()[kind])
    inside = Source("shard.tar/a", path.read_bytes())
    (read, info), (other, same) = read_video(path), read_video(inside)
    assert info == same == probe(str(path)) == probe(inside) and (read == other).all()
    assert (read_frames(inside, [3, 5]) == read[[3, 5]]).all()
    with pytest.raises(UnreadableVideoError, match="^shard.tar/a: the file is empty"):
        read_video(Source("shard.tar/a", b""))


@pytest.mark.parametrize("kind", ["mp4", "mkv", "webm"])
def test_times_of_a_variable_rate(tmp_path: Path, kind: str) -> None:
    ticks = [0, 4, 8, 20, 24, 60, 64, 68, 72, 100]
    codec = "libvpx-vp9" if kind == "webm" else "libx264"
    path = encode(tmp_path / f"a.{kind}", drifting(10), codec, ticks=ticks)
    _, info = read_video(path)
    assert info == probe(path) and info.variable_fps
    assert info.times == pytest.approx(np.array(ticks) / 100, abs=0.001)
    assert info.duration >= 1.0 and info.fps == pytest.approx(10 / info.duration)


@pytest.mark.parametrize("fps", [8, 23.976, 24, 29.97, 30, 50, 60])
def test_a_steady_rate_is_steady_on_any_clock(fps: float) -> None:
    for kind in ("webm", "mp4"):
        frames = sample_frames()
        if kind == "webm":
            data = encode_webm(frames, fps)
            info = probe(Source("a", data))
        else:
            buffer = io.BytesIO()
            with av.open(buffer, "w", format="mp4") as container:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                stream.width = stream.height = 48
                for pixels in frames:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
                container.mux(stream.encode(None))
            info = probe(Source("a", buffer.getvalue()))
        assert not info.variable_fps and info.fps == pytest.approx(fps, rel=2e-3)
        assert info.duration == pytest.approx(12 / fps, abs=0.003)


# -- single frames --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILMS)
def test_single_frames_are_those_of_the_full_video(tmp_path: Path, name: str) -> None:
    codec, options = FILMS[name]
    path = encode(tmp_path / name, drifting(40), codec, **options)
    frames, info = read_video(path)
    assert info == probe(path) and info.num_frames == 40
    rng = np.random.default_rng(0)
    assert (read_frames(path, range(info.num_frames)) == frames).all()
    for _ in range(12):
        indices = rng.integers(0, info.num_frames, 8)  # in any order, with repetitions
        assert (read_frames(path, indices) == frames[indices]).all()
    small = read_frames(path, [30, 2], max_side=20, num_threads=2)
    assert (small == read_video(path, max_side=20)[0][[30, 2]]).all()


def test_single_frames_keep_alpha(tmp_path: Path) -> None:
    frames = sample_frames()
    write_video(str(tmp_path / "a.mov"), frames, 10)
    assert (read_frames(tmp_path / "a.mov", [11, 0, 5]) == frames[[11, 0, 5]]).all()
    for kind in ("gif", "webp", "apng", "webm"):
        source = Source(kind, good_files()[kind])
        assert (read_frames(source, [11, 0, 5]) == read_video(source)[0][[11, 0, 5]]).all()


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", drifting(10))
    for indices, message in (
        ([3, 10], "no frame 10"),
        ([500], "no frame 500"),
        ([-1], "from 0"),
        ([], "from 0"),
    ):
        with pytest.raises(ValueError, match=message):
            read_frames(path, indices)
    with pytest.raises(ValueError, match="no frame 12"):
        read_frames(Source("a.gif", good_files()["gif"]), [12])


# -- luma -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pix_fmt", "bits"), [("yuv420p", 8), ("yuv420p10le", 10), ("yuv444p", 8)])
def test_luma_is_the_file_s_own(tmp_path: Path, pix_fmt: str, bits: int) -> None:
    path = encode(tmp_path / "a.mp4", drifting(5, 50), pix_fmt=pix_fmt)
    luma, read_bits = read_luma(path)
    assert luma.shape == (5, 50, 50) and read_bits == bits
    with av.open(path) as container:
        planes = [frame.to_ndarray() for frame in container.decode(video=0)]
    expected = [plane[0] if pix_fmt == "yuv444p" else plane[:50] for plane in planes]
    assert (luma == np.stack(expected)).all()


def test_files_without_luma_are_refused(tmp_path: Path) -> None:
    write_video(str(tmp_path / "a.mov"), sample_frames(), 10)
    for source in (tmp_path / "a.mov", Source("a.gif", good_files()["gif"])):
        with pytest.raises(UnreadableVideoError, match="luma"):
            read_luma(source)
