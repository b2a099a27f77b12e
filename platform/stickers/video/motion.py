"""How much a clip moves, frame by frame: the two scores of paper section 3.1.1.

The first is vmafmotion, on decoded pixels, with the integer arithmetic of FFmpeg's filter. The second is the length of
the motion vectors that an H.264 file holds. Both are stored per frame, so that any window of a video can be scored.
"""

from pathlib import Path

import numpy as np

from stickers.errors import UserError
from stickers.video.animations import animation_kind
from stickers.video.clips import on_white
from stickers.video.packets import Index, decoded, ended, index_packets, opened, serves_others
from stickers.video.source import BITS, DEEP_BITS, Source, as_source

#: the 5-tap Gaussian of FFmpeg's vmafmotion filter, in units of 1 / 32768
OUTER, INNER, CENTRE = 1785, 8002, 13193
SHIFT = 15
#: pixels that the filter reaches to each side, and taps besides the centre
REACH = 2
NEIGHBOURS = 2 * REACH
#: BT.601
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
#: pixels of one frame that are worked on at once, so that they fit into the processor's caches
BAND_PIXELS = 1 << 15
#: FFmpeg's number for pictures of type I, which are coded without other frames and hold no vectors
INTRA = 1
#: H.264 codes squares of this side, in pixels, which may reach beyond the picture's edge
MACROBLOCK = 16


def luma(frames_THWC: np.ndarray) -> np.ndarray:
    """BT.601 luma, uint8 `[T, H, W]` over the full 0-255, of uint8 RGBA frames over white."""
    return np.stack(
        [np.rint(on_white(frame[None])[0, ..., :-1] @ LUMA).astype(np.uint8) for frame in frames_THWC]
    )


def motion_score(frames_THWC: np.ndarray) -> float:
    """Mean vmafmotion, 0-255; the first frame has no predecessor and counts as zero, as in FFmpeg's filter."""
    return float(frame_motion(frames_THWC).mean())


def frame_motion(frames_THWC: np.ndarray) -> np.ndarray:
    """vmafmotion from each uint8 RGBA frame's predecessor to it, float32 `[T]`, 0-255; 0 for the first."""
    return luma_motion(luma(frames_THWC))


def window_score(scores_T: np.ndarray, first: int, last: int) -> float:
    """The score of the frames [first, last) of a video, from its scores per frame.

    A frame's score is its difference to its predecessor, so that of the window's first frame is not counted: a window
    of n frames has n - 1 differences. A single frame scores 0.
    """
    if not 0 <= first < last <= len(scores_T):
        raise UserError(f"a window [{first}, {last}) does not lie in a video of {len(scores_T)} frames")
    return float(np.mean(scores_T[first + 1 : last])) if last - first > 1 else 0.0


def luma_motion(luma_THW: np.ndarray, bits: int = BITS) -> np.ndarray:
    """vmafmotion from each frame's predecessor to it, float32 `[T]`, on the scale of 8 bits; 0 for the first.

    Args:
        luma_THW: uint8, or uint16 holding values of 10 bits.
        bits: 8 or 10.

    As FFmpeg's filter: the blur runs down the columns, then along the rows, and rounds down both times. The top and
    left edges are mirrored about the outermost pixel, the bottom and right edges repeat it.
    """
    if (luma_THW.dtype, bits) not in ((np.dtype(np.uint8), BITS), (np.dtype(np.uint16), DEEP_BITS)):
        raise UserError(
            f"luma must be uint8 of 8 bits or uint16 of 10 bits, got {luma_THW.dtype} of {bits} bits"
        )
    if luma_THW.ndim != 3 or 0 in luma_THW.shape:
        raise UserError(f"luma must have the shape [T, H, W] without a zero, got {list(luma_THW.shape)}")
    num_frames, height, width = luma_THW.shape
    rows, per_band = _mirrored(height), max(1, BAND_PIXELS // width)
    sums = np.zeros(num_frames, dtype=np.int64)
    for top in range(0, height, per_band):
        sums += _Band(rows[top : top + per_band + NEIGHBOURS], width, bits).differences(luma_THW)
    scores: np.ndarray = (sums / (height * width << (SHIFT - BITS))).astype(np.float32)
    return scores


class _Band:
    """A few rows of all frames, so few that their intermediate results stay in the processor's cache.

    All arrays are flat: rows one behind the other, with two mirrored pixels at each side. A neighbour then lies a fixed
    number of elements away, and each operation is one pass over memory.
    """

    def __init__(self, rows: np.ndarray, width: int, bits: int) -> None:
        """`rows` are the band's indices with two more above and two below, mirrored at the frame's edge."""
        self.rows, self.bits = rows, bits
        self.height, self.stride = len(rows) - NEIGHBOURS, width + NEIGHBOURS
        self.edges = _mirrored(width)[[0, 1, -2, -1]] + REACH
        # A blurred column of 8 bits adds up to less than 2**24, which float32 counts exactly and faster.
        self.padded = np.empty((len(rows), self.stride), dtype=np.float32 if bits == BITS else np.int32)
        self.down = np.empty(self.height * self.stride, dtype=np.int32)
        self.blurred = np.empty((2, self.height * self.stride), dtype=np.int32)

    def differences(self, luma_THW: np.ndarray) -> np.ndarray:
        """Sum of absolute differences of each blurred frame to its predecessor, int64 `[T]`."""
        sums = np.zeros(len(luma_THW), dtype=np.int64)
        previous, current = self.blurred
        for number, frame in enumerate(luma_THW):
            self._blur(frame, current)
            if number:
                np.subtract(current, previous, out=previous)
                np.abs(previous, out=previous)
                columns = previous.reshape(self.height, self.stride).sum(axis=0, dtype=np.int32)
                sums[number] = columns[:-NEIGHBOURS].sum(dtype=np.int64)
            previous, current = current, previous
        return sums

    def _blur(self, frame_HW: np.ndarray, blurred: np.ndarray) -> None:
        """Blur the frame into `blurred`, whose last four elements are unused."""
        self.padded[:, REACH:-REACH] = frame_HW[self.rows]
        self.padded[:, [0, 1, -2, -1]] = self.padded[:, self.edges]
        self.down[:] = _weighted(self.padded.reshape(-1), self.stride)
        np.right_shift(self.down, self.bits, out=self.down)
        np.right_shift(_weighted(self.down, 1), SHIFT, out=blurred[:-NEIGHBOURS])


def _weighted(flat: np.ndarray, step: int) -> np.ndarray:
    """The five taps over elements `step` apart; the result is four steps shorter than `flat`."""
    size = len(flat) - NEIGHBOURS * step
    shifted = [flat[tap * step : tap * step + size] for tap in range(NEIGHBOURS + 1)]
    total: np.ndarray = shifted[0] + shifted[-1]
    total *= OUTER
    part = shifted[1] + shifted[-2]
    part *= INNER
    total += part
    np.multiply(shifted[REACH], CENTRE, out=part)
    total += part
    return total


def _mirrored(length: int) -> np.ndarray:
    """The indices -2 ... length + 1 as FFmpeg mirrors them: about the first pixel, but repeating the last."""
    indices = np.abs(np.arange(-REACH, length + REACH))
    return np.where(indices < length, indices, 2 * length - 1 - indices).clip(0, length - 1)


def vector_motion(source: str | Path | Source) -> np.ndarray | None:
    """Mean length of the motion vectors of each frame of an H.264 file, float32 `[T]`, in pixels a frame.

    A frame's score is the mean over its area. Blocks without a vector count as zero; a block with a vector in both
    directions counts as the mean of the two. A vector points to a reference frame at any distance, of which FFmpeg
    tells only the direction. We take the nearest frame in that direction that can be a reference, and divide by its
    distance. This is exact for encoders with one reference frame; others now and then reach further, and such a vector
    then counts for too much. Intra frames have no vectors although they move: their score is interpolated from their
    neighbours', so that a window's score does not depend on where the encoder put them. The first frame has no
    predecessor and scores 0, as in `frame_motion`.

    None for other codecs and for files without any vector. UnreadableVideoError as `reading.read_video`.
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
        past, future: distances, in frames, to the references of vectors with a negative and with a positive `source`.
    """
    area = vectors["w"].astype(np.float64) * vectors["h"]
    length = np.hypot(vectors["motion_x"], vectors["motion_y"]) / np.maximum(vectors["motion_scale"], 1)
    distance = np.abs(vectors["source"]) * np.where(vectors["source"] < 0, past, future)
    blocks = np.stack([vectors[name] for name in ("dst_x", "dst_y", "w", "h")], axis=1)
    _, block, num_vectors = np.unique(blocks, axis=0, return_inverse=True, return_counts=True)
    coded_area = (-(-width // MACROBLOCK)) * (-(-height // MACROBLOCK)) * MACROBLOCK**2
    return float((area * length / np.maximum(distance, 1) / num_vectors[block]).sum() / coded_area)


def reference_distances(index: Index, is_reference: list[bool]) -> dict[int | None, tuple[int, int]]:
    """By each frame's time, how many frames before and after it the nearest references lie; 1 where none exists.

    Args:
        is_reference: for each packet, in the file's order, whether later packets may refer to it.
    """
    distances = {}
    for number, at in enumerate(index.order):
        near = [
            next(
                (abs(other - number) for other in others if _refers(index.order[other], at, is_reference)), 1
            )
            for others in (range(number - 1, -1, -1), range(number + 1, len(index.order)))
        ]
        distances[index.ticks[number]] = (near[0], near[1])
    return distances


def _refers(other: int, at: int, is_reference: list[bool]) -> bool:
    """True where the packet `at` may refer to `other`, which comes first in the file and is a reference."""
    return other < at and is_reference[other]


def _filled(scores_T: np.ndarray) -> np.ndarray | None:
    """The scores with gaps (nan) interpolated and the first frame 0; None when all are gaps."""
    measured = ~np.isnan(scores_T)
    if not measured.any():
        return None
    filled: np.ndarray = np.interp(
        np.arange(len(scores_T)), np.flatnonzero(measured), scores_T[measured]
    ).astype(np.float32)
    filled[0] = 0
    return filled
