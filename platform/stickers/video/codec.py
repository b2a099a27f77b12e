"""The one place where arrays become files, and where strips and pictures become arrays; videos are read in `reading`.

Inside the platform a clip travels as a lossless strip; animated formats merge equal frames and lose colour under
zero alpha, so they are made at the edge only (HTTP answers, previews).
"""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from PIL import Image, ImageOps

from stickers.errors import UserError
from stickers.video.clips import on_white

MAX_STRIP_SIDE = 16383
"""WebP's own limit, in pixels."""
ANIMATION_MEDIA_TYPES = ("image/webp", "image/apng", "image/gif", "video/mp4")


def write_video(path: str, frames_THWC: np.ndarray, fps: float) -> None:
    """Write .mp4 (H.264, composited over white, even sides) or .mov (PNG, lossless, keeps alpha)."""
    suffix = Path(path).suffix.lower()
    if suffix == ".mp4":
        _encode_h264(path, frames_THWC, fps)
    elif suffix == ".mov":
        _encode(path, frames_THWC, fps, codec="png", pix_fmt="rgba", options={}, container_format="mov")
    else:
        raise UserError(f"{path}: a video is written as .mp4 or .mov, not {suffix or 'without an ending'}")


def encode_strip(frames_THWC: np.ndarray) -> bytes:
    """Lossless static WebP with the frames stacked from top to bottom; colour under zero alpha survives."""
    num_frames, height, width, _ = frames_THWC.shape
    if max(num_frames * height, width) > MAX_STRIP_SIDE:
        raise UserError(
            f"a strip of {num_frames} frames of {width}x{height} pixels exceeds WebP's {MAX_STRIP_SIDE} pixels a side"
        )
    buffer = io.BytesIO()
    strip = Image.fromarray(np.ascontiguousarray(frames_THWC).reshape(num_frames * height, width, 4))
    strip.save(buffer, "WEBP", lossless=True, exact=True, quality=50, method=3)
    return buffer.getvalue()


def decode_strip(data: bytes, num_frames: int) -> np.ndarray:
    """The frames [num_frames, H, W, 4] of `encode_strip`; UserError when it is torn or not of so many equal frames."""
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            strip = np.asarray(image.convert("RGBA"))
    except (OSError, EOFError) as error:  # UnidentifiedImageError is an OSError
        raise UserError(f"a strip of {len(data)} bytes cannot be decoded: {error}") from error
    if num_frames < 1 or strip.shape[0] % num_frames:
        raise UserError(f"a strip {strip.shape[0]} pixels high does not hold {num_frames} equal frames")
    return strip.reshape(num_frames, -1, strip.shape[1], 4)


def encode_animation(frames_THWC: np.ndarray, fps: float, media_type: str) -> bytes:
    """Encode a clip for showing: image/webp, image/apng, image/gif (all looping, with transparency) or video/mp4.

    The first three merge neighbouring frames that are equal, and add up their durations: fewer frames may be stored
    than given, but the whole always plays for num_frames / fps seconds (rounded to the format's clock: 1 ms, in GIF
    10 ms). A clip whose frames are all equal becomes a still. MP4 has no alpha and is composited over white.
    """
    if media_type not in ANIMATION_MEDIA_TYPES:
        raise UserError(f"an animation is {', '.join(ANIMATION_MEDIA_TYPES)}, not {media_type!r}")
    if not fps > 0:
        raise UserError(f"the frame rate must be positive, got {fps}")
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

    UserError in one sentence when it is none of these, an animation, damaged, or larger than `max_side` pixels a
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
        raise UserError(
            f"the picture is far too large; at most {max_side}x{max_side} pixels are accepted"
        ) from None
    except Image.UnidentifiedImageError:
        raise UserError("the file is not a picture; PNG, WebP and JPEG are accepted") from None
    except _DECODER_ERRORS as error:
        raise UserError(f"the picture is damaged and cannot be decoded ({_first_line(error)})") from error


class _Refused(UserError):
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


def _encode_h264(target: str | io.BytesIO, frames_THWC: np.ndarray, fps: float) -> None:
    height, width = frames_THWC.shape[1:3]
    if height % 2 or width % 2:
        raise UserError(f"H.264 video needs even sides, got {width}x{height} pixels")
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
        raise UserError(f"the frame rate must be positive, got {fps}")
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
