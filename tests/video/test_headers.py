"""Files whose headers do not hold: refused before a decoder spends memory on them."""

import io

import pytest
from PIL import Image

from experiments.trials.mutations import good_files
from stickers.video.headers import (
    animation_format,
    claimed_size,
    refuse_cut_gif,
    refuse_cut_matroska,
    refuse_damaged_mp4,
    webp_durations,
)
from stickers.video.reading import probe, read_video
from stickers.video.source import Source, UnreadableVideoError


@pytest.mark.parametrize(("kind", "name"), [("GIF", "gif"), ("WEBP", "webp"), ("PNG", "apng")])
def test_headers_tell_format_and_size(kind: str, name: str) -> None:
    data = good_files()[name]
    assert animation_format(data[:16]) == kind and animation_format(good_files()["mp4"][:16]) is None
    assert claimed_size(data, kind) == (48, 48) and claimed_size(data[:6], kind) == (0, 0)


def test_durations_of_a_webp_are_those_its_frames_were_saved_with() -> None:
    frames = [Image.new("RGBA", (9, 7), (40 * number, 0, 0, 255)) for number in range(4)]
    buffer, durations = io.BytesIO(), [40, 100, 17, 65_535]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=durations)
    data = buffer.getvalue()
    assert webp_durations("a.webp", data) == durations
    still = io.BytesIO()
    frames[0].save(still, "WEBP")
    assert webp_durations("b.webp", still.getvalue()) == []
    for length in (len(data) - 5, len(data) // 2, 15):
        with pytest.raises(UnreadableVideoError, match="truncated or damaged at byte"):
            webp_durations("a.webp", data[:length])


def test_each_check_passes_other_formats_and_complete_files() -> None:
    files = good_files()
    sized = (
        b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x41\x00" + bytes(256)
    )  # an empty header, a segment of 256
    refuse_cut_matroska("a.mkv", memoryview(sized))
    refuse_cut_gif("a.gif", files["gif"])
    for data in files.values():
        refuse_cut_matroska("a", memoryview(data))
        refuse_damaged_mp4("a", memoryview(data))
    with pytest.raises(UnreadableVideoError, match="cut off after 100 bytes"):
        refuse_cut_gif("a.gif", files["gif"][:100])
    with pytest.raises(UnreadableVideoError, match="truncated, it has 200 of"):
        refuse_cut_matroska("a.mkv", memoryview(sized[:200]))


@pytest.mark.parametrize("kind", ["apng", "gif", "mov", "mp4", "webm", "webp"])
def test_a_truncated_file_is_always_refused(kind: str) -> None:
    data = good_files()[kind]
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        with pytest.raises(UnreadableVideoError, match="cut"):
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
        with pytest.raises(UnreadableVideoError, match=claimed):
            read(Source("giant", bytes(data)))


def test_a_table_of_more_frames_than_bytes_is_refused() -> None:
    data = bytearray(good_files()["mov"])
    at = data.find(b"stsz")
    data[at + 8 : at + 16] = (1).to_bytes(4, "big") + (1 << 31).to_bytes(4, "big")
    with pytest.raises(UnreadableVideoError, match="claims 2147483648 frames, for which it has no room"):
        read_video(Source("a.mov", bytes(data)))


def test_the_depth_of_nested_boxes_is_bounded() -> None:
    depth = 20_000
    nested = b"".join((8 * (depth - i)).to_bytes(4, "big") + b"moov" for i in range(depth))
    refuse_damaged_mp4("nested", memoryview(nested))
