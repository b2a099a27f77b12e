"""How much a clip moves, frame by frame: the two scores of paper section 3.1.1.

The first is vmafmotion, on decoded pixels, with the integer arithmetic of FFmpeg's filter; the second the length of the
motion vectors that an H.264 file already holds. Both come per frame, so that any window of a video can be scored later.
"""

from pathlib import Path

import numpy as np

from stickers.errors import UserError
from stickers.video.animations import animation_kind
from stickers.video.clips import on_white
from stickers.video.packets import Index, decoded, ended, index_packets, opened, serves_others
from stickers.video.source import Source, as_source

#: the 5-tap Gaussian of FFmpeg's vmafmotion filter, in units of 1 / 32768
OUTER, INNER, CENTRE = 1785, 8002, 13193
SHIFT = 15
#: BT.601
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
#: pixels of one frame that are worked on at once: what the processor's caches hold
BAND_PIXELS = 1 << 15
#: a picture of type I, in FFmpeg's counting: it is coded from itself alone and holds no vectors
INTRA = 1
#: H.264 codes squares of so many pixels, beyond the picture's edge if need be
MACROBLOCK = 16


def luma(frames_THWC: np.ndarray) -> np.ndarray:
    """BT.601 luma, uint8 `[T, H, W]` over the full 0-255, of uint8 RGBA frames over white."""
    return np.stack([np.rint(on_white(f[None])[0, ..., :3] @ LUMA).astype(np.uint8) for f in frames_THWC])


def motion_score(frames_THWC: np.ndarray) -> float:
    """Mean vmafmotion, 0-255; the first frame has no predecessor and counts as zero, as in FFmpeg's filter."""
    return float(frame_motion(frames_THWC).mean())


def frame_motion(frames_THWC: np.ndarray) -> np.ndarray:
    """vmafmotion of each of these uint8 RGBA frames to the one before it, float32 `[T]`, 0-255; 0 for the first."""
    return luma_motion(luma(frames_THWC))


def window_score(scores_T: np.ndarray, first: int, last: int) -> float:
    """The score of the frames [first, last) of a video, from its scores per frame.

    Each frame's score is its difference to the one before it, so that of the window's first frame belongs to what went
    before and is left out: a window of n frames has n - 1 differences. A single frame scores 0.
    """
    if not 0 <= first < last <= len(scores_T):
        raise UserError(f"a window [{first}, {last}) does not lie in a video of {len(scores_T)} frames")
    return float(np.mean(scores_T[first + 1 : last])) if last - first > 1 else 0.0


def luma_motion(luma_THW: np.ndarray, bits: int = 8) -> np.ndarray:
    """vmafmotion of each frame to the one before it, float32 `[T]`, on the scale of 8 bits; 0 for the first.

    Args:
        luma_THW: uint8, or uint16 holding values of 10 bits.
        bits: 8 or 10.

    FFmpeg's filter: blurred down the columns, then along the rows, both rounded down; mirrored at the top and left
    edge round the outermost pixel, at the bottom and right edge with it.
    """
    if (luma_THW.dtype, bits) not in ((np.dtype(np.uint8), 8), (np.dtype(np.uint16), 10)):
        raise UserError(
            f"luma must be uint8 of 8 bits or uint16 of 10 bits, got {luma_THW.dtype} of {bits} bits"
        )
    if luma_THW.ndim != 3 or 0 in luma_THW.shape:
        raise UserError(f"luma must have the shape [T, H, W] without a zero, got {list(luma_THW.shape)}")
    num_frames, height, width = luma_THW.shape
    rows, per_band = _mirrored(height), max(1, BAND_PIXELS // width)
    sums = np.zeros(num_frames, dtype=np.int64)
    for top in range(0, height, per_band):
        sums += _Band(rows[top : top + per_band + 4], width, bits).differences(luma_THW)
    return (sums / (height * width << (SHIFT - 8))).astype(np.float32)


class _Band:
    """Some rows of all frames: few enough that what is computed of them stays in the processor's cache.

    All arrays are flat, rows one behind the other with two mirrored pixels at each side, so that a neighbour lies a
    fixed number of places away and each operation is one pass over memory.
    """

    def __init__(self, rows: np.ndarray, width: int, bits: int) -> None:
        """`rows` are those of the band and, mirrored at the frame's edge, two above and two below."""
        self.rows, self.bits = rows, bits
        self.height, self.stride = len(rows) - 4, width + 4
        self.edges = _mirrored(width)[[0, 1, -2, -1]] + 2
        # A blurred column of 8 bits adds up to less than 2**24, which float32 counts exactly and faster.
        self.padded = np.empty((len(rows), self.stride), dtype=np.float32 if bits == 8 else np.int32)
        self.down = np.empty(self.height * self.stride, dtype=np.int32)
        self.blurred = np.empty((2, self.height * self.stride), dtype=np.int32)

    def differences(self, luma_THW: np.ndarray) -> np.ndarray:
        """Of each frame to the one before it, int64 `[T]`: the sum of the absolute differences, both blurred."""
        sums = np.zeros(len(luma_THW), dtype=np.int64)
        before, now = self.blurred
        for number, frame in enumerate(luma_THW):
            self._blur(frame, now)
            if number:
                np.subtract(now, before, out=before)
                np.abs(before, out=before)
                columns = before.reshape(self.height, self.stride).sum(axis=0, dtype=np.int32)
                sums[number] = columns[:-4].sum(dtype=np.int64)
            before, now = now, before
        return sums

    def _blur(self, frame_HW: np.ndarray, out: np.ndarray) -> None:
        """Into the first places of `out`; the last four hold nothing."""
        self.padded[:, 2:-2] = frame_HW[self.rows]
        self.padded[:, [0, 1, -2, -1]] = self.padded[:, self.edges]
        self.down[:] = _weighted(self.padded.reshape(-1), self.stride)
        np.right_shift(self.down, self.bits, out=self.down)
        np.right_shift(_weighted(self.down, 1), SHIFT, out=out[:-4])


def _weighted(flat: np.ndarray, step: int) -> np.ndarray:
    """The five taps at places `step` apart; four steps shorter than what it is given."""
    size = len(flat) - 4 * step
    total = flat[:size] + flat[4 * step :]
    total *= OUTER
    part = flat[step : step + size] + flat[3 * step : 3 * step + size]
    part *= INNER
    total += part
    np.multiply(flat[2 * step : 2 * step + size], CENTRE, out=part)
    total += part
    return total


def _mirrored(length: int) -> np.ndarray:
    """The places -2 ... length + 1 as FFmpeg mirrors them: round the first pixel, but including the last."""
    places = np.abs(np.arange(-2, length + 2))
    return np.where(places < length, places, 2 * length - 1 - places).clip(0, length - 1)


def vector_motion(source: str | Path | Source) -> np.ndarray | None:
    """Mean length of the motion vectors of each frame of an H.264 file, float32 `[T]`, in pixels a frame.

    A frame's score is the mean over its area: blocks without a vector count as zero, those with one to each side as the
    mean of the two. A vector leads to another frame, as far away as the encoder liked, and FFmpeg tells only the
    direction; it is taken to be the nearest frame there that the decoder had and others may lean on, and the vector is
    divided by that distance (an encoder told to use one reference frame does just that; others now and then reach
    further, and such a vector counts for more than it should). Frames coded from themselves alone have no vectors but
    do move: they get what their neighbours have, lest the score of a window depend on where the encoder began anew. The
    first frame has no predecessor and scores 0, as in `frame_motion`.

    None for other codecs and for files that hold no vector at all. UnreadableVideo as `reading.read_video`.
    """
    source = as_source(source)
    if animation_kind(source):
        return None
    scores = []
    with opened(source, num_threads=1, options={"flags2": "+export_mvs"}) as film:
        if film.codec != "h264":
            return None
        index = index_packets(film)
        distances = reference_distances(index, [serves_others(film, packet) for packet in index.packets])
        for frame in decoded(film, ended(index.packets)):
            vectors = frame.side_data.get("MOTION_VECTORS")
            if vectors is not None:
                past, future = distances.get(frame.pts, (1, 1))
                scores.append(mean_length(vectors.to_ndarray(), frame.width, frame.height, past, future))
            else:
                scores.append(float("nan") if frame.pict_type == INTRA else 0.0)
    return _filled(np.array(scores, dtype=np.float32))


def mean_length(vectors: np.ndarray, width: int, height: int, past: int = 1, future: int = 1) -> float:
    """Mean length in pixels a frame over a picture's area.

    Args:
        vectors: FFmpeg's AVMotionVector records, one an element.
        past, future: how many frames away those lie that a negative and a positive `source` lead to.
    """
    area = vectors["w"].astype(np.float64) * vectors["h"]
    length = np.hypot(vectors["motion_x"], vectors["motion_y"]) / np.maximum(vectors["motion_scale"], 1)
    away = np.abs(vectors["source"]) * np.where(vectors["source"] < 0, past, future)
    places = np.stack([vectors[name] for name in ("dst_x", "dst_y", "w", "h")], axis=1)
    _, block, sides = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    coded = (-(-width // MACROBLOCK)) * (-(-height // MACROBLOCK)) * MACROBLOCK**2
    return float((area * length / np.maximum(away, 1) / sides[block]).sum() / coded)


def reference_distances(index: Index, kept: list[bool]) -> dict[int | None, tuple[int, int]]:
    """How many frames before and after each one its nearest references lie, by its time; 1 where there is none.

    Args:
        kept: of each packet, in the file's order, whether later ones may refer to it.
    """
    distances = {}
    for number, at in enumerate(index.order):
        near = [
            next((abs(other - number) for other in others if _refers(index.order[other], at, kept)), 1)
            for others in (range(number - 1, -1, -1), range(number + 1, len(index.order)))
        ]
        distances[index.ticks[number]] = (near[0], near[1])
    return distances


def _refers(other: int, at: int, kept: list[bool]) -> bool:
    """Whether the packet `at` may lean on `other`: that one comes first in the file, and is kept."""
    return other < at and kept[other]


def _filled(scores_T: np.ndarray) -> np.ndarray | None:
    """Gaps (nan) filled from both sides, the first frame 0; None when there is nothing but gaps."""
    known = ~np.isnan(scores_T)
    if not known.any():
        return None
    filled = np.interp(np.arange(len(scores_T)), np.flatnonzero(known), scores_T[known]).astype(np.float32)
    filled[0] = 0
    return filled
