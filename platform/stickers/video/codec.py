"""The one place where encoded pixels become arrays and arrays become files.

Inside the platform a clip travels as a lossless strip; animated formats merge equal frames and lose colour under
zero alpha, so they are made at the edge only (HTTP answers, previews). PyAV alone reads and writes video: it keeps
alpha, which decord does not.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from PIL import Image, ImageOps

from stickers.video.clips import on_white

MAX_DECODED_BYTES = 2 << 30
"""Most memory that one decoded video may take; longer ones must be cut or shrunk first."""
MAX_STRIP_SIDE = 16383
"""WebP's own limit, in pixels."""
ANIMATION_MEDIA_TYPES = ("image/webp", "image/apng", "image/gif", "video/mp4")


class UnreadableVideo(ValueError):
    """A file that is no readable video; the message is one sentence that names the file and what is wrong."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds: `width` and `height` in pixels as displayed (or as read, shrunk), `fps` the average rate."""

    num_frames: int
    fps: float
    width: int
    height: int
    has_alpha: bool


def probe(path: str) -> VideoInfo:
    """Read the headers and the first frame. UnreadableVideo for a missing, empty, truncated or foreign file."""
    with _opened(path) as (container, stream):
        num_frames = stream.frames
        if not num_frames:  # Matroska and WebM do not say
            num_frames = sum(packet.size > 0 for packet in container.demux(stream))
            container.seek(0)
        first = next(_decoded(container, stream), None)
        if first is None:
            raise UnreadableVideo(f"{path}: no frame can be decoded")
        height, width = _upright(first, (stream.width, stream.height)).shape[:2]
        return _info(path, stream, num_frames, width, height)


def read_video(path: str, *, max_side: int | None = None) -> tuple[np.ndarray, VideoInfo]:
    """All frames as uint8 RGBA [T, H, W, 4], upright; alpha is 255 where the file has none.

    `max_side` shrinks while decoding so that neither side exceeds it. UnreadableVideo as `probe`, and when a frame
    cannot be decoded or all frames together would take more than MAX_DECODED_BYTES.
    """
    frames: list[np.ndarray] = []
    with _opened(path) as (container, stream):
        size = _shrunk(stream, max_side)
        for frame in _decoded(container, stream):
            if frame.is_corrupt:
                raise UnreadableVideo(f"{path}: frame {len(frames)} is damaged")
            frames.append(_upright(frame, size))
            if frames[0].nbytes * len(frames) > MAX_DECODED_BYTES:
                raise UnreadableVideo(
                    f"{path}: too long to read whole, {len(frames)} frames of {size[0]}x{size[1]} pixels already"
                    f" take more than {MAX_DECODED_BYTES >> 30} GiB"
                )
        if not frames:
            raise UnreadableVideo(f"{path}: no frame can be decoded")
        height, width = frames[0].shape[:2]
        return np.stack(frames), _info(path, stream, len(frames), width, height)


def write_video(path: str, frames_THWC: np.ndarray, fps: float) -> None:
    """Write .mp4 (H.264, composited over white, even sides) or .mov (PNG, lossless, keeps alpha)."""
    suffix = Path(path).suffix.lower()
    if suffix == ".mp4":
        _encode_h264(path, frames_THWC, fps)
    elif suffix == ".mov":
        _encode(path, frames_THWC, fps, codec="png", pix_fmt="rgba", options={}, container_format="mov")
    else:
        raise ValueError(f"{path}: a video is written as .mp4 or .mov, not {suffix or 'without an ending'}")


def encode_strip(frames_THWC: np.ndarray) -> bytes:
    """Lossless static WebP with the frames stacked from top to bottom; colour under zero alpha survives."""
    num_frames, height, width, _ = frames_THWC.shape
    if max(num_frames * height, width) > MAX_STRIP_SIDE:
        raise ValueError(
            f"a strip of {num_frames} frames of {width}x{height} pixels exceeds WebP's {MAX_STRIP_SIDE} pixels a side"
        )
    buffer = io.BytesIO()
    strip = Image.fromarray(np.ascontiguousarray(frames_THWC).reshape(num_frames * height, width, 4))
    strip.save(buffer, "WEBP", lossless=True, exact=True, quality=50, method=3)
    return buffer.getvalue()


def decode_strip(data: bytes, num_frames: int) -> np.ndarray:
    """The frames [num_frames, H, W, 4] of `encode_strip`; ValueError when the height is no multiple of `num_frames`."""
    with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
        strip = np.asarray(image.convert("RGBA"))
    if num_frames < 1 or strip.shape[0] % num_frames:
        raise ValueError(f"a strip {strip.shape[0]} pixels high does not hold {num_frames} equal frames")
    return strip.reshape(num_frames, -1, strip.shape[1], 4)


def encode_animation(frames_THWC: np.ndarray, fps: float, media_type: str) -> bytes:
    """Encode a clip for showing: image/webp, image/apng, image/gif (all looping, with transparency) or video/mp4.

    The first three merge neighbouring frames that are equal, and add up their durations: fewer frames may be stored
    than given, but the whole always plays for num_frames / fps seconds (rounded to the format's clock: 1 ms, in GIF
    10 ms). A clip whose frames are all equal becomes a still. MP4 has no alpha and is composited over white.
    """
    if media_type not in ANIMATION_MEDIA_TYPES:
        raise ValueError(f"an animation is {', '.join(ANIMATION_MEDIA_TYPES)}, not {media_type!r}")
    if not fps > 0:
        raise ValueError(f"the frame rate must be positive, got {fps}")
    buffer = io.BytesIO()
    if media_type == "video/mp4":
        _encode_h264(buffer, frames_THWC, fps)
        return buffer.getvalue()
    tick_ms = 10 if media_type == "image/gif" else 1
    ends = np.floor(np.arange(len(frames_THWC) + 1) * 1000 / fps / tick_ms + 0.5).astype(int) * tick_ms
    images = [Image.fromarray(frame) for frame in np.ascontiguousarray(frames_THWC)]
    common = {"save_all": True, "append_images": images[1:], "duration": np.diff(ends).tolist(), "loop": 0}
    if media_type == "image/webp":
        images[0].save(buffer, "WEBP", quality=92, method=4, **common)
    elif media_type == "image/apng":
        images[0].save(buffer, "PNG", **common)
    else:
        # GIF pixels are either there or not; each frame replaces the last, or transparent parts would pile up.
        images = [_palette(frame) for frame in frames_THWC]
        common["append_images"] = images[1:]
        images[0].save(buffer, "GIF", disposal=2, transparency=0, optimize=False, **common)
    return buffer.getvalue()


def decode_picture(data: bytes, *, max_side: int = 4096) -> np.ndarray:
    """One PNG, WebP or JPEG picture as uint8 RGBA [H, W, 4], turned upright.

    ValueError in one sentence when it is none of these, an animation, damaged, or larger than `max_side` pixels a
    side; the size is checked in the header, before any pixel is decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "WEBP", "JPEG")) as image:
            if max(image.size) > max_side:
                raise _too_large(image.size, max_side)
            # Phones store a second picture behind a JPEG (MPO); that is no animation.
            num_frames = getattr(image, "n_frames", 1)
            if image.format in ("PNG", "WEBP") and num_frames > 1:
                raise _Refused(f"the picture is an animation of {num_frames} frames; a still is accepted")
            return np.asarray(_rgba(ImageOps.exif_transpose(image)))
    except _Refused:
        raise
    except Image.DecompressionBombError:
        raise ValueError(
            f"the picture is far too large; at most {max_side}x{max_side} pixels are accepted"
        ) from None
    except Image.UnidentifiedImageError:
        raise ValueError("the file is not a picture; PNG, WebP and JPEG are accepted") from None
    except _DECODER_ERRORS as error:
        raise ValueError(f"the picture is damaged and cannot be decoded ({_first_line(error)})") from error


class _Refused(ValueError):
    """Our own verdict on a picture, told apart from what a decoder raises."""


# What Pillow's decoders raise on damaged data.
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip


def _too_large(size: tuple[int, int], max_side: int) -> _Refused:
    return _Refused(
        f"the picture is {size[0]}x{size[1]} pixels; at most {max_side}x{max_side} pixels are accepted"
    )


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a channel; Pillow's own conversion clips instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode == "CMYK":
        image = image.convert("RGB")
    return image.convert("RGBA")


def _palette(frame_HWC: np.ndarray) -> Image.Image:
    """A GIF frame: index 0 is transparent, 255 colours for the rest, half-transparent pixels over white."""
    opaque = on_white(frame_HWC[None])[0, ..., :3]
    quantized = Image.fromarray(opaque).quantize(255, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    index = np.asarray(quantized) + np.uint8(1)
    image = Image.fromarray(np.where(frame_HWC[..., 3] < 128, 0, index).astype(np.uint8), "P")
    colours = quantized.getpalette() or []
    image.putpalette([255, 255, 255, *colours[: 255 * 3]])
    return image


@contextmanager
def _opened(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video and turn every way in which that fails into one UnreadableVideo."""
    file = Path(path)
    if not file.is_file():
        raise UnreadableVideo(f"{path}: there is no such file")
    if file.stat().st_size == 0:
        raise UnreadableVideo(f"{path}: the file is empty (0 bytes)")
    _refuse_truncated_mp4(file)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video or _is_picture(container):
                raise UnreadableVideo(f"{path}: the file holds no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UnreadableVideo(f"{path}: the video's codec is unknown")
            stream.thread_type = "AUTO"
            yield container, stream
    except av.FFmpegError as error:
        raise UnreadableVideo(f"{path}: cannot be decoded as a video ({error.strerror or error})") from error


def _is_picture(container: InputContainer) -> bool:
    """FFmpeg opens a still picture, and even a text file, as a video of one frame."""
    name = container.format.name
    return name in ("image2", "tty", "png_pipe") or name.endswith("_pipe")


def _refuse_truncated_mp4(file: Path) -> None:
    """Walk the top-level boxes of an MP4 or MOV: FFmpeg decodes what is there and says nothing of what is not."""
    total = file.stat().st_size
    with file.open("rb") as data:
        position = 0
        while position < total:
            data.seek(position)
            header = data.read(16)
            kind = header[4:8]
            if position == 0 and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return
            size = int.from_bytes(header[:4], "big")
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if size == 0:  # the last box reaches to the end of the file
                return
            if size < 8 or position + size > total:
                raise UnreadableVideo(
                    f"{file}: the file is truncated or damaged at byte {position} of {total}"
                )
            position += size


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Decoded frames; VP8/VP9 with alpha goes through libvpx, since FFmpeg's own decoder drops the alpha."""
    codec = stream.codec_context.name
    if codec in ("vp8", "vp9") and _has_hidden_alpha(stream):
        decoder = av.VideoCodecContext.create("libvpx" if codec == "vp8" else "libvpx-vp9", "r")
        for packet in container.demux(stream):
            yield from decoder.decode(packet if packet.size else None)
        return
    yield from container.decode(stream)


def _has_hidden_alpha(stream: VideoStream) -> bool:
    """WebM keeps alpha beside the video and says so in a tag whose case depends on who wrote it."""
    return {k.lower(): v for k, v in stream.metadata.items()}.get("alpha_mode") == "1"


def _info(path: str, stream: VideoStream, num_frames: int, width: int, height: int) -> VideoInfo:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    if not rate:
        raise UnreadableVideo(f"{path}: the video states no frame rate")
    pixel = stream.codec_context.format
    planes = pixel.components if pixel else ()
    alpha = _has_hidden_alpha(stream) or any(plane.is_alpha for plane in planes)
    return VideoInfo(num_frames, float(rate), width, height, alpha)


def _shrunk(stream: VideoStream, max_side: int | None) -> tuple[int, int]:
    longest = max(stream.width, stream.height)
    scale = min(1.0, max_side / longest) if max_side else 1.0
    return max(1, round(stream.width * scale)), max(1, round(stream.height * scale))


def _upright(frame: VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """RGBA pixels, turned as the file's display matrix says (phones film sideways)."""
    rgba = frame.reformat(size[0], size[1], format="rgba", interpolation=Interpolation.AREA).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgba, round(frame.rotation / 90) % 4))


def _encode_h264(target: str | io.BytesIO, frames_THWC: np.ndarray, fps: float) -> None:
    height, width = frames_THWC.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"H.264 video needs even sides, got {width}x{height} pixels")
    # Macroblock trees off: with them x264 gives unequal files for equal clips now and then (measured, 3 in 30).
    options = {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
    opaque = on_white(frames_THWC)
    _encode(target, opaque, fps, codec="libx264", pix_fmt="yuv420p", options=options, container_format="mp4")


def _encode(
    target: str | io.BytesIO,
    frames_THWC: np.ndarray,
    fps: float,
    *,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    container_format: str,
) -> None:
    if not fps > 0:
        raise ValueError(f"the frame rate must be positive, got {fps}")
    # The index goes to the front, so that browsers start at once; FFmpeg can only do that in a real file.
    muxing = {"movflags": "+faststart"} if isinstance(target, str) else {}
    with av.open(target, "w", format=container_format, options=muxing) as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width = frames_THWC.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.thread_count = 1  # many processes write at once; threads only get in the way
        for pixels in np.ascontiguousarray(frames_THWC):
            # Converted here: left to the encoder, the conversion reads padding, and equal clips become unequal files.
            frame = VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
