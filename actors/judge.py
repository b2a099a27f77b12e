"""An actor that animates held-out stickers with every system and reads the error of each clip."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from stickers.artifacts.ids import content_id, seed_from
from stickers.data.encoding import canonical
from stickers.export import assemble
from stickers.metrics.truth_error import read
from stickers.pipeline import AnimationPipeline
from stickers.toy.characters import Look
from stickers.toy.measure import ToyOracle
from stickers.toy.motions import FASTEST, MOTIONS, SLOWEST, Mode, render_motion
from stickers.toy.oracle import look_of
from stickers.toy.words import meaning
from stickers.video.codec import encode_strip
from stickers.video.motion import motion_score

NUM_FRAMES = 8
STILL_AT = NUM_FRAMES // 2 - 1


@dataclass(frozen=True)
class Item:
    """A held-out sticker and how often each system animates it."""

    prompt: str
    image_index: int
    num_seeds: int

    @property
    def key(self) -> str:
        return content_id("held-out", self.prompt, self.image_index)


class Judge:
    """Holds the systems: names to folders of finished trainings.

    All animate at `size` pixels, foundations too, whatever size those were pretrained at.
    """

    def __init__(self, systems: dict[str, str], foundations: str, size: int) -> None:
        torch.set_num_threads(1)
        self.size = size
        self.pipelines: dict[str, AnimationPipeline] = {
            name: replace(assemble(folder, foundations), picture_size=size)
            for name, folder in systems.items()
        }
        self.oracle = ToyOracle(next(iter(self.pipelines.values())).autoencoder, size, NUM_FRAMES)

    def judge(self, item: Item) -> list[dict]:
        """Every system's clips of one sticker, with their readings: one row a system and seed."""
        still = self.oracle.still(item.prompt, item.image_index)
        scale = self.oracle.scale(item.prompt, item.image_index, grid="fine", with_landmarks=True)
        rows = []
        for seed_index in range(item.num_seeds):
            seed = seed_from("held-out", item.prompt, item.image_index, seed_index)
            for name, clip, fps in self._clips(item, still, seed):
                rows.append(
                    {
                        "item": item.key,
                        "prompt": item.prompt,
                        "bucket": meaning(item.prompt).bucket,
                        "system": name,
                        "seed": seed,
                        "fps": fps,
                        "num_frames": len(clip),
                        **asdict(read(clip, scale)),
                        "motion_score": motion_score(clip),
                        "clip": encode_strip(clip),
                    }
                )
        return rows

    def _clips(self, item: Item, still: np.ndarray, seed: int) -> list[tuple[str, np.ndarray, int]]:
        rng = np.random.default_rng(seed)
        look, motion = look_of(item.prompt, item.image_index), meaning(item.prompt).motions[0]
        wrong = str(rng.choice([name for name in MOTIONS if name not in meaning(item.prompt).motions]))
        right_clip, wrong_clip = (self._drawn(look, name, rng) for name in (motion, wrong))
        shuffled = right_clip[rng.permutation(NUM_FRAMES)]
        shown = self.oracle.reconstruct(
            np.stack([np.repeat(still[None], NUM_FRAMES, 0), right_clip, shuffled, wrong_clip])
        )
        clips = [
            (name, clip, 8)
            for name, clip in zip(
                ("still", "truth", "truth, frames shuffled", "wrong motion"), shown, strict=True
            )
        ]
        for name, pipeline in self.pipelines.items():
            made = pipeline.animate(pictures=[still], prompts=[item.prompt], seeds=[seed])[0]
            clips.append((name, made, pipeline.settings.fps))
        return clips

    def _drawn(self, look: Look, motion: str, rng: np.random.Generator) -> np.ndarray:
        """A true clip of a random mode, off the oracle's grid."""
        mode = replace(Mode.draw(rng, hz=(SLOWEST, FASTEST)), phase=0.0)
        frames = render_motion(look, motion, mode, np.arange(NUM_FRAMES) - STILL_AT, self.size)
        return canonical(frames, self.size)


def foundation_systems(foundations: str) -> dict[str, str]:
    """The shipped video foundations, by the names that reports use."""
    root = Path(foundations) / "video_unets"
    return {f"foundation {path.name}": str(path) for path in sorted(root.iterdir()) if path.is_dir()}
