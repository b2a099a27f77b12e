"""Toy clips with one plain fault each: what automatic checks are tried on.

Every function takes a clean clip, uint8 RGBA `[T, H, W, 4]`, and a random generator, and gives a faulty one.
"""

import io
from collections.abc import Callable

import av
import numpy as np

from stickers.video.clips import on_white

Fault = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def still(clip_THWC: np.ndarray, _dice: np.random.Generator) -> np.ndarray:
    """One frame throughout."""
    return np.repeat(clip_THWC[:1], len(clip_THWC), axis=0)


def noisy_still(clip_THWC: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """One frame throughout, each time with other noise of up to three levels."""
    clip = still(clip_THWC, dice).astype(np.int16)
    clip[..., :3] += dice.integers(-3, 4, clip[..., :3].shape, dtype=np.int16)
    return clip.clip(0, 255).astype(np.uint8)


def coded_still(clip_THWC: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """One frame throughout, over white, as H.264 leaves it at CRF 28."""
    frames = on_white(still(clip_THWC, dice))[..., :3]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "28"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        colours = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    return np.concatenate([colours, np.full_like(colours[..., :1], 255)], axis=-1)


def two_in_turn(clip_THWC: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """Two places that take turns."""
    clip = still(clip_THWC, dice)
    clip[1::2] = np.roll(clip[1::2], clip.shape[2] // 8, axis=2)
    return clip


def shuffled(clip_THWC: np.ndarray, _dice: np.random.Generator) -> np.ndarray:
    """Frames in an order that goes to and fro: the first, the last, the second, the last but one, and so on."""
    count = len(clip_THWC)
    ends = [end for pair in zip(range(count), reversed(range(count)), strict=True) for end in pair]
    return clip_THWC[ends[:count]]


def pulsing(clip_THWC: np.ndarray, _dice: np.random.Generator) -> np.ndarray:
    """Every other frame darker by a third."""
    clip = clip_THWC.copy()
    clip[1::2, ..., :3] = (clip[1::2, ..., :3] * np.float32(2 / 3)).astype(np.uint8)
    return clip


def burning(clip_THWC: np.ndarray, _dice: np.random.Generator) -> np.ndarray:
    """Colours that grow up to sixfold and saturate."""
    clip = clip_THWC.astype(np.float32)
    clip[..., :3] *= np.linspace(1, 6, len(clip))[:, None, None, None]
    return clip.clip(0, 255).astype(np.uint8)


def cut_by_the_edge(clip_THWC: np.ndarray, _dice: np.random.Generator) -> np.ndarray:
    """The middle half of each frame."""
    height, width = clip_THWC.shape[1:3]
    top, start = height // 4, width // 4
    return clip_THWC[:, top : top + height // 2, start : start + width // 2]


def nothing(clip_THWC: np.ndarray, _dice: np.random.Generator) -> np.ndarray:
    """Transparent throughout."""
    clip = clip_THWC.copy()
    clip[..., 3] = 0
    return clip


def one_empty_frame(clip_THWC: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """A frame in the middle that shows nothing."""
    clip = clip_THWC.copy()
    clip[dice.integers(1, max(2, len(clip) - 1))] = 0
    return clip


#: each fault with the verdict that it deserves
FAULTS: dict[Fault, str] = {
    still: "frozen",
    noisy_still: "frozen",
    coded_still: "frozen",
    two_in_turn: "flickering",
    shuffled: "flickering",
    pulsing: "flickering",
    burning: "clipped",
    cut_by_the_edge: "clipped",
    nothing: "empty",
    one_empty_frame: "empty",
}
