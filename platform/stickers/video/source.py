"""What a video is before it is pixels: where it lies, what it says of itself, and how much it may ask for.

Videos come from people and from the internet, so a file is taken at its word only where its word is cheap: what it
claims is compared with these limits before memory is spent on it.
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

MAX_DECODED_BYTES = 2 << 30
"""Most memory that one decoded video may take; longer ones must be cut or shrunk first."""
MAX_SIDE = 8192
"""Pixels; one frame at this limit takes 256 MiB while it is decoded."""
MAX_SECONDS = 120.0
"""Most time that one file may be worked on; a megabyte can be made to decode for hours."""
MAX_FPS = 1000.0
"""No camera or animation is faster; what says so has a broken clock."""
STATED_RATE_TOLERANCE = 0.05
"""How far a stated frame rate may lie from the frames' times before the times are believed instead."""


class UnreadableVideo(UserError):
    """A file that is no readable video; the message is one sentence that names the file and what is wrong."""


@dataclass(frozen=True)
class Source:
    """A video: the file at `name`, or `data`, its bytes, which messages call `name` (a member of a tar shard)."""

    name: str
    data: bytes | None = None

    def read(self) -> bytes:
        """All bytes. UnreadableVideo when there is no such file or it holds nothing."""
        with self.view() as view:
            return bytes(view)

    @contextmanager
    def view(self) -> Iterator[memoryview]:
        """The bytes without reading them all. UnreadableVideo as `read`."""
        if self.data is not None:
            if not self.data:
                raise UnreadableVideo(f"{self.name}: the file is empty (0 bytes)")
            yield memoryview(self.data)
            return
        file = Path(self.name)
        if not file.is_file():
            raise UnreadableVideo(f"{self.name}: there is no such file")
        if not file.stat().st_size:
            raise UnreadableVideo(f"{self.name}: the file is empty (0 bytes)")
        with (
            file.open("rb") as opened,
            mmap(opened.fileno(), 0, access=ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            yield view


def as_source(source: str | Path | Source) -> Source:
    return source if isinstance(source, Source) else Source(str(source))


def shrunk_size(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """Width and height, in pixels, at which neither exceeds `max_side` (None: as they are)."""
    scale = min(1.0, max_side / max(size)) if max_side else 1.0
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds.

    `width` and `height` are pixels as displayed (or as read, shrunk); `times` are the seconds at which each frame
    appears, the first at 0, `duration` those at which the last one goes; `fps` is the average rate, and `variable_fps`
    says that the frames do not keep to it.
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
    """When the frames of one file are shown, as the file counts: in ticks of `tick` seconds.

    `ticks` are the frames' own times, in order, None where the file gives none; `last` is how long the last frame
    stays (0: not said); `stated_fps` is the rate in the headers (None: not said).
    """

    ticks: list[int | None]
    tick: Fraction
    last: int
    stated_fps: float | None


def describe(source: Source, clock: Clock, *, size: tuple[int, int], has_alpha: bool) -> VideoInfo:
    """The info of a video of these times. UnreadableVideo when neither times nor headers give a rate to believe."""
    stated = clock.stated_fps if clock.stated_fps and clock.stated_fps > 0 else None
    ticks = [each for each in clock.ticks if each is not None]
    gaps = [late - early for early, late in pairwise(ticks)]
    if len(ticks) < len(clock.ticks) or any(gap <= 0 for gap in gaps) or clock.tick <= 0:
        if stated is None:
            raise UnreadableVideo(f"{source.name}: the video states no frame rate")
        times = tuple(index / stated for index in range(len(clock.ticks)))
        variable, fps, duration = False, stated, len(times) / stated
    else:
        times = tuple(float((each - ticks[0]) * clock.tick) for each in ticks)
        # Rates that the clock cannot count are rounded to it, up or down.
        variable = bool(gaps) and max(gaps) - min(gaps) > 1
        fps, duration = _rate(source, clock, times, stated, variable)
    if not fps <= MAX_FPS:
        raise UnreadableVideo(
            f"{source.name}: the video claims {fps:g} frames a second; at most {MAX_FPS:g} are believed"
        )
    width, height = size
    return VideoInfo(len(times), fps, width, height, has_alpha, variable, duration, times)


def _rate(
    source: Source, clock: Clock, times: tuple[float, ...], stated: float | None, variable: bool
) -> tuple[float, float]:
    """Frames a second and seconds of a video whose times can be believed."""
    measured = (len(times) - 1) / times[-1] if len(times) > 1 else None
    if measured and (stated is None or abs(stated / measured - 1) > STATED_RATE_TOLERANCE):
        stated = measured
    last = float(clock.last * clock.tick) if clock.last > 0 else 0.0
    if stated is None and not last:
        raise UnreadableVideo(f"{source.name}: the video states no frame rate")
    duration = times[-1] + (last or 1 / (stated or 1))
    return (len(times) / duration if variable or stated is None else stated), duration


class Watch:
    """Counts what the reading of one file has cost, and ends it when that is too much."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.started = time.monotonic()

    def check_size(self, width: int, height: int, most: int = MAX_SIDE) -> None:
        """Before a frame of this size is decoded."""
        if not (0 < width <= most and 0 < height <= most):
            raise UnreadableVideo(
                f"{self.source.name}: frames of {width}x{height} pixels; 1 to {most} a side are accepted"
            )

    def check_length(self, num_frames: int, width: int, height: int) -> None:
        """Before, or while, so many frames are kept at this size."""
        if num_frames * width * height * 4 > MAX_DECODED_BYTES:
            raise UnreadableVideo(
                f"{self.source.name}: too long to read whole, {num_frames} frames of {width}x{height} pixels"
                f" take more than {MAX_DECODED_BYTES >> 30} GiB"
            )

    def check_time(self) -> None:
        """Now and then while decoding."""
        if time.monotonic() - self.started > MAX_SECONDS:
            raise UnreadableVideo(f"{self.source.name}: decoding takes more than {MAX_SECONDS:g} seconds")
