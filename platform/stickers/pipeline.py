"""The one path from a picture and a prompt to a clip: validation, teachers, students and serving all call it."""

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from stickers.diffusion.guidance import Condition
from stickers.diffusion.prediction import Prediction
from stickers.diffusion.sampling import Passes, SamplerSettings, sample
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder, load_text_encoder, load_unet

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.fast import Graph, Network
    from stickers.models.text import TextEncoder
    from stickers.models.unet import ProjectedText, VideoUNet

T = TypeVar("T")
CONFIG = "pipeline.json"
#: characters; CLIP reads 77 tokens, so whatever is longer is a mistake
MAX_PROMPT = 2_000


class Conditions(NamedTuple):
    """What a batch starts from, encoded: pictures `image_BCHW`, texts `text_BLD`, and the empty text `nothing_LD`."""

    image_BCHW: Tensor
    text_BLD: Tensor
    nothing_LD: Tensor


class Order(NamedTuple):
    """A batch to animate: pictures, prompts and seeds as `animate` takes them, or conditions in place of the first
    two."""

    pictures: list[np.ndarray]
    prompts: list[str]
    seeds: list[int]
    settings: SamplerSettings | None = None
    conditions: Conditions | None = None


@dataclass
class AnimationPipeline:
    """A UNet with its autoencoder and text encoder, ready to animate; without one it takes texts that are encoded.

    `prediction` is what the UNet predicts, `settings` the sampling it was made for, `picture_size` the pixels a side
    of pictures and clips.
    """

    unet: "VideoUNet"
    autoencoder: "RGBAAutoencoder"
    text: "TextEncoder | None"
    prediction: Prediction
    settings: SamplerSettings
    picture_size: int
    network: "Network" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.network = self.unet

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu", dtype: str = "float32") -> "AnimationPipeline":
        """Read a folder as `save` writes it.

        Raises:
            UserError: the folder is no exported model; the sentence names what is missing.
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
                raise UserError(
                    f"{root} is no animation model: {needed} is missing (experiments/export.py writes one)"
                )
        config = json.loads((root / CONFIG).read_text())
        unet = load_unet(root / "unet", getattr(torch, dtype))
        return cls(
            unet=unet.to(memory_format=torch.channels_last),
            autoencoder=load_autoencoder(root),
            text=load_text_encoder(root),
            prediction=config["prediction"],
            settings=SamplerSettings.of(config["settings"], str(root / CONFIG)),
            picture_size=config["picture_size"],
        ).to(device)

    def to(self, device: str) -> "AnimationPipeline":
        """Move the networks, in place."""
        for module in (self.unet, self.autoencoder, self.text):
            if module is not None:
                module.to(device)
        return self

    def save(self, folder: str | Path) -> None:
        """Write everything that `load` reads: safetensors and JSON alone."""
        root = Path(folder)
        assert self.text is not None, "a pipeline without its text encoder is not saved"
        self.unet.save_pretrained(root / "unet", safe_serialization=True)
        self.autoencoder.save_pretrained(root / "autoencoder", safe_serialization=True)
        self.text.save(root)
        config = {
            "prediction": self.prediction,
            "settings": asdict(self.settings),
            "picture_size": self.picture_size,
        }
        (root / CONFIG).write_text(json.dumps(config, indent=2))

    def accelerate(self, graph: "Graph | None" = None) -> "AnimationPipeline":
        """Make it fast for this device, in place; it can no longer be saved. The first clip of a shape takes longer.

        Args:
            graph: how the network's forward is compiled; by default `compile` on a GPU, `script` on a CPU, where
                it is as fast and needs neither a compiler nor minutes (measured: `docs/log/speed.md`).
        """
        from stickers.models.fast import as_graph, improve_layers

        improve_layers(self.unet)
        default: Graph = "compile" if self.unet.device.type == "cuda" else "script"
        self.network = as_graph(self.unet, graph or default)
        # torch's own `to`: diffusers' warns of its empty list of layers to keep in float32
        torch.nn.Module.to(self.autoencoder, self.unet.dtype)
        self.autoencoder.to(memory_format=torch.channels_last)
        return self

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
            UserError: the lists differ in length, or a picture has another shape.
        """
        return next(self.animate_each([Order(pictures, prompts, seeds, settings)]))

    @torch.no_grad()
    def animate_each(self, orders: Iterable[Order]) -> Iterator[np.ndarray]:
        """Animate batch after batch. While a GPU denoises one it decodes the one before and encodes the one after.

        Yields:
            uint8 RGBA `[B, T, H, W, 4]` for each batch, in order.

        Raises:
            UserError: as `animate`.
        """
        beside = _Beside(self.autoencoder.device)
        coming = (beside.run(partial(self._inputs, order)) for order in orders)
        now, before = next(coming, None), None
        while now is not None:
            (inputs, settings), encoded = now
            beside.wait(encoded)
            latents = sample(*inputs, self.prediction, settings)
            denoised, after = beside.mark(), next(coming, None)
            decoded = beside.run(partial(self._decode, latents), denoised)
            if before is not None:
                yield beside.fetch(before[0])
            # what the streams share is held until both are done with it
            now, before = after, (decoded, now, latents)
        if before is not None:
            yield beside.fetch(before[0])

    @torch.no_grad()
    def encode(self, pictures: list[np.ndarray], prompts: list[str]) -> Conditions:
        """Pictures and prompts as `animate` takes them, encoded. UserError: as `animate`."""
        wanted = (self.picture_size, self.picture_size, 4)
        for picture in pictures:
            if picture.shape != wanted or picture.dtype != np.uint8:
                raise UserError(
                    f"a picture must be uint8 RGBA of shape {wanted}, got {picture.dtype} {picture.shape}"
                )
        texts = self.encode_texts(["", *prompts])
        return Conditions(self._encode(np.stack(pictures))[:, 0], texts[1:], texts[0])

    def encode_texts(self, prompts: list[str]) -> Tensor:
        """`[B, L, D]`. UserError: the pipeline has no text encoder."""
        if self.text is None:
            raise UserError("this pipeline has no text encoder; give it encoded texts")
        return self.text.encode(prompts)

    def _inputs(self, order: Order) -> tuple[tuple[Passes, Tensor, Tensor], SamplerSettings]:
        """What `sample` takes, from pictures, prompts and seeds, or from conditions."""
        settings, seeds = order.settings or self.settings, order.seeds
        if order.conditions is None and not len(order.pictures) == len(order.prompts) == len(seeds):
            raise UserError(
                f"got {len(order.pictures)} pictures, {len(order.prompts)} prompts and {len(seeds)} seeds; "
                "give equally many"
            )
        found = order.conditions or self.encode(order.pictures, order.prompts)
        device = self.autoencoder.device
        image = found.image_BCHW.to(device)
        text = torch.cat([found.nothing_LD[None], found.text_BLD]).to(device)
        noise = torch.stack([self._noise(seed, settings.num_frames, image.shape[1:]) for seed in seeds])
        return (self._passes(image, text), noise, image[:, None]), settings

    def _decode(self, latents: Tensor) -> Tensor:
        return to_bytes(self.autoencoder.decode(latents))

    def _encode(self, pictures_BHWC: np.ndarray) -> Tensor:
        """Conditioning latents `[B, 1, C, h, w]`."""
        frames = torch.from_numpy(pictures_BHWC).permute(0, 3, 1, 2)[:, None].to(self.autoencoder.device)
        return self.autoencoder.encode(frames.float() / 127.5 - 1)

    def _noise(self, seed: int, num_frames: int, shape: torch.Size) -> Tensor:
        dice = torch.Generator().manual_seed(seed)
        return torch.randn(num_frames, *shape, generator=dice).to(self.autoencoder.device)

    def _passes(self, image_BCHW: Tensor, text_BLD: Tensor) -> Passes:
        """The network as `sample` wants it: a step's passes batched into one call, texts projected once.

        The first text is the empty one.
        """
        texts = self.unet.project_text(text_BLD)
        nothing, said = [0] * len(image_BCHW), list(range(1, 1 + len(image_BCHW)))
        zero, dtype = torch.zeros_like(image_BCHW), self.unet.dtype

        @cache  # two sets of conditions at most, guided and not
        def text_of(conditions: tuple[Condition, ...]) -> "ProjectedText":
            rows = [row for name in conditions for row in (said if name == "full" else nothing)]
            return texts.rows(torch.tensor(rows, device=image_BCHW.device))

        def run(z: Tensor, timestep: int, conditions: tuple[Condition, ...]) -> dict[Condition, Tensor]:
            rows = len(conditions)
            out = self.network(
                z.repeat(rows, 1, 1, 1, 1).to(dtype),
                torch.tensor([timestep], device=z.device),
                text_of(conditions),
                torch.cat([zero if name == "none" else image_BCHW for name in conditions]).to(dtype),
            )
            return dict(zip(conditions, out.float().chunk(rows), strict=True))

        return run


def check_prompt(prompt: str) -> str:
    """The prompt with single white space. UserError, one sentence, when nothing is left, it is too long or no text."""
    clean = " ".join(prompt.split())
    for letter in clean:
        if unicodedata.category(letter) in ("Cc", "Cs"):  # control characters, halves of characters
            raise UserError(f"the prompt holds U+{ord(letter):04X}, which is no text; accepted is plain text")
    if not clean:
        raise UserError("the prompt is empty; say in a few words how the picture shall move")
    if len(clean) > MAX_PROMPT:
        raise UserError(f"the prompt has {len(clean)} characters; at most {MAX_PROMPT} are accepted")
    return clean


class _Beside:
    """A GPU's second stream, for what need not wait for the denoising; on a CPU everything is done in turn."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def run(
        self, work: Callable[[], T], after: torch.cuda.Event | None = None
    ) -> tuple[T, torch.cuda.Event | None]:
        """Do it in the second stream, once `after` has come; with the event that it is done."""
        if self.stream is None:
            return work(), None
        with torch.cuda.stream(self.stream):
            if after is not None:
                self.stream.wait_event(after)
            return work(), self.stream.record_event()

    def mark(self) -> torch.cuda.Event | None:
        """The event that all work of the first stream so far is done."""
        return None if self.stream is None else torch.cuda.current_stream().record_event()

    def wait(self, event: torch.cuda.Event | None) -> None:
        """Have the first stream wait for an event."""
        if event is not None:
            torch.cuda.current_stream().wait_event(event)

    def fetch(self, done: tuple[Tensor, torch.cuda.Event | None]) -> np.ndarray:
        """Pixels as an array, once they are there."""
        pixels, event = done
        if event is not None:
            event.synchronize()
        return pixels.numpy()


def to_bytes(frames_BTCHW: Tensor) -> Tensor:
    """Float `[B, T, 4, H, W]` in [-1, 1] to uint8 RGBA `[B, T, H, W, 4]`; a GPU copies it when it can."""
    pixels = ((frames_BTCHW.float() + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 1, 3, 4, 2)
    if pixels.device.type != "cuda":
        return pixels
    return torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True).copy_(pixels, non_blocking=True)


def to_pixels(frames_BTCHW: Tensor) -> np.ndarray:
    """Float `[B, T, 4, H, W]` in [-1, 1] to uint8 RGBA `[B, T, H, W, 4]`."""
    return to_bytes(frames_BTCHW.cpu()).numpy()
