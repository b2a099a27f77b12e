"""An actor that measures the teachers' clips of one sticker, by pixels and by the project's truth if there is one."""

from dataclasses import asdict
from typing import Any

import torch

from stickers.artifacts.records import Candidate
from stickers.evaluation.quality import measure
from stickers.evaluation.truth import Truth
from stickers.models.folders import load_autoencoder
from stickers.video.codec import decode_strip


class Critic:
    """`encoders` is the folder of the autoencoder through which the truth passes."""

    def __init__(self, truth: Truth | None, encoders: str) -> None:
        torch.set_num_threads(1)
        self.truth = truth
        self.autoencoder = load_autoencoder(encoders) if truth else None

    def look(self, image_index: int, candidates: list[Candidate]) -> list[dict[str, Any]]:
        """Measure the made candidates of one sticker, all with the same number of frames; returns a row for each."""
        clips = [decode_strip(row.clip or b"", row.num_frames) for row in candidates]
        errors: list[float | None] = [None] * len(clips)
        if self.truth is not None and self.autoencoder is not None:
            errors = [*self.truth.errors(self.autoencoder, candidates[0].prompt, image_index, clips)]
        measured = (measure(*row) for row in zip(candidates, clips, errors, strict=True))
        return [{"sticker_id": candidates[0].sticker_id, **asdict(row)} for row in measured]
