"""Pictures that people send to the student, and the requests that carry them."""

import io
import struct
import zlib
from typing import Any

import httpx
import numpy as np
from PIL import Image


def sticker(size: int = 96) -> np.ndarray:
    """A red ball with transparent surroundings."""
    y, x = np.mgrid[:size, :size]
    picture = np.zeros((size, size, 4), np.uint8)
    inside = np.hypot(y - size / 2, x - size / 2) < size / 3
    picture[inside] = (210, 40, 60, 255)
    return picture


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG that announces `side` pixels a side and holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animation(kind: str) -> bytes:
    """An animation of three frames, which is no picture."""
    frames = [Image.fromarray(np.roll(sticker(32), 3 * i, axis=1)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def animate(
    endpoint: str, picture: bytes | None = None, accept: str | None = None, **form: object
) -> httpx.Response:
    """Ask an endpoint for an animation, by default of `sticker`."""
    form.setdefault("prompt", "a ball jumping")
    files = {"picture": ("a.png", encoded(sticker()) if picture is None else picture)}
    headers = {"Accept": accept} if accept else {}
    return httpx.post(f"{endpoint}/v1/animate", data=form, files=files, headers=headers, timeout=120)


def frames_of(data: bytes) -> tuple[np.ndarray, float]:
    """Every stored frame as RGBA, and the playing time in milliseconds."""
    image = Image.open(io.BytesIO(data))
    frames, duration_ms = [], 0.0
    for i in range(image.n_frames):
        image.seek(i)
        image.load()
        frames.append(np.asarray(image.convert("RGBA")))
        duration_ms += image.info["duration"]
    return np.stack(frames), duration_ms
