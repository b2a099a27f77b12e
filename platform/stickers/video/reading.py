"""The one place where video files become arrays: MP4, MOV, WebM and Matroska, animated GIF, WebP and PNG.

Every function takes a path, or a `Source` for bytes that lie inside something else. What a file is, its first bytes
say; its ending is not asked.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from av.video.format import VideoFormat

from stickers.errors import UserError
from stickers.video.animations import animation_kind, read_animation
from stickers.video.packets import Film, Index, decode_some, decoded, ended, index_packets, opened
from stickers.video.source import Source, UnreadableVideo, VideoInfo, as_source, describe, shrunk_size


def probe(source: str | Path | Source) -> VideoInfo:
    """Read the headers, the times of all frames and the first frame; of an animation all frames.

    UnreadableVideo for a missing, empty, truncated or foreign file, and for a still picture.
    """
    source = as_source(source)
    if kind := animation_kind(source):
        return read_animation(source, kind, wanted=(), max_side=None)[1]
    with opened(source, num_threads=1) as film:
        index = index_packets(film)
        first = next(decoded(film, ended(index.packets)), None)
        if first is None:
            raise _nothing(source)
        return _info(film, index, film.upright(first, _size(film, None)))


def read_video(source: str | Path | Source, *, max_side: int | None = None) -> tuple[np.ndarray, VideoInfo]:
    """All frames as uint8 RGBA [T, H, W, 4], upright; alpha is 255 where the file has none.

    `max_side` shrinks while decoding so that neither side exceeds it. UnreadableVideo as `probe`, and when a frame
    cannot be decoded, all frames together would take more than MAX_DECODED_BYTES or decoding more than MAX_SECONDS.
    """
    source = as_source(source)
    if kind := animation_kind(source):
        drawn, info = read_animation(source, kind, wanted=None, max_side=max_side)
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
    """The frames of these indices, in their order, uint8 RGBA [N, H, W, 4]: what `read_video` gives, for less.

    One thread is right where many clips are read at once; 0 takes all processors for this one.
    UnreadableVideo as `read_video`, of damage only where it is met; UserError for an index the video does not have.
    """
    source = as_source(source)
    asked = [int(index) for index in indices]
    if not asked or min(asked) < 0:
        raise UserError(f"{source.name}: frames are asked for by indices from 0, got {asked}")
    if kind := animation_kind(source):
        found, _ = read_animation(source, kind, wanted=set(asked), max_side=max_side)
        return _arranged(source, found, asked)
    with opened(source, num_threads=num_threads) as film:
        size = _size(film, max_side)
        film.watch.check_length(len(asked), *size)
        index = index_packets(film, max(asked) + 1)
        some = decode_some(film, index, {i for i in asked if i < len(index.order)})
        if some is not None:
            found = {number: film.upright(frame, size) for number, frame in some.items()}
            return _arranged(source, found, asked)
    return _arranged(source, _from_the_start(source, set(asked), max_side), asked)


def read_luma(source: str | Path | Source) -> tuple[np.ndarray, int]:
    """The luma of all frames as the file holds it: uint8 or uint16 [T, H, W] as stored, not turned, and its bits.

    UnreadableVideo as `read_video`, and for a file whose pixels are not planes of 8 or 10 bits with luma first.
    """
    source = as_source(source)
    planes: list[np.ndarray] = []
    bits = 8
    if animation_kind(source):
        raise UnreadableVideo(f"{source.name}: an animated picture holds colours, no luma")
    with opened(source, num_threads=0) as film:
        for frame in decoded(film):
            bits = _luma_bits(source, frame.format)
            film.watch.check_length(len(planes) + 1, frame.width, frame.height)
            rows = np.frombuffer(memoryview(frame.planes[0]), np.uint8 if bits == 8 else np.uint16)
            rows = rows.reshape(frame.height, -1)
            planes.append(rows[:, : frame.width].copy())
    return _stacked(source, planes), bits


def _from_the_start(source: Source, wanted: set[int], max_side: int | None) -> dict[int, np.ndarray]:
    """Decode up to the last wanted frame, and turn into pixels only those."""
    found: dict[int, np.ndarray] = {}
    with opened(source, num_threads=0) as film:
        size = _size(film, max_side)
        for number, frame in enumerate(decoded(film)):
            if number in wanted:
                found[number] = film.upright(frame, size)
            if number >= max(wanted):
                break
    return found


def _arranged(source: Source, found: dict[int, np.ndarray], asked: list[int]) -> np.ndarray:
    for index in asked:
        if index not in found:
            raise UserError(f"{source.name}: the video has no frame {index}")
    return _stacked(source, [found[index] for index in asked])


def _stacked(source: Source, frames: list[np.ndarray]) -> np.ndarray:
    if not frames:
        raise _nothing(source)
    if any(frame.shape != frames[0].shape for frame in frames):
        raise UnreadableVideo(f"{source.name}: its frames differ in size or in how they are turned")
    return np.stack(frames)


def _info(film: Film, index: Index, first: np.ndarray) -> VideoInfo:
    height, width = first.shape[:2]
    clock = film.clock(index.ticks, index.last)
    return describe(film.source, clock, size=(width, height), has_alpha=film.has_alpha)


def _size(film: Film, max_side: int | None) -> tuple[int, int]:
    return shrunk_size((film.stream.width, film.stream.height), max_side)


def _luma_bits(source: Source, pixel: VideoFormat) -> int:
    """8 or 10."""
    bits = pixel.components[0].bits if pixel.components else 0
    if not pixel.name.startswith(("yuv", "gray")) or bits not in (8, 10):
        raise UnreadableVideo(
            f"{source.name}: pixels are {pixel.name}; luma is read from planes of 8 or 10 bits"
        )
    return bits


def _nothing(source: Source) -> UnreadableVideo:
    return UnreadableVideo(f"{source.name}: no frame can be decoded")
