"""The toy world's truth as a measure of clips: everything passes through the autoencoder, as `truth_error` asks.

Whatever is read off it says `simulated`: no such oracle exists outside the toy world.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from stickers.data.encoding import canonical, to_tensor
from stickers.evaluation.truth import TruthReading
from stickers.metrics.truth_error import Scale, make_scale, read
from stickers.pipeline import to_pixels
from stickers.toy.characters import Look
from stickers.toy.motions import FASTEST, MOTIONS, SLOWEST, Mode, render_motion
from stickers.toy.oracle import Grid, draw_sticker, landmarks, look_of, truths
from stickers.toy.words import asked_for, meaning
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
        """The scale on which the sticker's clips are measured. Without landmarks `nearest` and `right` of a reading are
        meaningless, and measuring takes a third of the time.

        Raises:
            UserError: the prompt is none of the toy world's.
        """
        clip_shape = {"size": self.size, "num_frames": self.num_frames, "still_at": self.still_at}
        admitted = self._canonical(truths(prompt, image_index, grid=grid, **clip_shape))
        marks = admitted[:0]
        motions: tuple[str, ...] = ()
        if with_landmarks:
            clips, motions = landmarks(prompt, image_index, **clip_shape)
            marks = self._canonical(clips)
        right = meaning(prompt).motions
        return make_scale(admitted, marks, motions, right, self.still(prompt, image_index), self.reconstruct)

    def _canonical(self, clips_NTHWC: np.ndarray) -> np.ndarray:
        return np.stack([canonical(clip, self.size) for clip in clips_NTHWC])


@dataclass(frozen=True, kw_only=True)
class ToyTruth:
    """The toy world's truth as a project hands it to the library."""

    name: str = "the toy world's oracle"
    simulated: bool = True
    able_error: float = 0.75

    def reader(
        self, autoencoder: "RGBAAutoencoder", prompt: str, image_index: int, *, size: int, num_frames: int
    ) -> "ToyReader":
        """The truth of one sticker. UserError: the prompt is none of the toy world's."""
        return ToyReader(ToyOracle(autoencoder, size, num_frames), prompt, image_index)

    def errors(
        self, autoencoder: "RGBAAutoencoder", prompt: str, image_index: int, clips: Sequence[np.ndarray]
    ) -> list[float]:
        """Relative errors on the coarse grid, which is three times as fast."""
        num_frames, size = clips[0].shape[:2]
        oracle = ToyOracle(autoencoder, size, num_frames)
        scale = oracle.scale(prompt, image_index, grid="coarse", with_landmarks=False)
        readings = [read(clip, scale) for clip in clips]
        return [reading.distance / reading.still_distance for reading in readings]

    def group(self, prompt: str) -> str:
        """The motion that the prompt asks for."""
        return asked_for(prompt)

    def cluster(self, prompt: str) -> str:
        """Subject and motion: the phrases of one pair are no independent samples."""
        understood = meaning(prompt)
        return f"{understood.subject} {understood.motions}"


class ToyReader:
    """The truth of one toy sticker."""

    def __init__(self, oracle: ToyOracle, prompt: str, image_index: int) -> None:
        self.oracle, self.prompt, self.image_index = oracle, prompt, image_index
        self.scale = oracle.scale(prompt, image_index, grid="fine", with_landmarks=True)

    def read(self, clip_THWC: np.ndarray) -> TruthReading:
        """Measure one decoded clip."""
        reading = read(clip_THWC, self.scale)
        return TruthReading(
            error=reading.distance / reading.still_distance,
            scale=reading.still_distance,
            right=reading.right,
            nearest=reading.nearest,
        )

    def references(self, seed: int) -> dict[str, np.ndarray]:
        """A true clip of a random mode, its frames in disorder, and a clip of a wrong motion."""
        rng = np.random.default_rng(seed)
        look, motions = look_of(self.prompt, self.image_index), meaning(self.prompt).motions
        wrong_motion = str(rng.choice([name for name in MOTIONS if name not in motions]))
        right, wrong = (self._drawn(look, name, rng) for name in (motions[0], wrong_motion))
        shuffled = right[rng.permutation(self.oracle.num_frames)]
        clips = self.oracle.reconstruct(np.stack([right, shuffled, wrong]))
        return dict(zip(("truth", "truth, frames shuffled", "wrong motion"), clips, strict=True))

    def _drawn(self, look: Look, motion: str, rng: np.random.Generator) -> np.ndarray:
        """A true clip of a random mode, off the oracle's grid."""
        mode = replace(Mode.draw(rng, hz=(SLOWEST, FASTEST)), phase=0.0)
        times = np.arange(self.oracle.num_frames) - self.oracle.still_at
        return canonical(render_motion(look, motion, mode, times, self.oracle.size), self.oracle.size)
