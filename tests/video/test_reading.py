"""Animations, bytes, times and single frames, read back from real files whose every frame is known."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from experiments.trials.mutations import encode_webm, good_files, sample_frames
from stickers.video.codec import write_video
from stickers.video.packets import index_packets, opened, serves_others, stands_alone
from stickers.video.reading import probe, read_frames, read_luma, read_video
from stickers.video.source import Source, UnreadableVideo


def drifting(num_frames: int, size: int = 64) -> np.ndarray:
    """A texture on its way to the lower right, uint8 RGBA."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 4), dtype=np.uint8))
    texture = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC)).copy()
    texture[..., 3] = 255
    return np.stack([np.roll(texture, (t, 2 * t), (0, 1)) for t in range(num_frames)])


def encode(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    ticks: list[int] | None = None,
    **options: str,
) -> str:
    """Write frames; `ticks` are their times in hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        if ticks:
            stream.codec_context.time_base = Fraction(1, 100)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pix_fmt)
            if ticks:
                frame.pts, frame.time_base = ticks[number], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)


def saved(frames: np.ndarray, kind: str, **options: object) -> bytes:
    images = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


# -- animations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["apng", "gif", "webp"])
def test_animations_are_videos_with_alpha_and_times(kind: str) -> None:
    frames = sample_frames()
    source = Source(f"a.{kind}", good_files()[kind])
    read, info = read_video(source)
    assert probe(source) == info and read.shape == frames.shape and info.has_alpha
    assert (info.fps, info.duration, info.variable_fps) == (12, 1, False)
    assert info.times == pytest.approx(np.arange(12) / 12, abs=0.006)
    assert ((read[..., 3] > 127) == (frames[..., 3] > 127)).all()
    seen = frames[..., 3] == 255
    assert np.abs(read[seen][:, :3].astype(int) - frames[seen][:, :3]).mean() < 8


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_frames_that_store_only_what_changed_are_put_together(kind: str) -> None:
    frames = drifting(6, 40)
    frames[1:, :20] = frames[0, :20]  # the upper half stands still, so files leave it out
    data = saved(frames, kind, duration=50, **({"lossless": True} if kind == "WEBP" else {}))
    assert (read_video(Source("a", data))[0] == frames).all()


def test_gif_frames_drawn_over_one_another_pile_up_as_in_a_browser() -> None:
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    images = [palette.copy() for _ in range(3)]
    images[1].paste(1, (0, 0, 4, 8))
    images[2].paste(1, (0, 0, 4, 8))
    images[2].paste(2, (4, 0, 8, 8))
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=100, disposal=1)
    read, _ = read_video(Source("a.gif", buffer.getvalue()))
    assert (read[1, :, :4, :3] == (0, 255, 0)).all() and (read[1, :, 4:, :3] == (255, 0, 0)).all()
    assert (read[2, :, :4, :3] == (0, 255, 0)).all() and (read[2, :, 4:, :3] == (0, 0, 255)).all()


def test_each_frame_keeps_its_own_time_and_none_counts_as_a_tenth() -> None:
    durations_ms = [40, 200, 0, 10, 100, 50, 30, 20]
    for kind in ("GIF", "PNG", "WEBP"):
        read, info = read_video(Source("a", saved(drifting(8, 32), kind, duration=durations_ms)))
        shown = [each if each > 10 else 100 for each in durations_ms]
        assert len(read) == 8 and info.variable_fps
        assert info.times == pytest.approx(np.cumsum([0, *shown[:-1]]) / 1000)
        assert info.duration == pytest.approx(sum(shown) / 1000)
        assert info.fps == pytest.approx(8 / info.duration)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_a_still_picture_is_refused(kind: str) -> None:
    data = saved(drifting(1, 32), kind)
    for read in (probe, read_video):
        with pytest.raises(UnreadableVideo, match=f"a.still: a still {kind} picture; animated ones"):
            read(Source("a.still", data))


def test_the_picture_for_those_who_cannot_animate_is_no_frame() -> None:
    frames = drifting(5, 32)
    read, info = read_video(Source("a", saved(frames, "PNG", duration=100, default_image=True)))
    assert info.num_frames == 4 and (read == frames[1:]).all()


def test_animations_shrink_while_they_are_read() -> None:
    frames = np.full((4, 30, 60, 4), 255, np.uint8)
    frames[..., :3] = np.arange(90, 94)[:, None, None, None]
    read, info = read_video(Source("a", saved(frames, "PNG")), max_side=20)
    assert read.shape == (4, 10, 20, 4) and (info.width, info.height) == (20, 10)
    assert (read == frames[:, :10, :20]).all()


# -- bytes and times ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["apng", "gif", "mov", "mp4", "webm", "webp"])
def test_bytes_are_read_as_files_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(good_files()[kind])
    inside = Source("shard.tar/a", path.read_bytes())
    (read, info), (other, same) = read_video(path), read_video(inside)
    assert info == same == probe(str(path)) == probe(inside) and (read == other).all()
    assert (read_frames(inside, [3, 5]) == read[[3, 5]]).all()
    with pytest.raises(UnreadableVideo, match="^shard.tar/a: the file is empty"):
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
def test_a_steady_rate_is_steady_whatever_the_clock(fps: float) -> None:
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

FILMS = {
    "default.mp4": ("libx264", {}),
    "short-gop.mp4": ("libx264", {"g": "7"}),
    "open-gop.mkv": ("libx264", {"g": "8", "x264-params": "open-gop=1:bframes=3"}),
    "no-b.mp4": ("libx264", {"bf": "0"}),
    "refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:keyint=10:bframes=0"}),
    "annex-b.ts": ("libx264", {"g": "9"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=10:log-level=none"}),
    "part2.mp4": ("mpeg4", {"g": "10", "bf": "2"}),
    "vp8.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10", "g": "12"}),
    "vp9.webm": ("libvpx-vp9", {"g": "12", "cpu-used": "8"}),
}


@pytest.mark.parametrize("name", FILMS)
def test_single_frames_are_those_of_the_whole(tmp_path: Path, name: str) -> None:
    codec, options = FILMS[name]
    path = encode(tmp_path / name, drifting(40), codec, **options)
    whole, info = read_video(path)
    assert info == probe(path) and info.num_frames == 40
    rng = np.random.default_rng(0)
    assert (read_frames(path, range(info.num_frames)) == whole).all()
    for _ in range(12):
        wanted = rng.integers(0, info.num_frames, 8)  # in any order, some twice
        assert (read_frames(path, wanted) == whole[wanted]).all()
    small = read_frames(path, [30, 2], max_side=20, num_threads=2)
    assert (small == read_video(path, max_side=20)[0][[30, 2]]).all()


def test_single_frames_keep_alpha(tmp_path: Path) -> None:
    frames = sample_frames()
    write_video(str(tmp_path / "a.mov"), frames, 10)
    assert (read_frames(tmp_path / "a.mov", [11, 0, 5]) == frames[[11, 0, 5]]).all()
    for kind in ("gif", "webp", "apng", "webm"):
        source = Source(kind, good_files()[kind])
        assert (read_frames(source, [11, 0, 5]) == read_video(source)[0][[11, 0, 5]]).all()


def test_a_frame_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", drifting(10))
    for indices, said in (
        ([3, 10], "no frame 10"),
        ([500], "no frame 500"),
        ([-1], "from 0"),
        ([], "from 0"),
    ):
        with pytest.raises(ValueError, match=said):
            read_frames(path, indices)
    with pytest.raises(ValueError, match="no frame 12"):
        read_frames(Source("a.gif", good_files()["gif"]), [12])


def test_decoding_starts_late_and_leaves_out_what_serves_nothing(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", drifting(60), g="20", sc_threshold="0")
    with opened(Source(path), num_threads=1) as film:
        index = index_packets(film)
        starts = [i for i, packet in enumerate(index.packets) if stands_alone(film, packet)]
        spared = [packet for packet in index.packets if not serves_others(film, packet)]
    assert starts == [0, 20, 40] and len(spared) > 10
    with opened(Source(path), num_threads=1) as film:
        assert len(index_packets(film, 8).packets) < 40


def test_a_gradual_refresh_is_no_place_to_start(tmp_path: Path) -> None:
    codec, options = FILMS["refresh.mp4"]
    path = encode(tmp_path / "a.mp4", drifting(40), codec, **options)
    with opened(Source(path), num_threads=1) as film:
        packets = index_packets(film).packets
        assert sum(packet.is_keyframe for packet in packets) > 1
        assert [stands_alone(film, packet) for packet in packets] == [True] + [False] * 39


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


def test_what_has_no_luma_says_so(tmp_path: Path) -> None:
    write_video(str(tmp_path / "a.mov"), sample_frames(), 10)
    for source in (tmp_path / "a.mov", Source("a.gif", good_files()["gif"])):
        with pytest.raises(UnreadableVideo, match="luma"):
            read_luma(source)
