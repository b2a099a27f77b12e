"""Pixel arithmetic between a video file and the model: which frames, what size, what is background.

All functions take and return uint8 RGBA `THWC` arrays (a picture is a clip of one frame). They need numpy and Pillow
alone, so that machines without a video library can use them.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import floor
from typing import Literal

import numpy as np
from PIL import Image

from stickers.errors import UserError

ConditioningKind = Literal["first", "middle", "last", "random"]

RGBA = 4
"""Channels of every frame."""
OPAQUE = 255
"""Alpha of a pixel that hides everything behind it; also the value of white in each colour channel."""
BACKGROUND_TOLERANCE = 28
"""Largest difference in any channel (0-255) from the border's colour that still counts as background.

H.264 and JPEG add noise of about 10 to a solid colour; drawn colours differ by far more.
"""
CLOCK_ERROR = 1e-6
"""Seconds; far shorter than any frame stays."""
SOLID_SHARE = 0.8
"""Share of the border that must have one colour; the subject may touch the rest."""


def frame_spacing(video_fps: float, fps: float, video_frames: int, num_frames: int) -> int:
    """Frames from one sampled frame to the next: min(round(video fps / fps), floor(video frames / num_frames)).

    At least 1 (a slower video keeps its rate); halves round up (paper 3.1.1). UserError when the video has fewer than
    `num_frames` frames or a rate or count is not positive.
    """
    if not (video_fps > 0 and fps > 0):
        raise UserError(f"frame rates must be positive, got {video_fps} fps sampled at {fps} fps")
    if num_frames < 1:
        raise UserError(f"a clip has at least 1 frame, got {num_frames}")
    if video_frames < num_frames:
        raise UserError(f"the video has {video_frames} frames, at least {num_frames} are needed")
    return max(1, min(floor(video_fps / fps + 0.5), video_frames // num_frames))


def clip_indices(
    video_frames: int, video_fps: float, *, fps: float, num_frames: int, start_fraction: float | None
) -> np.ndarray:
    """Indices [num_frames] of a uniformly spaced clip.

    `start_fraction` in [0, 1) picks among all windows that fit; None takes the window whose middle conditioning frame
    lies as near as possible to half of the video.
    """
    if start_fraction is not None and not 0 <= start_fraction < 1:
        raise UserError(f"start_fraction must lie in [0, 1), got {start_fraction}")
    spacing = frame_spacing(video_fps, fps, video_frames, num_frames)
    num_starts = video_frames - (num_frames - 1) * spacing
    if start_fraction is None:
        start = video_frames // 2 - conditioning_index("middle", num_frames) * spacing
        start = min(max(0, start), num_starts - 1)
    else:
        start = floor(start_fraction * num_starts)
    return start + spacing * np.arange(num_frames)


def clip_indices_by_time(
    times: Sequence[float],
    *,
    fps: float,
    num_frames: int,
    start_fraction: float | None,
    duration: float | None = None,
) -> np.ndarray:
    """Indices [num_frames] of the frames shown at evenly spaced instants of a video whose frame rate varies.

    Args:
        times: when each frame appears, in seconds from 0, increasing.
        fps: instants lie 1 / fps seconds apart, or duration / num_frames where the video is too short for that.
        start_fraction: as in `clip_indices`: picks the first instant among those that leave the last one within the
            video; None puts the middle conditioning frame as near as possible to half of the video.
        duration: when the last frame disappears, in seconds; by default it stays as long as the average frame.

    A frame that stays for several instants is taken several times: that is how the video looks. For a steady rate
    that is a multiple of `fps` the result equals that of `clip_indices`.
    """
    if start_fraction is not None and not 0 <= start_fraction < 1:
        raise UserError(f"start_fraction must lie in [0, 1), got {start_fraction}")
    if not fps > 0:
        raise UserError(f"frame rates must be positive, got {fps} fps")
    if num_frames < 1:
        raise UserError(f"a clip has at least 1 frame, got {num_frames}")
    if len(times) == 0 or times[0] != 0 or any(late <= early for early, late in pairwise(times)):
        raise UserError("the frames' times must increase from 0 seconds")
    if duration is None:
        duration = times[-1] * len(times) / max(1, len(times) - 1)
    spacing = min(1 / fps, duration / num_frames)
    room = duration - (num_frames - 1) * spacing
    if start_fraction is None:
        start = duration / 2 - conditioning_index("middle", num_frames) * spacing
    else:
        start = start_fraction * room
    instants = min(max(0.0, start), room) + spacing * np.arange(num_frames)
    # Rounding may put an instant just before the beginning of the frame that it belongs to.
    return np.searchsorted(np.asarray(times), instants + CLOCK_ERROR, side="right") - 1


def conditioning_index(
    kind: ConditioningKind, num_frames: int, rng: np.random.Generator | None = None
) -> int:
    """Index of the frame that the model is conditioned on (paper 3.1.2); the middle of eight is the fourth, index 3."""
    if num_frames < 1:
        raise UserError(f"a clip needs at least 1 frame, got {num_frames}")
    if kind == "first":
        return 0
    if kind == "middle":
        return max(0, num_frames // 2 - 1)
    if kind == "last":
        return num_frames - 1
    if kind == "random":
        if rng is None:
            raise UserError("a random conditioning frame needs a generator")
        return int(rng.integers(num_frames))
    raise UserError(f"conditioning frame must be first, middle, last or random, got {kind!r}")


def fit_picture(picture_HWC: np.ndarray, size: int) -> np.ndarray:
    """A picture as the model is shown it: uint8 RGBA `[size, size, 4]`, scaled by `fit`, its colours over white.

    Scaling leaves black under alpha 0, which the autoencoder would take for a dark background.
    """
    return on_white(fit(picture_HWC[None], size))[0]


def fit(frames_THWC: np.ndarray, size: int) -> np.ndarray:
    """Scale to a square of `size` pixels (antialiased, alpha-weighted): [T, size, size, 4].

    What is oblong and has transparent pixels gets more of them beside it, so that nothing of a cut-out figure is lost;
    what is opaque loses its longer side's ends, since bars would be a part of the picture.
    """
    if size < 1:
        raise UserError(f"size must be at least 1 pixel, got {size}")
    _check(frames_THWC)
    side = square_side(frames_THWC)
    if side > min(frames_THWC.shape[1:3]):
        frames_THWC = _padded(frames_THWC)
    height, width = frames_THWC.shape[1:3]
    if (height, width) == (size, size):
        return frames_THWC
    x, y = (width - side) / 2, (height - side) / 2
    box = (x, y, x + side, y + side)
    # Up as down: the bicubic kernel widens with the scale when shrinking, so nothing aliases.
    resized = [
        Image.fromarray(frame).resize((size, size), Image.Resampling.BICUBIC, box) for frame in frames_THWC
    ]
    return np.stack([np.asarray(frame) for frame in resized])


def square_side(frames_THWC: np.ndarray) -> int:
    """Pixels a side of the square that `fit` scales: the longer side where it pads, else the shorter."""
    height, width = frames_THWC.shape[1:3]
    if height == width:
        return int(height)
    is_transparent = bool((frames_THWC[..., -1] < OPAQUE).any())
    return int(max(height, width) if is_transparent else min(height, width))


def _padded(frames_THWC: np.ndarray) -> np.ndarray:
    """Frames in the middle of a transparent square."""
    num_frames, height, width, channels = frames_THWC.shape
    side = max(height, width)
    y, x = (side - height) // 2, (side - width) // 2
    square = np.zeros((num_frames, side, side, channels), frames_THWC.dtype)
    square[:, y : y + height, x : x + width] = frames_THWC
    return square


def shrink(frames_THWC: np.ndarray, max_side: int) -> np.ndarray:
    """Scale down (antialiased, alpha-weighted, proportions kept) until neither side exceeds `max_side`; never up."""
    _check(frames_THWC)
    height, width = frames_THWC.shape[1:3]
    if max(height, width) <= max_side:
        return frames_THWC
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    resized = [Image.fromarray(frame).resize(size, Image.Resampling.BOX) for frame in frames_THWC]
    return np.stack([np.asarray(frame) for frame in resized])


def on_white(frames_THWC: np.ndarray) -> np.ndarray:
    """Composite the colours over white and keep alpha: the model's canonical form, whatever lay under alpha 0."""
    _check(frames_THWC)
    alpha = frames_THWC[..., -1:].astype(np.uint16)
    # x / 255 rounded to nearest, in integers
    mixed = (frames_THWC[..., :-1] * alpha + OPAQUE * (OPAQUE - alpha) + OPAQUE // 2) // OPAQUE
    return np.concatenate([mixed.astype(np.uint8), frames_THWC[..., -1:]], axis=-1)


def has_solid_background(frames_THWC: np.ndarray) -> bool:
    """True for an opaque clip whose border has one colour in every frame: such a background can be cut out."""
    _check(frames_THWC)
    if (frames_THWC[..., -1] < OPAQUE).any():
        return False
    border = _border(frames_THWC)
    alike = np.abs(border - _border_colour(border)[:, None]).max(axis=-1) <= BACKGROUND_TOLERANCE
    return not (alike.mean(axis=1) < SOLID_SHARE).any()


def cut_out(frames_THWC: np.ndarray) -> np.ndarray:
    """Make a solid background transparent: alpha 0 where it is connected to the border, else 255.

    Background enclosed by the subject stays. A clip without a solid background is returned unchanged.
    """
    return cut_background(frames_THWC) if has_solid_background(frames_THWC) else frames_THWC


def cut_background(frames_THWC: np.ndarray) -> np.ndarray:
    """Make the colour of each frame's border transparent where it is connected to the border; checks nothing."""
    colour = _border_colour(_border(frames_THWC))
    rgb = frames_THWC[..., :-1].astype(np.int16)
    candidate = np.abs(rgb - colour[:, None, None]).max(axis=-1) <= BACKGROUND_TOLERANCE
    cut = frames_THWC.copy()
    cut[..., -1] = np.where(_reached_from_border(candidate), 0, OPAQUE)
    return cut


def _border(frames_THWC: np.ndarray) -> np.ndarray:
    """The outermost pixels of each frame, int16 `[T, P, 3]`."""
    rgb = frames_THWC[..., :-1].astype(np.int16)
    return np.concatenate([rgb[:, 0], rgb[:, -1], rgb[:, 1:-1, 0], rgb[:, 1:-1, -1]], axis=1)


def _border_colour(border_TPC: np.ndarray) -> np.ndarray:
    colour_TC: np.ndarray = np.median(border_TPC, axis=1).astype(np.int16)
    return colour_TC


def _reached_from_border(open_THW: np.ndarray) -> np.ndarray:
    """Open cells that are 4-connected to the border; sweeps over full runs of rows, then of columns."""
    reached = np.zeros_like(open_THW)
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        reached[edge] = open_THW[edge]
    while True:
        before = int(reached.sum())
        reached = _fill_runs(open_THW, reached)
        turned = _fill_runs(open_THW.swapaxes(1, 2), reached.swapaxes(1, 2))
        reached = turned.swapaxes(1, 2)
        if int(reached.sum()) == before:
            return reached


def _fill_runs(open_THW: np.ndarray, reached_THW: np.ndarray) -> np.ndarray:
    """Spread `reached` along each unbroken run of open cells in a row."""
    rows = np.ascontiguousarray(open_THW).reshape(-1, open_THW.shape[2])
    walls = np.zeros((rows.shape[0], rows.shape[1] + 1), dtype=bool)  # one wall closes each row
    walls[:, :-1] = ~rows
    run = np.cumsum(walls.ravel()).reshape(walls.shape)[:, :-1]  # cells of one run share a number
    seeds = np.ascontiguousarray(reached_THW).reshape(rows.shape)
    touched = np.zeros(int(run[-1, -1]) + 1, dtype=bool)
    touched[run[seeds]] = True
    filled: np.ndarray = (touched[run] & rows).reshape(open_THW.shape)
    return filled


def _check(frames_THWC: np.ndarray) -> None:
    if frames_THWC.ndim != 4 or frames_THWC.shape[-1] != RGBA or frames_THWC.dtype != np.uint8:
        raise UserError(
            f"frames must be uint8 RGBA of shape [T, H, W, 4], got {frames_THWC.dtype} {list(frames_THWC.shape)}"
        )
    if 0 in frames_THWC.shape:
        raise UserError(f"frames must not be empty, got shape {list(frames_THWC.shape)}")
