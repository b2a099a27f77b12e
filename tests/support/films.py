"""Small videos whose every frame is known, in the codecs and arrangements that people's files have."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

#: how each file is encoded: the codec and its options
FILMS = {
    "default.mp4": ("libx264", {}),
    "short-gop.mp4": ("libx264", {"g": "7"}),
    "open-gop.mkv": ("libx264", {"g": "8", "x264-params": "open-gop=1:bframes=3"}),
    "no-b.mp4": ("libx264", {"bf": "0"}),
    "refresh.mp4": ("libx264", {"x264-params": "intra-refresh=1:keyint=10:bframes=0"}),
    "annex-b.ts": ("libx264", {"g": "9"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=10:log-level=none"}),
    "part2.mp4": ("mpeg4", {"g": "10", "bf": "2"}),
    "vp8.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "10", "g": "12"}),
    "vp9.webm": ("libvpx-vp9", {"g": "12", "cpu-used": "8"}),
}


def drifting(num_frames: int, size: int = 64) -> np.ndarray:
    """A texture on its way to the lower right, uint8 RGBA."""
    small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 4), dtype=np.uint8))
    texture = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC)).copy()
    texture[..., 3] = 255
    return np.stack([np.roll(texture, (t, 2 * t), (0, 1)) for t in range(num_frames)])


def encode(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    ticks: list[int] | None = None,
    **options: str,
) -> str:
    """Write frames; `ticks` are their times in hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        if ticks:
            stream.codec_context.time_base = Fraction(1, 100)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pix_fmt)
            if ticks:
                frame.pts, frame.time_base = ticks[number], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return str(path)
