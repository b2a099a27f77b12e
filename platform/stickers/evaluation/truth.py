"""What a project knows to be right about its stickers, where it knows it. Only drawn worlds do.

The library never asks which world it is: a project hands its truth in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder


@dataclass(frozen=True, kw_only=True)
class TruthReading:
    """One clip against the truth.

    `error` is its squared distance to the nearest admitted clip over the frozen still's: truth 0, still 1. `scale` is
    the still's distance, by which errors are weighted when they are averaged. `right` says whether the nearest of all
    motions is one that the prompt admits, `nearest` which one that is.
    """

    error: float
    scale: float
    right: bool
    nearest: str


class TruthReader(Protocol):
    """The truth of one sticker, seen through an autoencoder."""

    def read(self, clip_THWC: np.ndarray) -> TruthReading:
        """Measure one decoded clip, uint8 RGBA."""
        ...

    def references(self, seed: int) -> Mapping[str, np.ndarray]:
        """Clips that show what readings mean, by name: a true one, a wrong one."""
        ...


class Truth(Protocol):
    """What a project knows to be right. Figures that rest on it say so."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether it is of a simulated world."""
        ...

    @property
    def able_error(self) -> float:
        """The error up to which a clip is worth sharing."""
        ...

    def reader(
        self, autoencoder: "RGBAAutoencoder", prompt: str, image_index: int, *, size: int, num_frames: int
    ) -> TruthReader:
        """The truth of one sticker. UserError: the prompt is not one that this truth knows."""
        ...

    def errors(
        self, autoencoder: "RGBAAutoencoder", prompt: str, image_index: int, clips: Sequence[np.ndarray]
    ) -> list[float]:
        """The error of each clip, truth 0 and still 1, coarser and faster than `reader`."""
        ...

    def group(self, prompt: str) -> str:
        """What a prompt asks for: prompts of one group ask for the same motion."""
        ...

    def cluster(self, prompt: str) -> str:
        """What a reading depends on: readings of one cluster are resampled together."""
        ...
