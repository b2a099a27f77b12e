"""What can be refused from a file's headers alone, before any decoder believes them.

Decoders show what is left of a file that was cut off and say nothing of what is not, and some reserve a canvas of
whatever size a header states. Sizes and counts are therefore compared with the file and with our limits first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from stickers.video.source import UnreadableVideo

GIF, WEBP, PNG = "GIF", "WEBP", "PNG"
#: boxes on the way to a track's tables
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def animation_format(head: bytes) -> str | None:
    """GIF, WEBP or PNG by a file's first 16 bytes; None for anything else, which is FFmpeg's."""
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return GIF
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    return PNG if head[:8] == b"\x89PNG\r\n\x1a\n" else None


def claimed_size(data: bytes, kind: str) -> tuple[int, int]:
    """Width and height, in pixels, that an animated picture's header states; (0, 0) where it is cut off."""
    if kind == GIF:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if kind == PNG:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[12:16] == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return (1, 1) if data[12:16] in (b"VP8 ", b"VP8L") else (0, 0)  # a still, refused by its single frame


def refuse_cut_gif(name: str, data: bytes) -> None:
    """UnreadableVideo when a GIF's blocks do not lead to its end; decoders show what is left and say nothing."""
    flags = data[10] if len(data) > 10 else 0
    position = 13 + _palette_bytes(flags)
    try:
        while data[position] != 0x3B:
            if data[position] == 0x21:  # an extension and its label
                position += 2
            elif data[position] == 0x2C:  # a frame's place, its palette, the size of its codes
                position += 11 + _palette_bytes(data[position + 9])
            else:
                raise UnreadableVideo(f"{name}: the GIF is damaged at byte {position} of {len(data)}")
            while data[position]:
                position += 1 + data[position]
            position += 1
    except IndexError:
        raise UnreadableVideo(f"{name}: the GIF is cut off after {len(data)} bytes") from None


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


@dataclass(frozen=True)
class Box:
    """One box of an MP4: the bytes [start, end) of what it holds."""

    kind: bytes
    start: int
    end: int


def refuse_cut_matroska(name: str, data: memoryview) -> None:
    """UnreadableVideo when a WebM or Matroska ends before its segment does; other formats pass."""
    if bytes(data[:4]) != EBML:
        return
    size, start = _ebml_size(data, 4)
    segment = start + (size or 0)
    if size is None or bytes(data[segment : segment + 4]) != SEGMENT:
        return
    size, start = _ebml_size(data, segment + 4)
    if size is not None and start + size > len(data):
        raise UnreadableVideo(f"{name}: the file is truncated, it has {len(data)} of {start + size} bytes")


def _ebml_size(data: memoryview, at: int) -> tuple[int | None, int]:
    """A size (None: not known, as in what is streamed) and where what it measures begins.

    Its length in bytes stands in the place of its first set bit.
    """
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    size = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    unknown = length > 8 or size == (1 << 7 * length) - 1
    return None if unknown else size, at + length


def refuse_damaged_mp4(name: str, data: memoryview) -> None:
    """UnreadableVideo when an MP4 or MOV is cut off, or its tables claim what cannot be; other formats pass."""
    if bytes(data[4:8]) not in FIRST_BOXES:
        return
    for box in _boxes(name, data, 0, len(data)):
        if box.kind == b"stsz":
            _refuse_sizes(name, data, box)


def _boxes(name: str, data: memoryview, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    """All boxes of a region, and those within the PARENTS, no deeper than there are kinds of them."""
    while start < end:
        if depth and end - start < 8:  # QuickTime ends some lists with four zeros
            return
        size, kind, header = (
            int.from_bytes(data[start : start + 4], "big"),
            bytes(data[start + 4 : start + 8]),
            8,
        )
        if size == 1:
            size, header = int.from_bytes(data[start + 8 : start + 16], "big"), 16
        if size == 0:  # the last box reaches to the end
            if end == len(data):
                return
            size = end - start
        if size < header or start + size > end:
            raise UnreadableVideo(f"{name}: the file is truncated or damaged at byte {start} of {len(data)}")
        box = Box(kind, start + header, start + size)
        yield box
        if kind in PARENTS and depth < len(PARENTS):
            yield from _boxes(name, data, box.start, box.end, depth + 1)
        start += size


def _refuse_sizes(name: str, data: memoryview, box: Box) -> None:
    """The table of frame sizes: one size for all, or one of four bytes each; every frame takes at least a byte."""
    common = int.from_bytes(data[box.start + 4 : box.start + 8], "big")
    count = int.from_bytes(data[box.start + 8 : box.start + 12], "big")
    room = len(data) // max(1, common) if common else (box.end - box.start - 12) // 4
    if count > room:
        raise UnreadableVideo(f"{name}: the file claims {count} frames, for which it has no room")
