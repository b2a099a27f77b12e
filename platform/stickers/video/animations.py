"""Animated GIF, WebP and PNG as videos: Pillow composes their frames as a browser would show them.

FFmpeg is not used for them, since it does not read animated WebP.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fractions import Fraction

import numpy as np
from PIL import Image, UnidentifiedImageError

from stickers.video.clips import OPAQUE
from stickers.video.headers import GIF, SIGNATURE_LENGTH, animation_format, claimed_size, refuse_cut_gif
from stickers.video.source import (
    Clock,
    ReadingLimits,
    Source,
    UnreadableVideoError,
    VideoInfo,
    describe,
    shrunk_size,
)

#: pixels; each frame is drawn on the whole canvas, however small it is
MAX_CANVAS_SIDE = 4096
#: browsers show a frame for 100 ms when its file says 10 ms or less
SHORTEST_MS, UNTIMED_MS = 10, 100
#: GIF counts in hundredths of a second; equal frames of a rate between two of those differ by one
TICK_MS = {GIF: 10}
#: the exceptions of Pillow's decoders on damaged data
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError,
    struct.error, zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


def animation_kind(source: Source) -> str | None:
    """GIF, WEBP or PNG; None for anything else. UnreadableVideoError when the file is missing or empty."""
    with source.view() as view:
        return animation_format(bytes(view[:SIGNATURE_LENGTH]))


def read_animation(
    source: Source, kind: str, *, indices: Collection[int] | None, max_side: int | None
) -> tuple[dict[int, np.ndarray], VideoInfo]:
    """The frames of these indices (None: all) by their index, uint8 RGBA [H, W, 4], and the animation's info.

    All frames are decoded, since each is drawn over the last. UnreadableVideoError as `reading.read_video`.
    """
    watch = ReadingLimits(source)
    frames: dict[int, np.ndarray] = {}
    durations_ms: list[float] = []
    has_alpha = False
    with _opened(source, kind, watch) as image:
        size = shrunk_size(image.size, max_side)
        hidden = int(
            getattr(image, "default_image", False)
        )  # an APNG's picture for viewers that cannot animate
        total = getattr(image, "n_frames", 1) - hidden
        watch.check_length(total if indices is None else len(indices), *size)
        for index in range(total):
            watch.check_time()
            image.seek(index + hidden)
            rgba = image.convert("RGBA")
            has_alpha = has_alpha or bool((np.asarray(rgba)[..., -1] < OPAQUE).any())
            durations_ms.append(_duration_ms(image))
            if indices is None or index in indices:
                frames[index] = np.asarray(rgba if rgba.size == size else _resized(rgba, size))
    return frames, _info(source, durations_ms, kind, size=size, has_alpha=has_alpha)


@contextmanager
def _opened(source: Source, kind: str, watch: ReadingLimits) -> Iterator[Image.Image]:
    """Open an animation; every failure becomes one UnreadableVideoError."""
    data = source.read()
    watch.check_size(*claimed_size(data, kind), MAX_CANVAS_SIDE)
    if kind == GIF:
        refuse_cut_gif(source.name, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # Pillow's remarks on a file, on stderr
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                if getattr(image, "n_frames", 1) < 2:
                    raise UnreadableVideoError(
                        f"{source.name}: a still {image.format} picture; animated ones are accepted"
                    )
                yield image
    except UnreadableVideoError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableVideoError(f"{source.name}: a {kind} animation with a broken header") from error
    except DECODER_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnreadableVideoError(f"{source.name}: a damaged {kind} animation ({reason})") from error


def _duration_ms(image: Image.Image) -> float:
    """How long the frame just drawn stays, as browsers read it."""
    stated = float(image.info.get("duration", 0))
    return stated if stated > SHORTEST_MS else UNTIMED_MS


def _info(
    source: Source, durations_ms: list[float], kind: str, *, size: tuple[int, int], has_alpha: bool
) -> VideoInfo:
    unit = TICK_MS.get(kind, 1)
    starts = np.cumsum([0, *durations_ms]).tolist()
    clock = Clock(
        ticks=[round(start / unit) for start in starts[:-1]],
        tick=Fraction(unit, 1000),
        last=round(durations_ms[-1] / unit),
        stated_fps=len(durations_ms) * 1000 / starts[-1],
    )
    return describe(source, clock, size=size, has_alpha=has_alpha)


def _resized(rgba: Image.Image, size: tuple[int, int]) -> Image.Image:
    return rgba.resize(size, Image.Resampling.BOX)  # antialiased, alpha-weighted
