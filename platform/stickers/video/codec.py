"""Writes videos, strips and animations, and reads strips and pictures; `reading` reads videos.

Inside the platform a clip is stored as a lossless strip. Animated formats merge equal frames and lose colour under
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
from PIL import Image, ImageOps, UnidentifiedImageError

from stickers.errors import UserError
from stickers.video.clips import OPAQUE, RGBA, on_white

MAX_STRIP_SIDE = 16383
"""WebP's own limit, in pixels."""
MAX_PICTURE_SIDE = 4096
"""Pixels; larger than any sticker, small enough that decoding takes no more than 64 MiB."""
ANIMATION_MEDIA_TYPES = ("image/webp", "image/apng", "image/gif", "video/mp4")
STRIP_OPTIONS = {"lossless": True, "exact": True, "quality": 50, "method": 3}
"""`exact` keeps colour under zero alpha; in lossless mode quality and method trade time for size alone."""
WEBP_OPTIONS = {"quality": 92, "method": 4}
"""For showing: artefacts are hardly visible at this quality."""
GIF_TICK_MS, TICK_MS = 10, 1
"""The clocks of GIF and of the other animated formats."""
GIF_COLOURS = 255
"""GIF's palette has 256 colours, one of which is transparency."""
GIF_OPAQUE = 128
"""Alpha from which a pixel is drawn in a GIF, whose pixels are either opaque or transparent."""
H264_OPTIONS = {"crf": "18", "preset": "veryfast", "x264-params": "mbtree=0"}
"""Visually lossless. With macroblock trees x264 wrote unequal files for equal clips 3 times in 30."""
MAX_FPS_DENOMINATOR = 1001
"""Enough for the rates of television, such as 30000 / 1001."""
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip
"""The exceptions of Pillow's decoders on damaged data."""


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
    strip = Image.fromarray(np.ascontiguousarray(frames_THWC).reshape(num_frames * height, width, RGBA))
    strip.save(buffer, "WEBP", **STRIP_OPTIONS)
    return buffer.getvalue()


def decode_strip(data: bytes, num_frames: int) -> np.ndarray:
    """The frames [num_frames, H, W, 4] of `encode_strip`; UserError when it is damaged or holds another number."""
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            strip = np.asarray(image.convert("RGBA"))
    except (OSError, EOFError) as error:  # UnidentifiedImageError is an OSError
        raise UserError(f"a strip of {len(data)} bytes cannot be decoded: {error}") from error
    if num_frames < 1 or strip.shape[0] % num_frames:
        raise UserError(f"a strip {strip.shape[0]} pixels high does not hold {num_frames} equal frames")
    return strip.reshape(num_frames, -1, strip.shape[1], RGBA)


def strip_size(data: bytes) -> int:
    """Pixels a side of a strip's frames, from its header alone. UserError when it is no strip."""
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            return int(image.width)
    except (OSError, EOFError) as error:
        raise UserError(f"a strip of {len(data)} bytes cannot be read: {error}") from error


def encode_animation(frames_THWC: np.ndarray, fps: float, media_type: str) -> bytes:
    """Encode a clip for showing: image/webp, image/apng, image/gif (all looping, with transparency) or video/mp4.

    The first three merge equal neighbouring frames and add up their durations: the file may hold fewer frames than
    the clip, but plays for num_frames / fps seconds (rounded to the format's clock: 1 ms, in GIF 10 ms). A clip whose
    frames are all equal becomes a still. MP4 has no alpha; its frames are composited over white.
    """
    if media_type not in ANIMATION_MEDIA_TYPES:
        raise UserError(f"an animation is {', '.join(ANIMATION_MEDIA_TYPES)}, not {media_type!r}")
    if not fps > 0:
        raise UserError(f"the frame rate must be positive, got {fps}")
    buffer = io.BytesIO()
    if media_type == "video/mp4":
        _encode_h264(buffer, frames_THWC, fps)
        return buffer.getvalue()
    tick_ms = GIF_TICK_MS if media_type == "image/gif" else TICK_MS
    ends = np.floor(np.arange(len(frames_THWC) + 1) * 1000 / fps / tick_ms + 0.5).astype(int) * tick_ms
    images = [Image.fromarray(frame) for frame in np.ascontiguousarray(frames_THWC)]
    common = {"save_all": True, "append_images": images[1:], "duration": np.diff(ends).tolist(), "loop": 0}
    if media_type == "image/webp":
        images[0].save(buffer, "WEBP", **WEBP_OPTIONS, **common)
    elif media_type == "image/apng":
        images[0].save(buffer, "PNG", **common)
    else:
        # Disposal 2: each frame replaces the last one; otherwise transparent parts would show earlier frames.
        images = [_palette(frame) for frame in frames_THWC]
        common["append_images"] = images[1:]
        images[0].save(buffer, "GIF", disposal=2, transparency=0, optimize=False, **common)
    return buffer.getvalue()


def decode_picture(data: bytes, *, max_side: int = MAX_PICTURE_SIDE) -> np.ndarray:
    """One PNG, WebP or JPEG picture as uint8 RGBA [H, W, 4], turned upright.

    UserError for another format, an animation, damaged data or a side of more than `max_side` pixels; the size is read
    from the header, before any pixel is decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "WEBP", "JPEG")) as image:
            if max(image.size) > max_side:
                raise _too_large(image.size, max_side)
            # Phones store a second picture behind a JPEG (MPO), which is no animation.
            num_frames = getattr(image, "n_frames", 1)
            if image.format in ("PNG", "WEBP") and num_frames > 1:
                raise _RefusedPictureError(
                    f"the picture is an animation of {num_frames} frames; a still is accepted"
                )
            return np.asarray(_rgba(ImageOps.exif_transpose(image)))
    except _RefusedPictureError:
        raise
    except Image.DecompressionBombError:
        raise UserError(
            f"the picture is far too large; at most {max_side}x{max_side} pixels are accepted"
        ) from None
    except UnidentifiedImageError:
        raise UserError("the file is not a picture; PNG, WebP and JPEG are accepted") from None
    except DECODER_ERRORS as error:
        raise UserError(f"the picture is damaged and cannot be decoded ({_first_line(error)})") from error


class _RefusedPictureError(UserError):
    """Our own verdict on a picture, distinct from a decoder's ValueError."""


def _too_large(size: tuple[int, int], max_side: int) -> _RefusedPictureError:
    return _RefusedPictureError(
        f"the picture is {size[0]}x{size[1]} pixels; at most {max_side}x{max_side} pixels are accepted"
    )


def _rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a channel; Pillow's own conversion clips instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, OPAQUE).astype(np.uint8))
    if image.mode == "CMYK":
        image = image.convert("RGB")
    return image.convert("RGBA")


def _palette(frame_HWC: np.ndarray) -> Image.Image:
    """A GIF frame: index 0 is transparent, 255 colours for the rest, half-transparent pixels over white."""
    opaque = on_white(frame_HWC[None])[0, ..., :-1]
    quantized = Image.fromarray(opaque).quantize(
        GIF_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    index = np.asarray(quantized) + np.uint8(1)
    image = Image.fromarray(np.where(frame_HWC[..., -1] < GIF_OPAQUE, 0, index).astype(np.uint8), "P")
    colours = quantized.getpalette() or []
    image.putpalette([OPAQUE] * 3 + colours[: GIF_COLOURS * 3])
    return image


def _encode_h264(target: str | io.BytesIO, frames_THWC: np.ndarray, fps: float) -> None:
    _, height, width, _ = frames_THWC.shape
    if height % 2 or width % 2:
        raise UserError(f"H.264 video needs even sides, got {width}x{height} pixels")
    opaque = on_white(frames_THWC)
    _encode(
        target,
        opaque,
        fps,
        codec="libx264",
        pix_fmt="yuv420p",
        options=H264_OPTIONS,
        container_format="mp4",
    )


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
        stream = container.add_stream(
            codec, rate=Fraction(fps).limit_denominator(MAX_FPS_DENOMINATOR), options=options
        )
        _, stream.height, stream.width, _ = frames_THWC.shape
        stream.pix_fmt = pix_fmt
        stream.thread_count = 1  # many processes write at once; more threads would only compete
        for pixels in np.ascontiguousarray(frames_THWC):
            # Converted here: the encoder's own conversion reads padding, so that equal clips give unequal files.
            frame = VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
