"""The student as a plain engine: it decodes pictures, animates requests and encodes clips.

It needs neither Ray nor HTTP, so it can be tested and measured by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stickers import storage
from stickers.artifacts.licences import LICENCES, by_licence
from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.pipeline import AnimationPipeline, check_prompt
from stickers.video.clips import cut_out, fit_picture, on_white, shrink
from stickers.video.codec import decode_picture, encode_animation

#: pictures are cut out at this multiple of the model's size: enough for soft edges, and far from 16 million pixels
CUT_OUT_SCALE = 8


@dataclass(frozen=True)
class AnimationRequest:
    """One valid request: `picture` is uint8 RGBA [size, size, 4] over white, ready for the model."""

    picture: np.ndarray
    prompt: str
    seed: int


class Student:
    """Holds the model; turns what users send into requests, requests into clips, and clips into files."""

    def __init__(
        self, pipeline: AnimationPipeline, digest: str, licences: Mapping[str, list[str]] | None = None
    ) -> None:
        self.pipeline, self.digest = pipeline, digest
        self.licences = dict(licences or {})

    @classmethod
    def build(cls, folder: str, device: str = "cpu") -> "Student":
        """Load an exported folder. UserError: it is no exported model."""
        pipeline, record = AnimationPipeline.load(folder, device=device), {}
        if storage.exists(storage.join(folder, storage.RECORD)):
            record = storage.read_record(folder)
        return cls(pipeline, weights_digest(folder), by_licence(record.get(LICENCES, {})))

    def prepare(self, picture: bytes, prompt: str, seed: int) -> AnimationRequest:
        """Check what a user sent and fit the picture to the model. UserError: picture or prompt cannot be used."""
        prompt = check_prompt(prompt)
        if not picture:
            raise UserError("the picture is empty (0 bytes); PNG, WebP and JPEG are accepted")
        size = self.pipeline.picture_size
        pixels = shrink(decode_picture(picture)[None], CUT_OUT_SCALE * size)
        return AnimationRequest(fit_picture(cut_out(pixels)[0], size), prompt, seed)

    def animate(self, requests: list[AnimationRequest]) -> list[np.ndarray]:
        """One uint8 RGBA clip [T, H, W, 4] for every request, animated as one batch."""
        clips = self.pipeline.animate(
            pictures=[request.picture for request in requests],
            prompts=[request.prompt for request in requests],
            seeds=[request.seed for request in requests],
        )
        return list(clips)

    def encode(self, clip: np.ndarray, media_type: str) -> bytes:
        """A clip as a file; transparent pixels become white, so that formats without alpha show no hidden colours."""
        return encode_animation(on_white(clip), self.pipeline.settings.fps, media_type)

    def describe(self) -> dict[str, object]:
        """What the health route reports about the model."""
        settings = self.pipeline.settings
        return {
            "model": self.digest,
            "picture_size": self.pipeline.picture_size,
            "num_frames": settings.num_frames,
            "fps": settings.fps,
            "passes": settings.num_passes(),
            "licences": self.licences,
        }
