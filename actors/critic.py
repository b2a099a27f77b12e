"""An actor that measures what teachers drew of one sticker: pixels alone, and in the toy world the oracle as well."""

from dataclasses import asdict
from typing import Any

import torch

from stickers.artifacts.records import Candidate
from stickers.evaluation.quality import measure
from stickers.metrics.truth_error import read
from stickers.models.folders import load_autoencoder
from stickers.toy.measure import ToyOracle
from stickers.video.codec import decode_strip


class Critic:
    """`foundations` is the folder of the autoencoder that the oracle sees through; without one there is no oracle.

    Pictures are `size` pixels a side.
    """

    def __init__(self, foundations: str | None, size: int) -> None:
        torch.set_num_threads(1)
        self.autoencoder, self.size = load_autoencoder(foundations) if foundations else None, size

    def look(self, image_index: int, candidates: list[Candidate]) -> list[dict[str, Any]]:
        """The made candidates of one sticker, all of one number of frames, measured: one row each."""
        clips = [decode_strip(each.clip or b"", each.num_frames) for each in candidates]
        errors: list[float | None] = [None] * len(clips)
        if self.autoencoder is not None:
            oracle = ToyOracle(self.autoencoder, self.size, candidates[0].num_frames)
            scale = oracle.scale(candidates[0].prompt, image_index, grid="coarse", with_landmarks=False)
            readings = [read(clip, scale) for clip in clips]
            errors = [each.distance / each.still_distance for each in readings]
        measured = (measure(*each) for each in zip(candidates, clips, errors, strict=True))
        return [{"sticker_id": candidates[0].sticker_id, **asdict(each)} for each in measured]
