"""FFmpeg's part of reading: opening a file, decoding it whole, or only as much of it as some frames need.

A clip of eight frames needs few of the packets of its video. Decoding starts at the last frame that stands alone, and
in H.264 leaves out every frame that neither is wanted nor serves another. decord, the usual choice for this, was slower
(docs/log/index.md), drops alpha and is no longer maintained.
"""

import io
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from stickers.video.headers import refuse_cut_matroska, refuse_damaged_mp4
from stickers.video.source import MAX_SIDE, Clock, Source, UnreadableVideo, Watch

#: codecs of which each packet is one frame that is shown, so that a frame's index is known without decoding
ONE_FRAME_A_PACKET = ("h264", "hevc", "vp9", "av1", "png", "mjpeg")
#: packets between two looks at whether enough have been gone through
CHECK_EVERY = 16
#: NAL unit types of H.264
SLICE, IDR = 1, 5


@dataclass
class Film:
    """An opened video, its decoder and what turns its frames into pixels."""

    source: Source
    container: InputContainer
    stream: VideoStream
    watch: Watch
    reformatter: VideoReformatter = field(default_factory=VideoReformatter)

    @property
    def codec(self) -> str:
        return self.stream.codec_context.name

    @property
    def hides_alpha(self) -> bool:
        """WebM keeps alpha beside the video and says so in a tag whose case depends on who wrote it."""
        return {k.lower(): v for k, v in self.stream.metadata.items()}.get("alpha_mode") == "1"

    @property
    def has_alpha(self) -> bool:
        pixel = self.stream.codec_context.format
        return self.hides_alpha or any(plane.is_alpha for plane in (pixel.components if pixel else ()))

    def upright(self, frame: VideoFrame, size: tuple[int, int]) -> np.ndarray:
        """RGBA pixels, turned as the file's display matrix says (phones film sideways)."""
        # one reformatter for all frames: setting one up costs more than a frame of 256 pixels
        scaled = self.reformatter.reformat(
            frame, size[0], size[1], format="rgba", interpolation=Interpolation.AREA, threads=1
        )
        return np.ascontiguousarray(np.rot90(scaled.to_ndarray(), round(frame.rotation / 90) % 4))

    def clock(self, ticks: list[int | None], last: int) -> Clock:
        rate = self.stream.average_rate or self.stream.guessed_rate or self.stream.base_rate
        tick = self.stream.time_base or Fraction(0)
        return Clock(ticks, tick, last, float(rate) if rate else None)


@contextmanager
def opened(source: Source, *, num_threads: int, options: dict[str, str] | None = None) -> Iterator[Film]:
    """Open a video and turn every way in which that or its decoding fails into one UnreadableVideo.

    Args:
        num_threads: of the decoder; 0 takes all processors.
        options: more of the decoder's own.
    """
    with source.view() as view:
        refuse_damaged_mp4(source.name, view)
        refuse_cut_matroska(source.name, view)
    watch = Watch(source)
    limits = {"max_pixels": str(MAX_SIDE**2)}
    file = source.name if source.data is None else io.BytesIO(source.data)
    try:
        with av.open(file, options=limits, metadata_errors="replace") as container:
            if not container.streams.video or _is_picture(container):
                raise UnreadableVideo(f"{source.name}: the file holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UnreadableVideo(f"{source.name}: the video's codec is unknown")
            watch.check_size(stream.width, stream.height)
            stream.codec_context.options = {**limits, **(options or {})}
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = num_threads
            yield Film(source, container, stream, watch)
    except av.FFmpegError as error:
        raise UnreadableVideo(
            f"{source.name}: cannot be decoded as a video ({error.strerror or error})"
        ) from error


def _is_picture(container: InputContainer) -> bool:
    """FFmpeg opens a still picture, and even a text file, as a video of one frame."""
    name = container.format.name
    return name in ("image2", "tty", "png_pipe") or name.endswith("_pipe")


def decoded(film: Film, packets: Iterator[Packet] | None = None) -> Iterator[VideoFrame]:
    """Decoded frames of all packets, or of these, the last of which is empty.

    VP8 and VP9 with alpha go through libvpx, since FFmpeg's own decoder drops the alpha. UnreadableVideo for a frame
    that is damaged or larger than accepted, or when the file has taken too long.
    """
    decoder = film.stream.codec_context
    if film.codec in ("vp8", "vp9") and film.hides_alpha:
        decoder = av.VideoCodecContext.create("libvpx" if film.codec == "vp8" else "libvpx-vp9", "r")
    count = 0
    for packet in packets or film.container.demux(film.stream):
        film.watch.check_time()
        for frame in decoder.decode(packet if packet.size else None):
            if frame.is_corrupt:
                raise UnreadableVideo(f"{film.source.name}: frame {count} is damaged")
            film.watch.check_size(frame.width, frame.height)
            count += 1
            yield frame


@dataclass(frozen=True)
class Index:
    """The packets of a video in decoding order, and which of them each frame is.

    `order[i]` is the packet of the frame that is shown as the i-th; `ticks[i]` its time and `last` how long the last
    one stays, both in ticks.
    """

    packets: list[Packet]
    order: list[int]
    ticks: list[int | None]
    last: int


def index_packets(film: Film, num_frames: int | None = None) -> Index:
    """Go through the file without decoding, to its end or until the first `num_frames` frames are certain.

    Holds what it went through in memory, encoded.
    """
    packets: list[Packet] = []
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


def _certain(packets: list[Packet], now: int | None) -> int:
    """How many frames have their place: no later packet is shown before it is decoded, and that is in order."""
    if now is None:
        return 0
    return sum(each.pts is not None and each.pts <= now and not each.is_discard for each in packets)


def decode_some(film: Film, index: Index, wanted: Collection[int]) -> dict[int, VideoFrame] | None:
    """The frames of these indices, decoding as little as that takes; None where only decoding all can tell them.

    Exact: the pixels are those of decoding everything.
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
    found: dict[int, VideoFrame] = {}
    for start, numbers in _runs(index, starts, wanted).items():
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
                found[number] = frame
        film.stream.codec_context.flush_buffers()
    return found if len(found) == len(set(wanted)) else None


def _runs(index: Index, starts: list[int], wanted: Collection[int]) -> dict[int, set[int]]:
    """Wanted frames by the packet at which decoding must start for them.

    That is the last start before them in the file which is also shown before them: frames shown earlier than a start
    that follows them in the file lean on what came before it.
    """
    runs: dict[int, set[int]] = {}
    for number in wanted:
        at = index.order[number]
        place = bisect_right(starts, at) - 1
        while place > 0 and (index.packets[starts[place]].pts or 0) > (index.packets[at].pts or 0):
            place -= 1
        runs.setdefault(starts[place], set()).add(number)
    return runs


def ended(packets: Iterable[Packet]) -> Iterator[Packet]:
    """These packets, and the empty one at which the decoder gives what it holds back."""
    yield from packets
    yield Packet()


def stands_alone(film: Film, packet: Packet) -> bool:
    """Whether decoding can start here.

    H.264 itself is asked, since a file also calls a frame a key frame with which a gradual refresh only begins.
    """
    return packet.is_keyframe and (
        film.codec != "h264" or any(kind & 31 == IDR for kind in _slices(film, packet))
    )


def serves_others(film: Film, packet: Packet) -> bool:
    """Whether another frame may lean on this one, as far as the file says."""
    if film.codec != "h264":
        return True
    slices = _slices(film, packet)
    return not slices or any(kind & 0x60 for kind in slices)


def _slices(film: Film, packet: Packet) -> list[int]:
    """Of the units that hold picture: their first bytes."""
    units = _units(memoryview(packet), film.stream.codec_context.extradata or b"")
    return [kind for kind in units if SLICE <= kind & 31 <= IDR]


def _units(data: memoryview, extradata: bytes) -> Iterator[int]:
    """The first byte of each NAL unit: its type (5 bits) and whether it is referred to (2 bits above)."""
    if extradata[:1] != b"\x01" or len(extradata) < 5:  # units marked by start codes
        content = bytes(data)
        at = content.find(b"\0\0\1")
        while 0 <= at < len(content) - 3:
            yield content[at + 3]
            at = content.find(b"\0\0\1", at + 3)
        return
    width, at = (extradata[4] & 3) + 1, 0  # units behind their length
    while at + width < len(data):
        yield data[at + width]
        at += width + int.from_bytes(data[at : at + width], "big")
