"""An actor that animates held-out stickers with every system and measures each clip."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stickers.artifacts.ids import seed_from
from stickers.artifacts.records import Prompt, Sticker
from stickers.data.encoding import to_tensor
from stickers.evaluation.measures import Metric
from stickers.evaluation.reservation import held_out_key
from stickers.evaluation.truth import Truth, TruthReader
from stickers.export import assemble
from stickers.models.folders import network_names
from stickers.pipeline import AnimationPipeline, to_pixels
from stickers.video.clips import fit_picture
from stickers.video.codec import decode_picture, encode_strip

STILL = "still"
FOUNDATION = "foundation "
#: the metrics that a truth adds
ERROR, RIGHT = "error", "right_motion"


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A held-out sticker and how often each system animates it."""

    prompt: Prompt
    sticker: Sticker
    num_seeds: int

    @property
    def key(self) -> str:
        """The name of its readings."""
        return held_out_key(self.sticker.sticker_id)

    def seed(self, number: int) -> int:
        """The seed of the sticker's clip of that number, the same for every system."""
        return seed_from("held-out", self.prompt.text, self.sticker.image_index, number)


class Evaluator:
    """Holds the systems: names to (folder of a finished training, folder of its encoders).

    Each system animates at its own size, as it is served. The still passes through the first system's autoencoder, so
    that the comparison is about motion and not about the decoder.
    """

    def __init__(
        self, systems: dict[str, tuple[str, str]], metrics: tuple[Metric, ...], truth: Truth | None
    ) -> None:
        torch.set_num_threads(1)
        self.metrics, self.truth = metrics, truth
        self.pipelines: dict[str, AnimationPipeline] = {
            name: assemble(folder, encoders) for name, (folder, encoders) in systems.items()
        }
        # references have the size and rate of the last system, which is the one that will be served
        self.served = list(self.pipelines.values())[-1]
        for name in self.pipelines:
            if name.startswith(FOUNDATION):  # it was pretrained at another size
                self.pipelines[name] = replace(self.pipelines[name], picture_size=self.served.picture_size)

    def evaluate(self, work: HeldOut) -> list[dict[str, Any]]:
        """Every system's clips of one sticker with their metrics: one row a system and seed."""
        picture = decode_picture(work.sticker.png)
        reader = self._reader(work)
        rows = []
        for number in range(work.num_seeds):
            for name, clip, fps in self._clips(work, picture, work.seed(number), reader):
                values, weights, nearest = self._measure(clip, picture, reader)
                rows.append(
                    {
                        "item": work.key,
                        "prompt": work.prompt.text,
                        "bucket": work.prompt.bucket,
                        "cluster": self.truth.cluster(work.prompt.text)
                        if self.truth
                        else work.prompt.prompt_id,
                        "system": name,
                        "seed": work.seed(number),
                        "fps": fps,
                        "num_frames": len(clip),
                        "size": clip.shape[1],
                        "values": values,
                        "weights": weights,
                        "nearest": nearest,
                        "clip": encode_strip(clip),
                    }
                )
        return rows

    def _reader(self, work: HeldOut) -> TruthReader | None:
        if self.truth is None:
            return None
        pipeline = self.served
        return self.truth.reader(
            pipeline.autoencoder,
            work.prompt.text,
            work.sticker.image_index,
            size=pipeline.picture_size,
            num_frames=pipeline.settings.num_frames,
        )

    def _clips(
        self, work: HeldOut, picture: np.ndarray, seed: int, reader: TruthReader | None
    ) -> Iterator[tuple[str, np.ndarray, int]]:
        """The still, the truth's references where there is one, and every system."""
        fps = self.served.settings.fps
        yield STILL, self._still(picture), fps
        for name, clip in reader.references(seed).items() if reader else ():
            yield name, clip, fps
        for name, pipeline in self.pipelines.items():
            still = fit_picture(picture, pipeline.picture_size)
            (clip,) = pipeline.animate(pictures=[still], prompts=[work.prompt.text], seeds=[seed])
            yield name, clip, pipeline.settings.fps

    def _still(self, picture: np.ndarray) -> np.ndarray:
        """The sticker as a frozen clip, passed through the autoencoder."""
        pipeline = self.served
        frames = np.repeat(
            fit_picture(picture, pipeline.picture_size)[None], pipeline.settings.num_frames, axis=0
        )
        latents = pipeline.autoencoder.encode(to_tensor(frames)[None])
        return to_pixels(pipeline.autoencoder.decode(latents))[0]

    def _measure(
        self, clip: np.ndarray, picture: np.ndarray, reader: TruthReader | None
    ) -> tuple[dict[str, float], dict[str, float], str]:
        """Metrics by name, the weight of the weighted ones, and the motion nearest to the clip's."""
        sticker = fit_picture(picture, clip.shape[1])
        values = {metric.name: float(metric.measure(clip, sticker)) for metric in self.metrics}
        if reader is None or clip.shape[1] != self.served.picture_size:
            return values, {}, ""
        reading = reader.read(clip)
        values |= {ERROR: reading.error, RIGHT: float(reading.right)}
        return values, {ERROR: reading.scale}, reading.nearest


def foundation_systems(foundations: str) -> dict[str, str]:
    """The pretrained video networks of a foundation folder, by the names that reports use."""
    root = Path(foundations)
    folders = {f"{FOUNDATION}{name}": root / "video_unets" / name for name in network_names(root)}
    return {name: str(folder) for name, folder in folders.items() if (folder / "record.json").exists()}
