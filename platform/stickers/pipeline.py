"""The one path from a picture and a prompt to a clip: validation, teachers, students and serving all call it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stickers.diffusion.guidance import Condition
from stickers.diffusion.prediction import Prediction
from stickers.diffusion.sampling import SamplerSettings, sample
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder
    from stickers.models.unet import VideoUNet

CONFIG = "pipeline.json"
#: characters; CLIP reads 77 tokens, so whatever is longer is a mistake
MAX_PROMPT = 2_000


@dataclass
class AnimationPipeline:
    """A UNet with its autoencoder and text encoder, ready to animate.

    `prediction` is what the UNet predicts, `settings` the sampling it was made for, `picture_size` the pixels a side
    of pictures and clips.
    """

    unet: "VideoUNet"
    autoencoder: "RGBAAutoencoder"
    text: "TextEncoder"
    prediction: Prediction
    settings: SamplerSettings
    picture_size: int

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu", dtype: str = "float32") -> "AnimationPipeline":
        """Read a folder as `save` writes it.

        Raises:
            ValueError: the folder is no exported model; the sentence names what is missing.
        """
        root = Path(folder)
        for needed in (
            CONFIG,
            "unet/config.json",
            "autoencoder/config.json",
            "text_encoder/config.json",
            "tokenizer",
        ):
            if not (root / needed).exists():
                raise ValueError(
                    f"{root} is no animation model: {needed} is missing (experiments/export.py writes one)"
                )
        config = json.loads((root / CONFIG).read_text())
        unet = load_unet(root / "unet", getattr(torch, dtype))
        return cls(
            unet=unet.to(device=device, memory_format=torch.channels_last),
            autoencoder=load_autoencoder(root).to(device),
            text=load_text_encoder(root, device),
            prediction=config["prediction"],
            settings=SamplerSettings(**config["settings"]),
            picture_size=config["picture_size"],
        )

    def save(self, folder: str | Path) -> None:
        """Write everything that `load` reads: safetensors and JSON alone."""
        root = Path(folder)
        self.unet.save_pretrained(root / "unet", safe_serialization=True)
        self.autoencoder.save_pretrained(root / "autoencoder", safe_serialization=True)
        self.text.save(root)
        config = {
            "prediction": self.prediction,
            "settings": asdict(self.settings),
            "picture_size": self.picture_size,
        }
        (root / CONFIG).write_text(json.dumps(config, indent=2))

    @torch.no_grad()
    def animate(
        self,
        *,
        pictures: list[np.ndarray],
        prompts: list[str],
        seeds: list[int],
        settings: SamplerSettings | None = None,
    ) -> np.ndarray:
        """Animate a batch.

        Args:
            pictures: uint8 RGBA `[H, W, 4]`, composited over white, `picture_size` square.
            prompts: one text a picture.
            seeds: one integer a picture; a row's noise depends on its own seed alone, not on its neighbours.
            settings: sampling, by default the model's own.

        Returns:
            uint8 RGBA `[B, T, H, W, 4]`.

        Raises:
            ValueError: the lists differ in length, or a picture has another shape.
        """
        settings = settings or self.settings
        if not len(pictures) == len(prompts) == len(seeds):
            raise ValueError(
                f"got {len(pictures)} pictures, {len(prompts)} prompts and {len(seeds)} seeds; give equally many"
            )
        wanted = (self.picture_size, self.picture_size, 4)
        for picture in pictures:
            if picture.shape != wanted or picture.dtype != np.uint8:
                raise ValueError(
                    f"a picture must be uint8 RGBA of shape {wanted}, got {picture.dtype} {picture.shape}"
                )
        image = self._encode(np.stack(pictures))
        noise = torch.stack([self._noise(seed, settings.num_frames, image.shape[2:]) for seed in seeds])
        latents = sample(self._passes(image[:, 0], prompts), noise, image, self.prediction, settings)
        return to_pixels(self.autoencoder.decode(latents))

    def _encode(self, pictures_BHWC: np.ndarray) -> Tensor:
        """Conditioning latents `[B, 1, C, h, w]`."""
        frames = torch.from_numpy(pictures_BHWC).permute(0, 3, 1, 2)[:, None].to(self.autoencoder.device)
        return self.autoencoder.encode(frames.float() / 127.5 - 1)

    def _noise(self, seed: int, num_frames: int, shape: torch.Size) -> Tensor:
        dice = torch.Generator().manual_seed(seed)
        return torch.randn(num_frames, *shape, generator=dice).to(self.autoencoder.device)

    def _passes(self, image_BCHW: Tensor, prompts: list[str]):  # type: ignore[no-untyped-def]
        """The network as `sample` wants it: all passes of a step batched into one call, text encoded once."""
        context = self.text.encode(prompts)
        null = self.text.encode([""]).expand_as(context)
        zero, dtype = torch.zeros_like(image_BCHW), self.unet.dtype

        def run(z: Tensor, timestep: int, conditions: tuple[Condition, ...]) -> dict[Condition, Tensor]:
            rows = len(conditions)
            out = self.unet(
                z.repeat(rows, 1, 1, 1, 1).to(dtype),
                torch.tensor([timestep], device=z.device),
                torch.cat([context if name == "full" else null for name in conditions]).to(dtype),
                torch.cat([zero if name == "none" else image_BCHW for name in conditions]).to(dtype),
            )
            return dict(zip(conditions, out.float().chunk(rows), strict=True))

        return run


def check_prompt(prompt: str) -> str:
    """The prompt with single white space. ValueError, one sentence, when nothing is left or it is too long."""
    clean = " ".join(prompt.split())
    if not clean:
        raise ValueError("the prompt is empty; say in a few words how the picture shall move")
    if len(clean) > MAX_PROMPT:
        raise ValueError(f"the prompt has {len(clean)} characters; at most {MAX_PROMPT} are accepted")
    return clean


def to_pixels(frames_BTCHW: Tensor) -> np.ndarray:
    """Float `[B, T, 4, H, W]` in [-1, 1] to uint8 RGBA `[B, T, H, W, 4]`."""
    return (
        ((frames_BTCHW.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 1, 3, 4, 2).cpu().numpy()
    )
