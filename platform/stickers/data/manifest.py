"""Turns a listed file into a row: its facts, or the reason why it cannot be used."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stickers.artifacts.records import Clip
from stickers.data.collections import Listed, source_of
from stickers.data.encoding import canonical
from stickers.data.online import OVERSIZE
from stickers.video.clips import has_solid_background
from stickers.video.motion import frame_motion, vector_motion
from stickers.video.reading import read_video
from stickers.video.source import UnreadableVideoError

#: fewer frames make no clip of the paper's length
MIN_FRAMES = 8
UNKNOWN = Clip(
    clip_id="",
    uri="",
    caption="",
    source="",
    content="",
    num_frames=0,
    fps=0.0,
    variable_fps=False,
    width=0,
    height=0,
    has_alpha=False,
    cut_out=False,
    motion_score=0.0,
    vector_score=None,
    status="refused",
    reason="",
)


@dataclass(frozen=True)
class Examined:
    """A usable video: its row, its canonical frames by size (uint8 RGBA `[T, size, size, 4]`) and its track."""

    clip: Clip
    frames: dict[int, np.ndarray]
    track: Tensor


def row_of(listed: Listed, clip_id: str) -> Clip:
    """The row of a listed video before it is examined."""
    return replace(UNKNOWN, clip_id=clip_id, uri=listed.path, caption=listed.caption, source=listed.source)


def examine(row: Clip, sizes: tuple[int, ...]) -> Examined | Clip:
    """Decode one file.

    Returns:
        The completed row with frames and track, or the row with the reason why it is refused.
    """
    try:
        source = source_of(row.uri)
        frames, info = read_video(source, max_side=OVERSIZE * max(sizes))
        vectors = vector_motion(source)
    except (UnreadableVideoError, OSError) as error:
        return replace(row, reason=str(error))
    if len(frames) < MIN_FRAMES:
        reason = f"{row.uri} has {len(frames)} frames, at least {MIN_FRAMES} are needed"
        return replace(row, reason=reason)
    solid = has_solid_background(frames)
    pixels = {size: canonical(frames, size, cut=solid) for size in sizes}
    moved = frame_motion(pixels[min(sizes)])
    if vectors is None or len(vectors) != len(frames):
        vectors = np.full(len(frames), np.nan, np.float32)
    has_vectors = not np.isnan(vectors).any()
    complete = replace(
        row,
        num_frames=len(frames),
        fps=info.fps,
        variable_fps=info.variable_fps,
        width=info.width,
        height=info.height,
        has_alpha=info.has_alpha,
        cut_out=solid,
        motion_score=float(moved.mean()),
        vector_score=float(vectors.mean()) if has_vectors else None,
        status="ready",
    )
    track = np.stack([np.asarray(info.times), moved, vectors], axis=1).astype(np.float32)
    return Examined(complete, pixels, torch.from_numpy(track))
