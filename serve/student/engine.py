"""The student as a plain engine: it decodes pictures, animates requests and encodes clips.

It knows no Ray and no HTTP, so it is tested and measured alone.
"""

from dataclasses import dataclass

import numpy as np

from stickers.data.latents import weights_digest
from stickers.errors import UserError
from stickers.pipeline import AnimationPipeline, check_prompt
from stickers.video.clips import cut_out, fit, on_white, shrink
from stickers.video.codec import decode_picture, encode_animation


@dataclass(frozen=True)
class Order:
    """One valid request: `picture` is uint8 RGBA [size, size, 4] over white, ready for the model."""

    picture: np.ndarray
    prompt: str
    seed: int


class Student:
    """Holds the model; makes orders from what users send, clips from orders, and files from clips."""

    def __init__(self, pipeline: AnimationPipeline, digest: str) -> None:
        self.pipeline = pipeline
        self.digest = digest

    @classmethod
    def build(cls, folder: str, device: str = "cpu") -> "Student":
        """Load an exported folder. UserError when it is no exported model."""
        return cls(AnimationPipeline.load(folder, device=device), weights_digest(folder))

    def order(self, picture: bytes, prompt: str, seed: int) -> Order:
        """Check one request and fit its picture to the model; UserError in one sentence for the user."""
        prompt = check_prompt(prompt)
        if not picture:
            raise UserError("the picture is empty (0 bytes); PNG, WebP and JPEG are accepted")
        size = self.pipeline.picture_size
        # Cutting out is done on more pixels than the model sees, for soft edges, but not on all 16 million.
        pixels = shrink(decode_picture(picture)[None], 8 * size)
        return Order(on_white(fit(cut_out(pixels), size))[0], prompt, seed)

    def animate(self, orders: list[Order]) -> list[np.ndarray]:
        """One uint8 RGBA clip [T, H, W, 4] an order, in one batch through the model."""
        clips = self.pipeline.animate(
            pictures=[order.picture for order in orders],
            prompts=[order.prompt for order in orders],
            seeds=[order.seed for order in orders],
        )
        return list(clips)

    def encode(self, clip: np.ndarray, media_type: str) -> bytes:
        """A clip as a file to show; its colours under alpha 0 are white, so that no format shows what was hidden."""
        return encode_animation(on_white(clip), self.pipeline.settings.fps, media_type)

    def describe(self) -> dict[str, object]:
        """What the health page says of the model."""
        settings = self.pipeline.settings
        return {
            "model": self.digest,
            "picture_size": self.pipeline.picture_size,
            "num_frames": settings.num_frames,
            "fps": settings.fps,
            "passes": settings.passes(),
        }
