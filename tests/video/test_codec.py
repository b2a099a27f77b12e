"""Real files, read back; every way a file can be bad gives one sentence with its name in it."""

import io
import itertools
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stickers.video.clips import on_white
from stickers.video.codec import (
    decode_picture,
    decode_strip,
    encode_animation,
    encode_strip,
    write_video,
)
from stickers.video.reading import probe, read_video
from stickers.video.source import UnreadableVideoError


def moving_ball(num_frames: int = 8, size: int = 64) -> np.ndarray:
    """A red ball crossing; transparent outside, a gradient inside."""
    y, x = np.mgrid[:size, :size]
    frames = np.zeros((num_frames, size, size, 4), np.uint8)
    for t in range(num_frames):
        inside = np.hypot(y - size / 2, x - size * (0.25 + 0.5 * t / num_frames)) < size / 5
        frames[t, ..., 0] = 200
        frames[t, ..., 1] = y * 2
        frames[t, ..., 3] = np.where(inside, 255, 0)
    return frames


# -- videos ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("num_frames", "fps", "size"), [(8, 8, 64), (1, 8, 32), (45, 29.97, 48), (20, 12.5, 40)]
)
def test_mp4_comes_back_on_white(tmp_path: Path, num_frames: int, fps: float, size: int) -> None:
    path = str(tmp_path / "a.mp4")
    frames = moving_ball(num_frames, size)
    write_video(path, frames, fps)
    read, info = read_video(path)
    assert info == probe(path)
    assert (info.num_frames, info.width, info.height, info.has_alpha) == (num_frames, size, size, False)
    assert info.fps == pytest.approx(fps, rel=1e-3)
    assert read.shape == frames.shape and (read[..., 3] == 255).all()
    assert np.abs(read[..., :3].astype(int) - on_white(frames)[..., :3]).mean() < 6


def test_mov_keeps_every_bit_and_alpha(tmp_path: Path) -> None:
    path = str(tmp_path / "a.mov")
    frames = np.random.default_rng(0).integers(0, 256, (5, 33, 47, 4), dtype=np.uint8)
    write_video(path, frames, 10)
    read, info = read_video(path)
    assert (read == frames).all()
    assert (info.num_frames, info.fps, info.width, info.height, info.has_alpha) == (5, 10, 47, 33, True)


def test_max_side_shrinks_while_reading(tmp_path: Path) -> None:
    path = str(tmp_path / "a.mov")
    write_video(path, np.full((3, 60, 120, 4), 77, np.uint8), 10)
    read, info = read_video(path, max_side=40)
    assert read.shape == (3, 20, 40, 4) and (info.width, info.height) == (40, 20)
    assert (read == 77).all()
    assert read_video(path, max_side=4000)[0].shape == (3, 60, 120, 4)


def test_sideways_film_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    frames = np.zeros((2, 20, 40, 4), np.uint8)
    frames[..., 3] = 255
    frames[:, :, :20, 0] = 255  # red on the left as stored
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = 40, 20, "rgba"
        stream.set_display_rotation(270)  # counterclockwise degrees: to be shown turned clockwise once
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
    read, info = read_video(str(path))
    assert read.shape == (2, 40, 20, 4) and (info.width, info.height) == (20, 40)
    assert (read[:, :20, :, 0] == 255).all() and (read[:, 20:, :, 0] == 0).all()  # red is on top now
    assert probe(str(path)) == info


def test_webm_alpha_is_not_lost(tmp_path: Path) -> None:
    path = str(tmp_path / "a.webm")
    frames = moving_ball(6, 64)
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10, options={"lossless": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
    read, info = read_video(path)
    assert info.has_alpha and len(read) == 6
    assert np.abs(read[..., 3].astype(int) - frames[..., 3]).max() <= 2


def test_bad_files_are_named_in_one_sentence(tmp_path: Path) -> None:
    good = tmp_path / "good.mp4"
    write_video(str(good), moving_ball(), 8)
    picture = tmp_path / "picture.mp4"
    Image.new("RGB", (64, 64)).save(picture, "PNG")
    text = tmp_path / "text.mp4"
    text.write_text("this is no video, however long it may become\n" * 200)
    noise = tmp_path / "noise.mov"
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    empty = tmp_path / "empty.mp4"
    empty.touch()
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for bad in (tmp_path / "absent.mp4", tmp_path, picture, text, noise, empty, sound):
        for read in (probe, read_video):
            with pytest.raises(UnreadableVideoError) as caught:
                read(str(bad))
            message = str(caught.value)
            assert message.startswith(str(bad)) and "\n" not in message and len(message) < 400, message


@pytest.mark.parametrize("kind", ["front.mp4", "lossless.mov"])
def test_truncation_is_always_noticed(tmp_path: Path, kind: str) -> None:
    complete = tmp_path / kind
    write_video(str(complete), moving_ball(24), 8)
    data = complete.read_bytes()
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        cut = tmp_path / f"cut-{kind}"
        cut.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(UnreadableVideoError, match="cut-"):
            read_video(str(cut))


def test_mutated_files_give_frames_or_a_sentence(tmp_path: Path) -> None:
    good = tmp_path / "good.mp4"
    write_video(str(good), moving_ball(12), 8)
    data = np.frombuffer(good.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(50):
        mutated = data.copy()
        mutated[rng.integers(0, len(data), 20)] = rng.integers(0, 256, 20)
        path = tmp_path / f"{i}.mp4"
        path.write_bytes(mutated.tobytes())
        try:
            frames, info = read_video(str(path))
        except UnreadableVideoError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert frames.shape == (info.num_frames, info.height, info.width, 4)
    assert refused > 0


def test_write_refuses_what_it_cannot_keep(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even sides, got 33x32"):
        write_video(str(tmp_path / "a.mp4"), np.zeros((2, 32, 33, 4), np.uint8), 8)
    with pytest.raises(ValueError, match=r"\.mp4 or \.mov, not \.avi"):
        write_video(str(tmp_path / "a.avi"), np.zeros((2, 32, 32, 4), np.uint8), 8)
    with pytest.raises(ValueError, match="frame rate"):
        write_video(str(tmp_path / "a.mp4"), np.zeros((2, 32, 32, 4), np.uint8), 0)


# -- strips ---------------------------------------------------------------------------------------


def test_strip_keeps_every_bit_under_zero_alpha_and_equal_frames() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (8, 32, 24, 4), dtype=np.uint8)
    frames[:, :16, :, 3] = 0
    frames[4:] = frames[3]
    assert (decode_strip(encode_strip(frames), 8) == frames).all()
    assert (decode_strip(encode_strip(frames[:1]), 1) == frames[:1]).all()


def test_strip_limits() -> None:
    with pytest.raises(ValueError, match="16383"):
        encode_strip(np.zeros((8, 2100, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="7 equal frames"):
        decode_strip(encode_strip(moving_ball(8, 32)), 7)


# -- animations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("media_type", ["image/webp", "image/apng", "image/gif"])
@pytest.mark.parametrize("fps", [8, 4, 12, 30])
def test_animation_plays_as_long_as_the_clip(media_type: str, fps: float) -> None:
    frames = moving_ball(12)
    frames[5] = frames[4]  # merged by all three formats; its time must not be lost
    frames[11] = frames[10]
    image = Image.open(io.BytesIO(encode_animation(frames, fps, media_type)))
    duration_ms, shown = 0.0, []
    for i in range(image.n_frames):
        image.seek(i)
        image.load()
        duration_ms += image.info["duration"]
        shown.append(np.asarray(image.convert("RGBA")))
    assert image.info["loop"] == 0
    tick_ms = 10 if media_type == "image/gif" else 1
    assert abs(duration_ms - 12 * 1000 / fps) <= tick_ms
    assert all((a != b).any() for a, b in itertools.pairwise(shown))
    alpha = np.stack([shown[0][..., 3], shown[-1][..., 3]])
    assert ((alpha > 127) == (frames[[0, 11], ..., 3] > 127)).all(), "transparency is lost"
    inside = frames[0, ..., 3] == 255
    assert np.abs(shown[0][inside][:, :3].astype(int) - frames[0][inside][:, :3]).mean() < 12


def test_mp4_answer_is_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(encode_animation(moving_ball(), 8, "video/mp4"))
    assert probe(str(path)).num_frames == 8


def test_unknown_animation_is_refused() -> None:
    with pytest.raises(ValueError, match="'image/bmp'"):
        encode_animation(moving_ball(), 8, "image/bmp")
    with pytest.raises(ValueError, match="positive"):
        encode_animation(moving_ball(), 0, "image/gif")


# -- pictures -------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file of Pillow's format `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of the stated size with no pixels behind it: decoding it would need width * height * 4 bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L", "LA", "P", "1", "I;16", "CMYK"])
def test_every_kind_of_picture_becomes_rgba(mode: str) -> None:
    grey = Image.fromarray(np.tile(np.arange(0, 256, 8, dtype=np.uint8), (20, 1)))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert("RGB").convert(mode) if mode != "1" else grey.convert("1")
    picture = decode_picture(encoded(image, "JPEG" if mode == "CMYK" else "PNG"))
    assert picture.shape == (20, 32, 4) and picture.dtype == np.uint8
    assert (picture[..., 3] == 255).all()
    if mode != "1":
        assert np.abs(picture[..., 0].astype(int) - np.asarray(grey)).max() < (60 if mode == "P" else 20)


def test_webp_keeps_alpha_and_jpeg_is_turned_upright() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 4), dtype=np.uint8)
    webp = encoded(Image.fromarray(pixels), "WEBP", lossless=True, exact=True)
    assert (decode_picture(webp) == pixels).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to view
    assert decode_picture(encoded(Image.new("RGB", (24, 16)), "JPEG", exif=exif)).shape == (24, 16, 4)


@pytest.mark.parametrize("side", [4097, 12_000, 20_000])
def test_huge_picture_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(ValueError, match="4096x4096 pixels are accepted"):
        decode_picture(png_header(side, side))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_animation_is_refused(kind: str) -> None:
    frames = [Image.fromarray(frame) for frame in moving_ball(4)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=r"animation of 4 frames|PNG, WebP and JPEG are accepted"):
        decode_picture(data)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"hello" * 100, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_no_picture(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a picture|damaged") as caught:
        decode_picture(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_mutated_pictures_give_pixels_or_a_sentence(kind: str) -> None:
    image = Image.fromarray(moving_ball(1)[0]).convert("RGB")
    data = np.frombuffer(encoded(image, kind), np.uint8)
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(100):
        mutated = data.copy()[: len(data) if i % 2 else rng.integers(8, len(data))]
        mutated[rng.integers(0, len(mutated), 4)] = rng.integers(0, 256, 4)
        try:
            assert decode_picture(mutated.tobytes()).ndim == 3
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 0
