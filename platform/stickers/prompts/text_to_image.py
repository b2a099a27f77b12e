"""Draws static stickers for prompts with a text-to-image model, cuts out the background and centres the subject.

The paper's static stickers model gives alpha. Most others do not, so a background of one colour is cut out. A picture
with neither alpha nor such a background is drawn again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch

from stickers.artifacts.ids import content_id, seed_from
from stickers.artifacts.records import Prompt, Sticker
from stickers.data.encoding import canonical
from stickers.errors import UserError
from stickers.models.trust import refuse_own_code
from stickers.prompts.sticker_tables import IMAGES_PER_PROMPT, make_sticker
from stickers.video.clips import cut_background, fit, has_solid_background

TEMPLATE = "{prompt}, die-cut sticker, plain white background, centred"
#: free margin on each side of the subject, as a share of the sticker's side
MARGIN = 0.06
#: alpha from which a pixel is visible, and the least share of visible pixels
MIN_ALPHA, MIN_VISIBLE = 16, 0.01
ATTEMPTS = 3
DRAWINGS = pa.schema(
    [
        ("drawing_id", pa.string()),
        ("prompt_id", pa.string()),
        ("text", pa.string()),
        ("image_index", pa.int32()),
    ]
)
DRAWN = pa.schema(
    [
        ("drawing_id", pa.string()),
        ("prompt_id", pa.string()),
        ("image_index", pa.int32()),
        ("png", pa.binary()),
        ("reason", pa.string()),
    ]
)


class Draws(Protocol):
    """Draws pictures of texts."""

    def __call__(self, text: str, seed: int) -> np.ndarray:
        """A picture, uint8 RGB or RGBA `[H, W, C]`, of a text and a seed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One picture to draw."""

    drawing_id: str
    prompt_id: str
    text: str
    image_index: int


def drawings_of(prompts: Sequence[Prompt]) -> list[Drawing]:
    """`IMAGES_PER_PROMPT` drawings of each prompt."""
    return [
        Drawing(
            drawing_id=content_id("drawing", prompt.prompt_id, index),
            prompt_id=prompt.prompt_id,
            text=prompt.text,
            image_index=index,
        )
        for prompt in prompts
        for index in range(IMAGES_PER_PROMPT)
    ]


def placed(picture_HWC: np.ndarray, size: int) -> np.ndarray:
    """The subject of a picture, cut out, centred with a margin: uint8 RGBA `[size, size, 4]`, over white below alpha.

    Raises:
        UserError: the picture is opaque and its background is not of one colour, or nothing is visible on it.
    """
    frame = picture_HWC[None]
    if frame.shape[-1] == 3:
        frame = np.concatenate([frame, np.full_like(frame[..., :1], 255)], axis=-1)
    if (frame[..., 3] == 255).all():
        if not has_solid_background(frame):
            raise UserError("it is opaque and its background is not of one colour, so nothing can be cut out")
        frame = cut_background(frame)
    visible = frame[0, ..., 3] >= MIN_ALPHA
    if visible.mean() < MIN_VISIBLE:
        raise UserError("nothing is seen on it")
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    subject = frame[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = subject.shape[1:3]
    side = int(np.ceil(max(height, width) / (1 - 2 * MARGIN)))
    canvas = np.zeros((1, side, side, 4), np.uint8)
    top, start = (side - height) // 2, (side - width) // 2
    canvas[:, top : top + height, start : start + width] = subject
    return canonical(fit(canvas, size), size, cut=False)[0]


class StickerArtist:
    """Draws stickers of `size` pixels. An unusable picture is drawn again with another seed, up to `ATTEMPTS` times."""

    def __init__(self, draw: Draws, size: int, template: str = TEMPLATE, seed: int = 0) -> None:
        self.draw, self.size, self.template, self.seed = draw, size, template, seed

    def make(self, drawings: Sequence[Drawing]) -> list[Sticker | str]:
        """A sticker per drawing, or the reason why it failed, in order. The others go on after a failure.

        Raises:
            torch.AcceleratorError: the device failed, and this process can no longer use it.
        """
        return [self._make(drawing) for drawing in drawings]

    def _make(self, drawing: Drawing) -> Sticker | str:
        text, reason = self.template.replace("{prompt}", drawing.text), ""
        for attempt in range(ATTEMPTS):
            try:
                picture = self.draw(text, seed_from(self.seed, drawing.drawing_id, attempt))
                pixels = placed(picture, self.size)
            except torch.AcceleratorError:
                raise
            except Exception as error:  # noqa: BLE001  (one bad prompt must not stop the others)
                message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
                reason = f"{(message.splitlines() or [''])[0]} ({attempt + 1} tries)"
            else:
                return make_sticker(drawing.prompt_id, drawing.image_index, pixels)
        return reason


class TextToImage:
    """A diffusers text-to-image folder (safetensors, no code of its own).

    Raises:
        UserError: the folder holds no such pipeline, or needs its own code to run.
    """

    def __init__(self, folder: str | Path, device: str = "cpu", steps: int | None = None) -> None:
        from diffusers import AutoPipelineForText2Image

        refuse_own_code(folder)
        try:
            pipeline = AutoPipelineForText2Image.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
        except (OSError, ValueError, KeyError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{folder} cannot be loaded as a text-to-image pipeline: {reason}") from error
        self.pipeline, self.steps = pipeline.to(device), steps
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(self, text: str, seed: int) -> np.ndarray:
        """Draw a picture, uint8 `[H, W, 3]`."""
        noise = torch.Generator("cpu").manual_seed(seed % 2**63)
        settings = {} if self.steps is None else {"num_inference_steps": self.steps}
        return np.asarray(self.pipeline(text, generator=noise, **settings).images[0])
