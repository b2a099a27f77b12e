"""The one place where video files become arrays: MP4, MOV, WebM and Matroska, animated GIF, WebP and PNG.

Every function takes a path, or a `Source` for bytes inside another file. The first bytes of a file tell its format; the
file name's ending does not matter.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from av.video.format import VideoFormat

from stickers.errors import UserError
from stickers.video.animations import animation_kind, read_animation
from stickers.video.packets import Film, Index, decode_indices, decoded, ended, index_packets, opened
from stickers.video.source import (
    BITS,
    DEEP_BITS,
    Source,
    UnreadableVideoError,
    VideoInfo,
    as_source,
    describe,
    shrunk_size,
)


def probe(source: str | Path | Source) -> VideoInfo:
    """Read the headers, the times of all frames and the first frame; of an animation all frames.

    UnreadableVideoError for a missing, empty, truncated or foreign file, and for a still picture.
    """
    source = as_source(source)
    if kind := animation_kind(source):
        return read_animation(source, kind, indices=(), max_side=None)[1]
    with opened(source, num_threads=1) as film:
        index = index_packets(film)
        first = next(decoded(film, ended(index.packets)), None)
        if first is None:
            raise _no_frame(source)
        return _info(film, index, film.upright(first, _size(film, None)))


def read_video(source: str | Path | Source, *, max_side: int | None = None) -> tuple[np.ndarray, VideoInfo]:
    """All frames as uint8 RGBA [T, H, W, 4], upright; alpha is 255 where the file has none.

    `max_side` shrinks while decoding so that neither side exceeds it. UnreadableVideoError as `probe`, and
    when a frame cannot be decoded, or all frames take more than MAX_DECODED_BYTES or more than MAX_SECONDS.
    """
    source = as_source(source)
    if kind := animation_kind(source):
        drawn, info = read_animation(source, kind, indices=None, max_side=max_side)
        return np.stack([drawn[number] for number in range(info.num_frames)]), info
    frames: list[np.ndarray] = []
    ticks: list[int | None] = []
    last = 0
    with opened(source, num_threads=0) as film:
        size = _size(film, max_side)
        for frame in decoded(film):
            film.watch.check_length(len(frames) + 1, *size)
            frames.append(film.upright(frame, size))
            ticks.append(frame.pts)
            last = frame.duration or 0
        pixels = _stacked(source, frames)
        size = (pixels.shape[2], pixels.shape[1])
        return pixels, describe(source, film.clock(ticks, last), size=size, has_alpha=film.has_alpha)


def read_frames(
    source: str | Path | Source,
    indices: Sequence[int] | np.ndarray,
    *,
    max_side: int | None = None,
    num_threads: int = 1,
) -> np.ndarray:
    """The frames of these indices, in the order of `indices`, uint8 RGBA [N, H, W, 4].

    The pixels are those of `read_video`, for less work. One thread is right where many clips are read at once;
    0 takes all processors. UnreadableVideoError as `read_video`, but only for damage in packets that are decoded;
    UserError for an index the video does not have.
    """
    source = as_source(source)
    numbers = [int(index) for index in indices]
    if not numbers or min(numbers) < 0:
        raise UserError(f"{source.name}: frame indices start from 0, got {numbers}")
    if kind := animation_kind(source):
        frames, _ = read_animation(source, kind, indices=set(numbers), max_side=max_side)
        return _arranged(source, frames, numbers)
    with opened(source, num_threads=num_threads) as film:
        size = _size(film, max_side)
        film.watch.check_length(len(numbers), *size)
        index = index_packets(film, max(numbers) + 1)
        decoded_frames = decode_indices(film, index, {i for i in numbers if i < len(index.order)})
        if decoded_frames is not None:
            frames = {number: film.upright(frame, size) for number, frame in decoded_frames.items()}
            return _arranged(source, frames, numbers)
    return _arranged(source, _from_the_start(source, set(numbers), max_side), numbers)


def read_luma(source: str | Path | Source) -> tuple[np.ndarray, int]:
    """The luma of all frames as stored, not turned, uint8 or uint16 [T, H, W], and its bits.

    UnreadableVideoError as `read_video`, and for pixels that are not planes of 8 or 10 bits with luma first.
    """
    source = as_source(source)
    planes: list[np.ndarray] = []
    bits = BITS
    if animation_kind(source):
        raise UnreadableVideoError(f"{source.name}: an animated picture holds colours, no luma")
    with opened(source, num_threads=0) as film:
        for frame in decoded(film):
            bits = _luma_bits(source, frame.format)
            film.watch.check_length(len(planes) + 1, frame.width, frame.height)
            rows = np.frombuffer(memoryview(frame.planes[0]), np.uint8 if bits == BITS else np.uint16)
            rows = rows.reshape(frame.height, -1)
            planes.append(rows[:, : frame.width].copy())
    return _stacked(source, planes), bits


def _from_the_start(source: Source, indices: set[int], max_side: int | None) -> dict[int, np.ndarray]:
    """Decode up to the last of these frames and convert them alone to pixels."""
    frames: dict[int, np.ndarray] = {}
    with opened(source, num_threads=0) as film:
        size = _size(film, max_side)
        for number, frame in enumerate(decoded(film)):
            if number in indices:
                frames[number] = film.upright(frame, size)
            if number >= max(indices):
                break
    return frames


def _arranged(source: Source, frames: dict[int, np.ndarray], indices: list[int]) -> np.ndarray:
    for index in indices:
        if index not in frames:
            raise UserError(f"{source.name}: the video has no frame {index}")
    return _stacked(source, [frames[index] for index in indices])


def _stacked(source: Source, frames: list[np.ndarray]) -> np.ndarray:
    if not frames:
        raise _no_frame(source)
    if any(frame.shape != frames[0].shape for frame in frames):
        raise UnreadableVideoError(f"{source.name}: its frames differ in size or in how they are turned")
    return np.stack(frames)


def _info(film: Film, index: Index, first: np.ndarray) -> VideoInfo:
    height, width = first.shape[:2]
    clock = film.clock(index.ticks, index.last)
    return describe(film.source, clock, size=(width, height), has_alpha=film.has_alpha)


def _size(film: Film, max_side: int | None) -> tuple[int, int]:
    return shrunk_size((film.stream.width, film.stream.height), max_side)


def _luma_bits(source: Source, pixel: VideoFormat) -> int:
    """Bits of one luma value: 8 or 10."""
    bits = pixel.components[0].bits if pixel.components else 0
    if not pixel.name.startswith(("yuv", "gray")) or bits not in (BITS, DEEP_BITS):
        raise UnreadableVideoError(
            f"{source.name}: pixels are {pixel.name}; luma is read from planes of 8 or 10 bits"
        )
    return bits


def _no_frame(source: Source) -> UnreadableVideoError:
    return UnreadableVideoError(f"{source.name}: no frame can be decoded")
