"""A video before it is decoded: where it lies, what its headers state, and how much memory and time it may take.

Videos come from people and from the internet and are not trusted: what a file claims is compared with the limits here
before memory is spent on it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path

from stickers.errors import UserError

GIB = 1 << 30
MAX_DECODED_BYTES = 2 * GIB
"""Most memory that one decoded video may take; longer ones must be cut or shrunk first."""
MAX_SIDE = 8192
"""Pixels; one frame at this limit takes 256 MiB while it is decoded."""
MAX_SECONDS = 120.0
"""Most time that one file may be worked on; a megabyte can be made to decode for hours."""
MAX_FPS = 1000.0
"""No camera or animation is faster; a file that claims more has a broken clock."""
STATED_RATE_TOLERANCE = 0.05
"""How far a stated frame rate may differ, as a share, from the rate of the frames' times; beyond it the times count."""
RGBA_BYTES = 4
"""Bytes of one decoded pixel."""
BITS, DEEP_BITS = 8, 10
"""Bits of the luma planes that we read; motion scores are on the scale of the first."""


class UnreadableVideoError(UserError):
    """A file that cannot be read as a video; the message is one sentence that names the file and what is wrong."""


@dataclass(frozen=True)
class Source:
    """A video: the file at `name`, or `data`, its bytes, which messages call `name` (a member of a tar shard)."""

    name: str
    data: bytes | None = None

    def read(self) -> bytes:
        """All bytes. UnreadableVideoError when there is no such file or it holds nothing."""
        with self.view() as view:
            return bytes(view)

    @contextmanager
    def view(self) -> Iterator[memoryview]:
        """The bytes without reading them all. UnreadableVideoError as `read`."""
        if self.data is not None:
            if not self.data:
                raise UnreadableVideoError(f"{self.name}: the file is empty (0 bytes)")
            yield memoryview(self.data)
            return
        file = Path(self.name)
        if not file.is_file():
            raise UnreadableVideoError(f"{self.name}: there is no such file")
        if not file.stat().st_size:
            raise UnreadableVideoError(f"{self.name}: the file is empty (0 bytes)")
        with (
            file.open("rb") as opened,
            mmap(opened.fileno(), 0, access=ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            yield view


def as_source(source: str | Path | Source) -> Source:
    """The source of a path; a source itself is returned unchanged."""
    return source if isinstance(source, Source) else Source(str(source))


def shrunk_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """Width and height, in pixels, scaled down until neither exceeds `max_side` (None: unchanged)."""
    scale = min(1.0, max_side / max(size)) if max_side else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@dataclass(frozen=True)
class VideoInfo:
    """The facts about a video.

    `width` and `height` are pixels as displayed (or as read, shrunk). `times` holds the second at which each frame
    appears, the first at 0; `duration` is the second at which the last one disappears. `fps` is the average rate;
    `variable_fps` is true where the frames do not keep to it.
    """

    num_frames: int
    fps: float
    width: int
    height: int
    has_alpha: bool
    variable_fps: bool
    duration: float
    times: tuple[float, ...]


@dataclass(frozen=True)
class Clock:
    """When the frames of a file are shown, in the file's own unit: ticks of `tick` seconds.

    `ticks` holds the frames' times, in order, None where the file has none; `last` is how long the last frame stays
    (0: unknown); `stated_fps` is the rate in the headers (None: unknown).
    """

    ticks: list[int | None]
    tick: Fraction
    last: int
    stated_fps: float | None


def describe(source: Source, clock: Clock, *, size: tuple[int, int], has_alpha: bool) -> VideoInfo:
    """The info of a video with these times. UnreadableVideoError when neither times nor headers give a usable rate."""
    stated = clock.stated_fps if clock.stated_fps and clock.stated_fps > 0 else None
    ticks = [tick for tick in clock.ticks if tick is not None]
    gaps = [late - early for early, late in pairwise(ticks)]
    if len(ticks) < len(clock.ticks) or any(gap <= 0 for gap in gaps) or clock.tick <= 0:
        if stated is None:
            raise UnreadableVideoError(f"{source.name}: the video states no frame rate")
        times = tuple(index / stated for index in range(len(clock.ticks)))
        variable, fps, duration = False, stated, len(times) / stated
    else:
        times = tuple(float((tick - ticks[0]) * clock.tick) for tick in ticks)
        # A steady rate that is no whole number of ticks is rounded, up or down: gaps differ by one tick.
        variable = bool(gaps) and max(gaps) - min(gaps) > 1
        fps, duration = _rate(source, clock, times, stated, variable)
    if not fps <= MAX_FPS:
        raise UnreadableVideoError(
            f"{source.name}: the video claims {fps:g} frames a second; at most {MAX_FPS:g} are believed"
        )
    width, height = size
    return VideoInfo(len(times), fps, width, height, has_alpha, variable, duration, times)


def _rate(
    source: Source, clock: Clock, times: tuple[float, ...], stated: float | None, variable: bool
) -> tuple[float, float]:
    """Frames a second, and the duration in seconds, of a video with usable times."""
    measured = (len(times) - 1) / times[-1] if len(times) > 1 else None
    if measured and (stated is None or abs(stated / measured - 1) > STATED_RATE_TOLERANCE):
        stated = measured
    last = float(clock.last * clock.tick) if clock.last > 0 else 0.0
    if stated is None and not last:
        raise UnreadableVideoError(f"{source.name}: the video states no frame rate")
    duration = times[-1] + (last or 1 / (stated or 1))
    return (len(times) / duration if variable or stated is None else stated), duration


class ReadingLimits:
    """Limits the memory and time that reading one file may take; each check raises UnreadableVideoError beyond them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.started = time.monotonic()

    def check_size(self, width: int, height: int, max_side: int = MAX_SIDE) -> None:
        """Check the sides, in pixels, of a frame before it is decoded."""
        if not (0 < width <= max_side and 0 < height <= max_side):
            raise UnreadableVideoError(
                f"{self.source.name}: frames of {width}x{height} pixels; 1 to {max_side} a side are accepted"
            )

    def check_length(self, num_frames: int, width: int, height: int) -> None:
        """Check how much memory the frames take; call it before or while they are kept."""
        if num_frames * width * height * RGBA_BYTES > MAX_DECODED_BYTES:
            raise UnreadableVideoError(
                f"{self.source.name}: too long to read whole, {num_frames} frames of {width}x{height} pixels"
                f" take more than {MAX_DECODED_BYTES // GIB} GiB"
            )

    def check_time(self) -> None:
        """Check how long reading has taken so far; call it now and then while decoding."""
        if time.monotonic() - self.started > MAX_SECONDS:
            raise UnreadableVideoError(
                f"{self.source.name}: decoding takes more than {MAX_SECONDS:g} seconds"
            )
