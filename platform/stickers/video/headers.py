"""Refuses files by their headers alone, before any decoder believes them.

Decoders show what remains of a truncated file without a warning, and some allocate a canvas of any size that a header
states. The sizes and counts in a header are therefore compared with the file and with our limits first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from stickers.video.source import UnreadableVideoError

GIF, WEBP, PNG = "GIF", "WEBP", "PNG"
#: the first bytes of each format; WebP is a RIFF file whose form type says so
GIF_SIGNATURES, PNG_SIGNATURE = (b"GIF87a", b"GIF89a"), b"\x89PNG\r\n\x1a\n"
RIFF_SIGNATURE, RIFF_FORM = b"RIFF", slice(8, 12)
#: bytes that `animation_format` needs
SIGNATURE_LENGTH = 16

#: GIF: the logical screen's size and flags, and the bytes before the first palette
GIF_WIDTH, GIF_HEIGHT, GIF_FLAGS, GIF_HEADER_LENGTH = slice(6, 8), slice(8, 10), 10, 13
#: GIF: the first byte of an extension (with its label), of a frame (with its descriptor) and of the file's end
GIF_EXTENSION, GIF_EXTENSION_LENGTH = 0x21, 2
GIF_FRAME, GIF_FRAME_FLAGS, GIF_FRAME_LENGTH = 0x2C, 9, 11
GIF_END = 0x3B
#: GIF: flags say whether a palette of 2 ** (bits + 1) colours of three bytes follows
HAS_PALETTE, PALETTE_BITS, COLOUR_LENGTH = 0x80, 0x07, 3

#: PNG: the first chunk, IHDR, begins with the size
PNG_WIDTH, PNG_HEIGHT = slice(16, 20), slice(20, 24)

#: WebP: the name of the first chunk; that of an extended file holds the size less one, others are stills
WEBP_CHUNK, WEBP_EXTENDED, WEBP_STILLS = slice(12, 16), b"VP8X", (b"VP8 ", b"VP8L")
WEBP_WIDTH, WEBP_HEIGHT, WEBP_HEADER_LENGTH = slice(24, 27), slice(27, 30), 30
#: WebP: chunks begin after the form type with their name and size, and end on even bytes; a frame's duration in ms
WEBP_CHUNKS_START, WEBP_CHUNK_HEADER_LENGTH = 12, 8
WEBP_FRAME, WEBP_FRAME_DURATION = b"ANMF", slice(12, 15)

#: Matroska: ids of the header and of the segment, both of four bytes
EBML, SEGMENT, EBML_ID_LENGTH = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", 4
#: Matroska: a size takes at most eight bytes, each of which carries seven bits of it
MAX_EBML_LENGTH, EBML_BITS = 8, 7

#: MP4: boxes that a file may begin with, and those on the way to a track's tables
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
#: MP4: a box begins with its size and kind; the size 1 means that eight more bytes hold the real one
BOX_SIZE, BOX_KIND, BOX_HEADER_LENGTH = slice(0, 4), slice(4, 8), 8
LONG_BOX_SIZE, LONG_BOX_HEADER_LENGTH = slice(8, 16), 16
#: MP4: the table of frame sizes holds one size for all (or 0), a count, and an entry of four bytes a frame
COMMON_SIZE, FRAME_COUNT, SIZES_HEADER_LENGTH, SIZE_LENGTH = slice(4, 8), slice(8, 12), 12, 4


def animation_format(head: bytes) -> str | None:
    """GIF, WEBP or PNG by a file's first bytes; None for anything else, which is FFmpeg's."""
    if head.startswith(GIF_SIGNATURES):
        return GIF
    if head.startswith(RIFF_SIGNATURE) and head[RIFF_FORM] == b"WEBP":
        return WEBP
    return PNG if head.startswith(PNG_SIGNATURE) else None


def claimed_size(data: bytes, kind: str) -> tuple[int, int]:
    """Width and height, in pixels, that an animated picture's header states; (0, 0) where it is cut off."""
    if kind == GIF:
        return int.from_bytes(data[GIF_WIDTH], "little"), int.from_bytes(data[GIF_HEIGHT], "little")
    if kind == PNG:
        return int.from_bytes(data[PNG_WIDTH], "big"), int.from_bytes(data[PNG_HEIGHT], "big")
    if data[WEBP_CHUNK] == WEBP_EXTENDED and len(data) >= WEBP_HEADER_LENGTH:
        return int.from_bytes(data[WEBP_WIDTH], "little") + 1, int.from_bytes(data[WEBP_HEIGHT], "little") + 1
    return (
        (1, 1) if data[WEBP_CHUNK] in WEBP_STILLS else (0, 0)
    )  # a still is refused later, for its one frame


def webp_durations(name: str, data: bytes) -> list[int]:
    """How long each frame of an animated WebP stays, in ms; empty for a still.

    UnreadableVideoError when the chunks do not lead to the file's end.
    """
    durations = []
    position = WEBP_CHUNKS_START
    while position < len(data):
        start = position + WEBP_CHUNK_HEADER_LENGTH
        size = int.from_bytes(data[start - 4 : start], "little")
        if start + size > len(data):
            raise UnreadableVideoError(f"{name}: the WebP is truncated or damaged at byte {position}")
        if data[position : position + 4] == WEBP_FRAME:
            durations.append(int.from_bytes(data[start:][WEBP_FRAME_DURATION], "little"))
        position = start + size + size % 2
    return durations


def refuse_cut_gif(name: str, data: bytes) -> None:
    """UnreadableVideoError when a GIF's blocks do not lead to its end; decoders show what remains without a warning."""
    flags = data[GIF_FLAGS] if len(data) > GIF_FLAGS else 0
    position = GIF_HEADER_LENGTH + _palette_bytes(flags)
    try:
        while data[position] != GIF_END:
            if data[position] == GIF_EXTENSION:
                position += GIF_EXTENSION_LENGTH
            elif data[position] == GIF_FRAME:
                position += GIF_FRAME_LENGTH + _palette_bytes(data[position + GIF_FRAME_FLAGS])
            else:
                raise UnreadableVideoError(f"{name}: the GIF is damaged at byte {position} of {len(data)}")
            while data[position]:
                position += 1 + data[position]
            position += 1
    except IndexError:
        raise UnreadableVideoError(f"{name}: the GIF is cut off after {len(data)} bytes") from None


def _palette_bytes(flags: int) -> int:
    return COLOUR_LENGTH << ((flags & PALETTE_BITS) + 1) if flags & HAS_PALETTE else 0


@dataclass(frozen=True)
class Box:
    """One box of an MP4: its content is the bytes [start, end) of the file."""

    kind: bytes
    start: int
    end: int


def refuse_cut_matroska(name: str, data: memoryview) -> None:
    """UnreadableVideoError when a WebM or Matroska file ends before its segment does; other formats pass."""
    if bytes(data[:EBML_ID_LENGTH]) != EBML:
        return
    size, start = _ebml_size(data, EBML_ID_LENGTH)
    segment = start + (size or 0)
    if size is None or bytes(data[segment : segment + EBML_ID_LENGTH]) != SEGMENT:
        return
    size, start = _ebml_size(data, segment + EBML_ID_LENGTH)
    if size is not None and start + size > len(data):
        raise UnreadableVideoError(
            f"{name}: the file is truncated, it has {len(data)} of {start + size} bytes"
        )


def _ebml_size(data: memoryview, at: int) -> tuple[int | None, int]:
    """The size stored at `at` (None: unknown, as in a stream) and where the content of that size begins.

    The position of the first set bit says how many bytes the size takes.
    """
    first = data[at] if at < len(data) else 0
    length = MAX_EBML_LENGTH + 1 - first.bit_length()
    all_ones = (1 << EBML_BITS * length) - 1
    size = int.from_bytes(data[at : at + length], "big") & all_ones
    unknown = length > MAX_EBML_LENGTH or size == all_ones
    return None if unknown else size, at + length


def refuse_damaged_mp4(name: str, data: memoryview) -> None:
    """UnreadableVideoError when an MP4 or MOV is cut off or its tables claim the impossible; other formats pass."""
    if bytes(data[BOX_KIND]) not in FIRST_BOXES:
        return
    for box in _boxes(name, data, 0, len(data)):
        if box.kind == b"stsz":
            _refuse_sizes(name, data, box)


def _boxes(name: str, data: memoryview, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    """All boxes of a region and of the PARENTS in it, nested no deeper than there are kinds of PARENTS."""
    while start < end:
        if depth and end - start < BOX_HEADER_LENGTH:  # QuickTime ends some lists with four zeros
            return
        head = bytes(
            data[start : start + LONG_BOX_HEADER_LENGTH]
        )  # a slice in a traceback would keep the map open
        size, kind, header = int.from_bytes(head[BOX_SIZE], "big"), head[BOX_KIND], BOX_HEADER_LENGTH
        if size == 1:
            size, header = int.from_bytes(head[LONG_BOX_SIZE], "big"), LONG_BOX_HEADER_LENGTH
        if size == 0:  # the last box reaches to the end
            if end == len(data):
                return
            size = end - start
        if size < header or start + size > end:
            raise UnreadableVideoError(
                f"{name}: the file is truncated or damaged at byte {start} of {len(data)}"
            )
        box = Box(kind, start + header, start + size)
        yield box
        if kind in PARENTS and depth < len(PARENTS):
            yield from _boxes(name, data, box.start, box.end, depth + 1)
        start += size


def _refuse_sizes(name: str, data: memoryview, box: Box) -> None:
    """UnreadableVideoError when the table of frame sizes counts more frames than the file can hold.

    The table states one size for all frames or one a frame; every frame takes at least one byte.
    """
    header = bytes(data[box.start : box.start + SIZES_HEADER_LENGTH])
    common, count = int.from_bytes(header[COMMON_SIZE], "big"), int.from_bytes(header[FRAME_COUNT], "big")
    num_entries = (box.end - box.start - SIZES_HEADER_LENGTH) // SIZE_LENGTH
    room = len(data) // max(1, common) if common else num_entries
    if count > room:
        raise UnreadableVideoError(f"{name}: the file claims {count} frames, for which it has no room")
