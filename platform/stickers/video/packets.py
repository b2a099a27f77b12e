"""FFmpeg's part of reading: opening a file and decoding all of it, or only the packets that some frames need.

A clip of eight frames needs few packets of its video. Decoding starts at the last frame that stands alone; in H.264 it
skips every frame that is neither requested nor a reference. decord, the usual choice for this, was slower
(docs/log/videos.md), drops alpha and is no longer maintained.
"""

import io
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from stickers.video.headers import refuse_cut_matroska, refuse_damaged_mp4
from stickers.video.source import MAX_SIDE, Clock, ReadingLimits, Source, UnreadableVideoError

VideoPacket: TypeAlias = "Packet[VideoStream]"
#: codecs in which each packet is one shown frame, so that frames can be indexed without decoding
ONE_FRAME_A_PACKET = ("h264", "hevc", "vp9", "av1", "png", "mjpeg")
#: packets between two checks whether enough have been read
CHECK_EVERY = 16
#: NAL units of H.264: the types of slices from the plain to the IDR, and the bits of the first byte for the type and
#: for whether other frames refer to the unit
SLICE, IDR = 1, 5
TYPE_BITS, REFERENCE_BITS = 0x1F, 0x60
#: H.264 in Annex B marks each unit by a start code
START_CODE = b"\0\0\1"
#: H.264 in MP4 puts its length before each unit; these bits of the header's fifth byte are that length's size less one
AVCC_VERSION, AVCC_LENGTH_AT, AVCC_LENGTH_BITS = b"\x01", 4, 0x03
#: degrees; display matrices turn by quarters
QUARTER_TURN, QUARTERS = 90, 4


@dataclass
class Film:
    """An opened video, its decoder and the converter of its frames to pixels."""

    source: Source
    container: InputContainer
    stream: VideoStream
    watch: ReadingLimits
    reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec, such as h264."""
        return self.stream.codec_context.name

    @property
    def hides_alpha(self) -> bool:
        """True where a WebM keeps alpha beside the video; the case of its tag depends on the program that wrote it."""
        tags = {name.lower(): value for name, value in self.stream.metadata.items()}
        return tags.get("alpha_mode") == "1"

    @property
    def has_alpha(self) -> bool:
        """True where the pixel format or a tag declares alpha."""
        pixel = self.stream.codec_context.format
        return self.hides_alpha or any(plane.is_alpha for plane in (pixel.components if pixel else ()))

    def upright(self, frame: VideoFrame, size: tuple[int, int]) -> np.ndarray:
        """RGBA pixels, turned as the file's display matrix says (phones film sideways); `size` is width and height."""
        # One reformatter serves all frames: its set-up costs more than a frame of 256 pixels.
        scaled = self.reformatter.reformat(
            frame, size[0], size[1], format="rgba", interpolation=Interpolation.AREA, threads=1
        )
        return np.ascontiguousarray(
            np.rot90(scaled.to_ndarray(), round(frame.rotation / QUARTER_TURN) % QUARTERS)
        )

    def clock(self, ticks: list[int | None], last: int) -> Clock:
        """The clock of frames at these times whose last one stays for `last` ticks."""
        rate = self.stream.average_rate or self.stream.guessed_rate or self.stream.base_rate
        tick = self.stream.time_base or Fraction(0)
        return Clock(ticks, tick, last, float(rate) if rate else None)


@contextmanager
def opened(source: Source, *, num_threads: int, options: dict[str, str] | None = None) -> Iterator[Film]:
    """Open a video; a failure to open or decode it becomes one UnreadableVideoError.

    Args:
        num_threads: of the decoder; 0 takes all processors.
        options: further options of the decoder.
    """
    with source.view() as view:
        refuse_damaged_mp4(source.name, view)
        refuse_cut_matroska(source.name, view)
    watch = ReadingLimits(source)
    limits = {"max_pixels": str(MAX_SIDE**2)}
    file = source.name if source.data is None else io.BytesIO(source.data)
    try:
        with av.open(file, options=limits, metadata_errors="replace") as container:
            if not container.streams.video or _is_picture(container):
                raise UnreadableVideoError(f"{source.name}: the file holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UnreadableVideoError(f"{source.name}: the video's codec is unknown")
            watch.check_size(stream.width, stream.height)
            stream.codec_context.options = {**limits, **(options or {})}
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = num_threads
            yield Film(source, container, stream, watch)
    except av.FFmpegError as error:
        raise UnreadableVideoError(
            f"{source.name}: cannot be decoded as a video ({error.strerror or error})"
        ) from error


def _is_picture(container: InputContainer) -> bool:
    """True for a still picture or a text file, which FFmpeg opens as a video of one frame."""
    name = container.format.name
    return name in ("image2", "tty", "png_pipe") or name.endswith("_pipe")


def decoded(film: Film, packets: Iterator[VideoPacket] | None = None) -> Iterator[VideoFrame]:
    """Decoded frames of all packets, or of `packets`, the last of which is empty (`ended`).

    VP8 and VP9 with alpha go through libvpx, since FFmpeg's own decoder drops the alpha. UnreadableVideoError for a
    damaged frame, one larger than accepted, or a file that takes too long.
    """
    decoder = film.stream.codec_context
    if film.codec in ("vp8", "vp9") and film.hides_alpha:
        decoder = av.VideoCodecContext.create("libvpx" if film.codec == "vp8" else "libvpx-vp9", "r")
    count = 0
    for packet in packets or film.container.demux(film.stream):
        film.watch.check_time()
        for frame in decoder.decode(packet if packet.size else None):
            if frame.is_corrupt:
                raise UnreadableVideoError(f"{film.source.name}: frame {count} is damaged")
            film.watch.check_size(frame.width, frame.height)
            count += 1
            yield frame


@dataclass(frozen=True)
class Index:
    """The packets of a video in decoding order, and the packet of each frame in the order of showing.

    `packets[order[i]]` holds the i-th frame; `ticks[i]` is its time; `last` is how long the last frame stays. Both are
    in ticks.
    """

    packets: list[VideoPacket]
    order: list[int]
    ticks: list[int | None]
    last: int


def index_packets(film: Film, num_frames: int | None = None) -> Index:
    """Read packets without decoding, to the file's end or until the first `num_frames` frames are certain.

    The encoded packets stay in memory.
    """
    packets: list[VideoPacket] = []
    for packet in film.container.demux(film.stream):
        film.watch.check_time()
        if packet.size:
            packets.append(packet)
        if num_frames and len(packets) % CHECK_EVERY == 0 and _certain(packets, packet.dts) >= num_frames:
            break
    shown = [i for i, packet in enumerate(packets) if not packet.is_discard]
    if all(packets[i].pts is not None for i in shown):
        shown.sort(key=lambda i: packets[i].pts or 0)
    last = packets[shown[-1]].duration or 0 if shown else 0
    return Index(packets, shown, [packets[i].pts for i in shown], last)


def _certain(packets: list[VideoPacket], now: int | None) -> int:
    """How many frames are certain of their index: packets come in order of decoding, and none is shown before that."""
    if now is None:
        return 0
    return sum(packet.pts is not None and packet.pts <= now and not packet.is_discard for packet in packets)


def decode_indices(film: Film, index: Index, indices: Collection[int]) -> dict[int, VideoFrame] | None:
    """The frames of these indices, decoding as few packets as possible; None where all must be decoded.

    The pixels are exactly those of decoding all.
    """
    ticks = index.ticks
    regular = all(tick is not None for tick in ticks) and len(set(ticks)) == len(ticks)
    if film.codec not in ONE_FRAME_A_PACKET or film.hides_alpha or not regular or not index.packets:
        return None
    packets = index.packets
    starts = [i for i, packet in enumerate(packets) if stands_alone(film, packet)]
    if not starts or starts[0] != 0:
        return None
    number_of = {packets[i].pts: number for number, i in enumerate(index.order)}
    frames: dict[int, VideoFrame] = {}
    for start, numbers in _runs(index, starts, indices).items():
        needed = {index.order[number] for number in numbers}
        run = range(start, max(needed) + 1)
        chosen = (packets[i] for i in run if i in needed or serves_others(film, packets[i]))
        latest = -1
        for frame in decoded(film, ended(chosen)):
            number = number_of.get(frame.pts, -1)
            # The file's times are not those of its frames, or its packets may be half frames.
            if number <= latest or frame.interlaced_frame:
                return None
            latest = number
            if number in numbers:
                frames[number] = frame
        film.stream.codec_context.flush_buffers()
    return frames if len(frames) == len(set(indices)) else None


def _runs(index: Index, starts: list[int], indices: Collection[int]) -> dict[int, set[int]]:
    """The indices grouped by the packet at which decoding must start for them.

    A frame's start is the last one that lies before it in the file and is also shown before it: a frame that is shown
    before a start refers to packets in front of that start.
    """
    runs: dict[int, set[int]] = {}
    for number in indices:
        at = index.order[number]
        position = bisect_right(starts, at) - 1
        while position > 0 and (index.packets[starts[position]].pts or 0) > (index.packets[at].pts or 0):
            position -= 1
        runs.setdefault(starts[position], set()).add(number)
    return runs


def ended(packets: Iterable[VideoPacket]) -> Iterator[VideoPacket]:
    """These packets and an empty one, which makes the decoder return the frames that it holds back."""
    yield from packets
    yield cast("VideoPacket", Packet())


def stands_alone(film: Film, packet: VideoPacket) -> bool:
    """True where decoding can start at this packet.

    In H.264 the slices decide, since containers also mark the beginning of a gradual refresh as a key frame.
    """
    return packet.is_keyframe and (
        film.codec != "h264" or any(kind & TYPE_BITS == IDR for kind in _slices(film, packet))
    )


def serves_others(film: Film, packet: VideoPacket) -> bool:
    """True where another frame may refer to this packet, as far as the file says."""
    if film.codec != "h264":
        return True
    slices = _slices(film, packet)
    return not slices or any(kind & REFERENCE_BITS for kind in slices)


def _slices(film: Film, packet: VideoPacket) -> list[int]:
    """The first bytes of the units that hold picture."""
    units = _units(memoryview(packet), film.stream.codec_context.extradata or b"")
    return [kind for kind in units if SLICE <= kind & TYPE_BITS <= IDR]


def _units(data: memoryview, extradata: bytes) -> Iterator[int]:
    """The first byte of each NAL unit: its type (5 bits) and whether it is referred to (2 bits above)."""
    if extradata[:1] != AVCC_VERSION or len(extradata) <= AVCC_LENGTH_AT:  # Annex B
        content = bytes(data)
        at = content.find(START_CODE)
        while 0 <= at < len(content) - len(START_CODE):
            at += len(START_CODE)
            yield content[at]
            at = content.find(START_CODE, at)
        return
    width, at = (extradata[AVCC_LENGTH_AT] & AVCC_LENGTH_BITS) + 1, 0
    while at + width < len(data):
        yield data[at + width]
        at += width + int.from_bytes(data[at : at + width], "big")
