"""The toy world's truth as a measure of clips: everything passes through the autoencoder, as `truth_error` asks.

Whatever is read off it says `simulated`: no such oracle exists outside the toy world.
"""

from typing import TYPE_CHECKING

import numpy as np
import torch

from stickers.data.encoding import canonical, to_tensor
from stickers.metrics.truth_error import Scale, make_scale
from stickers.pipeline import to_pixels
from stickers.toy.oracle import Grid, draw_sticker, landmarks, truths
from stickers.toy.words import meaning
from stickers.video.clips import ConditioningKind, conditioning_index

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder

BATCH = 32


class ToyOracle:
    """Makes the scale of any toy sticker at `size` pixels and `num_frames` frames, of which `conditioning_frame` is the
    picture."""

    def __init__(
        self,
        autoencoder: "RGBAAutoencoder",
        size: int,
        num_frames: int,
        conditioning_frame: ConditioningKind = "middle",
    ) -> None:
        self.autoencoder, self.size, self.num_frames = autoencoder, size, num_frames
        self.still_at = conditioning_index(conditioning_frame, num_frames)

    def reconstruct(self, clips_NTHWC: np.ndarray) -> np.ndarray:
        """Clips through the autoencoder and back."""
        done = []
        for start in range(0, len(clips_NTHWC), BATCH):
            batch = torch.stack([to_tensor(clip) for clip in clips_NTHWC[start : start + BATCH]])
            done.append(to_pixels(self.autoencoder.decode(self.autoencoder.encode(batch))))
        return np.concatenate(done)

    def still(self, prompt: str, image_index: int) -> np.ndarray:
        """The sticker itself, canonical uint8 RGBA `[S, S, 4]`."""
        return canonical(draw_sticker(prompt, image_index, self.size)[None], self.size)[0]

    def scale(self, prompt: str, image_index: int, *, grid: Grid, with_landmarks: bool) -> Scale:
        """What the sticker's clips are measured against; without landmarks `nearest` and `right` of a reading are
        meaningless, and the measuring takes a third of the time.

        Raises:
            UserError: the prompt is none of the toy world's.
        """
        place = {"size": self.size, "num_frames": self.num_frames, "still_at": self.still_at}
        admitted = self._canonical(truths(prompt, image_index, grid=grid, **place))
        marks = admitted[:0]
        motions: tuple[str, ...] = ()
        if with_landmarks:
            every, motions = landmarks(prompt, image_index, **place)
            marks = self._canonical(every)
        right = meaning(prompt).motions
        return make_scale(admitted, marks, motions, right, self.still(prompt, image_index), self.reconstruct)

    def _canonical(self, clips_NTHWC: np.ndarray) -> np.ndarray:
        return np.stack([canonical(clip, self.size) for clip in clips_NTHWC])


def asked_for(prompt: str) -> str:
    """The motion that a toy prompt asks for, or that it leaves open which.

    Raises:
        UserError: the prompt is none of the toy world's.
    """
    motions = meaning(prompt).motions
    return motions[0] if len(motions) == 1 else "any of several"
