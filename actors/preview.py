"""A finished network animates the same few pictures as every other: an MP4 and a contact sheet on its MLflow page."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from actors.tracking import RunTracker
from stickers.metrics.consistency import consistency
from stickers.metrics.motion_size import motion_size
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet
from stickers.pipeline import AnimationPipeline
from stickers.prompts.sticker_tables import Stickers
from stickers.training.job import TrainingJob, folder_of
from stickers.video.clips import fit_picture
from stickers.video.codec import decode_picture, encode_animation

NUM_CLIPS = 6
SEED = 97
SCALE_TO = 96


@dataclass(frozen=True)
class Preview:
    """Pictures (uint8 RGBA HWC) and prompts; row i is animated with seed SEED + i."""

    pictures: tuple[np.ndarray, ...]
    prompts: tuple[str, ...]

    @classmethod
    def of(cls, stickers: Stickers, size: int) -> "Preview":
        """The first picture of each of the first prompts, fitted to `size` pixels; the same in every run."""
        first = {row.prompt_id: row for row in reversed(stickers.stickers)}
        prompts = [prompt for prompt in stickers.prompts if prompt.prompt_id in first][:NUM_CLIPS]
        return cls(
            tuple(fit_picture(decode_picture(first[prompt.prompt_id].png), size) for prompt in prompts),
            tuple(prompt.text for prompt in prompts),
        )


def film(
    unet: str,
    job: TrainingJob,
    preview: Preview,
    tracker: RunTracker,
    device: str,
    *,
    step: int | None = None,
) -> None:
    """Animate the preview with the network in folder `unet` and log it.

    MLflow gets the clips as MP4 and contact sheet, and figures of how much they move and hold together. In the middle
    of a training, `step` is the number of steps done.
    """
    encoders = folder_of(job.encoders)
    pipeline = AnimationPipeline(
        unet=load_unet(unet).to(device),
        autoencoder=load_autoencoder(encoders).to(device),
        text=load_text_encoder(encoders, device),
        prediction=job.prediction,
        settings=job.settings,
        picture_size=job.picture_size,
    )
    seeds = [SEED + i for i in range(len(preview.prompts))]
    clips = pipeline.animate(pictures=list(preview.pictures), prompts=list(preview.prompts), seeds=seeds)
    figures = {
        "preview/motion_size": float(np.mean([motion_size(clip) for clip in clips])),
        "preview/consistency": float(np.mean([consistency(clip) for clip in clips])),
    }
    tracker.log(figures, job.recipe.num_steps if step is None else step)
    folder = "" if step is None else f"step-{step:06d}/"
    clips = enlarge(clips)
    video = encode_animation(side_by_side(clips), job.settings.fps, "video/mp4")
    tracker.log_preview(f"{folder}preview.mp4", video)
    tracker.log_preview(f"{folder}contact-sheet.png", png(contact_sheet(clips)))


def enlarge(clips_BTHWC: np.ndarray) -> np.ndarray:
    """Small pictures repeated pixel by pixel until they can be seen."""
    times = max(1, SCALE_TO // clips_BTHWC.shape[2])
    return clips_BTHWC.repeat(times, axis=2).repeat(times, axis=3)


def side_by_side(clips_BTHWC: np.ndarray) -> np.ndarray:
    """Several clips as one, `[T, H, B x W, 4]`."""
    return np.concatenate(list(clips_BTHWC), axis=2)


def contact_sheet(clips_BTHWC: np.ndarray) -> np.ndarray:
    """One picture `[B x H, T x W, 4]`: a row for each clip, a column for each frame."""
    return np.concatenate([np.concatenate(list(clip), axis=1) for clip in clips_BTHWC], axis=0)


def png(picture_HWC: np.ndarray) -> bytes:
    """A picture as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture_HWC).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
