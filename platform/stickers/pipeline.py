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
#: characters; CLIP reads 77 tokens, so a longer prompt is a mistake
MAX_PROMPT = 2_000
#: channels of a picture
RGBA = 4
#: a byte divided by this is a float in [0, 2]
HALF_RANGE = 127.5
#: the largest byte
MAX_LEVEL = 255


class Conditions(NamedTuple):
    """A batch's encoded inputs: pictures `image_BCHW`, texts `text_BLD`, and the empty text `nothing_LD`."""

    image_BCHW: Tensor
    text_BLD: Tensor
    nothing_LD: Tensor


class Order(NamedTuple):
    """A batch to animate: pictures, prompts and seeds as in `animate`, or conditions instead of the first two."""

    pictures: list[np.ndarray]
    prompts: list[str]
    seeds: list[int]
    settings: SamplerSettings | None = None
    conditions: Conditions | None = None


@dataclass
class AnimationPipeline:
    """A UNet with its autoencoder and text encoder, ready to animate; without a text encoder it takes encoded texts.

    `prediction` is the UNet's form of prediction, `settings` its usual sampling, `picture_size` the pixels a side of
    pictures and clips.
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
        """Read a folder that `save` wrote.

        Raises:
            UserError: the folder is no exported model; the message names the missing part.
        """
        root = Path(folder)
        for part in (
            CONFIG,
            "unet/config.json",
            "autoencoder/config.json",
            "text_encoder/config.json",
            "tokenizer",
        ):
            if not (root / part).exists():
                raise UserError(
                    f"{root} is no animation model: {part} is missing (experiments/export.py writes one)"
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
        """Make the pipeline fast for its device, in place; it cannot be saved afterwards.

        The first clip of each shape takes longer.

        Args:
            graph: how the network's forward is compiled; by default `compile` on a GPU, `script` on a CPU, where
                it is as fast and needs neither a compiler nor minutes (measured: `docs/log/speed.md`).
        """
        from stickers.models.fast import as_graph, improve_layers

        improve_layers(self.unet)
        default: Graph = "compile" if self.unet.device.type == "cuda" else "script"
        self.network = as_graph(self.unet, graph or default)
        # torch's `to`: that of diffusers warns of its empty list of layers to keep in float32.
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
            prompts: one text for each picture.
            seeds: one integer for each picture; a row's noise depends on its seed alone, not on its neighbours.
            settings: sampling, by default the model's usual settings.

        Returns:
            uint8 RGBA `[B, T, H, W, 4]`.

        Raises:
            UserError: the lists differ in length, or a picture has another shape.
        """
        return next(self.animate_each([Order(pictures, prompts, seeds, settings)]))

    @torch.no_grad()
    def animate_each(self, orders: Iterable[Order]) -> Iterator[np.ndarray]:
        """Animate batch after batch; while a GPU denoises one, it decodes the previous and encodes the next.

        Yields:
            uint8 RGBA `[B, T, H, W, 4]` for each batch, in order.

        Raises:
            UserError: as `animate`.
        """
        beside = _SecondStream(self.autoencoder.device)
        batches = (beside.run(partial(self._inputs, order)) for order in orders)
        current, previous = next(batches, None), None
        while current is not None:
            (inputs, settings), encoded = current
            beside.wait(encoded)
            latents = sample(*inputs, self.prediction, settings)
            denoised, following = beside.mark(), next(batches, None)
            decoded = beside.run(partial(self._decode, latents), denoised)
            if previous is not None:
                yield beside.fetch(previous[0])
            # Tensors that the streams share stay referenced until both are done with them.
            current, previous = following, (decoded, current, latents)
        if previous is not None:
            yield beside.fetch(previous[0])

    @torch.no_grad()
    def encode(self, pictures: list[np.ndarray], prompts: list[str]) -> Conditions:
        """Encode pictures and prompts, as `animate` takes them. UserError: as `animate`."""
        shape = (self.picture_size, self.picture_size, RGBA)
        for picture in pictures:
            if picture.shape != shape or picture.dtype != np.uint8:
                raise UserError(
                    f"a picture must be uint8 RGBA of shape {shape}, got {picture.dtype} {picture.shape}"
                )
        texts = self.encode_texts(["", *prompts])
        return Conditions(self._encode(np.stack(pictures))[:, 0], texts[1:], texts[0])

    def encode_texts(self, prompts: list[str]) -> Tensor:
        """Encoded texts `[B, L, D]`. UserError: the pipeline has no text encoder."""
        if self.text is None:
            raise UserError("this pipeline has no text encoder; give it encoded texts")
        return self.text.encode(prompts)

    def _inputs(self, order: Order) -> tuple[tuple[Passes, Tensor, Tensor], SamplerSettings]:
        """The arguments of `sample`, from pictures, prompts and seeds, or from conditions."""
        settings, seeds = order.settings or self.settings, order.seeds
        if order.conditions is None and not len(order.pictures) == len(order.prompts) == len(seeds):
            raise UserError(
                f"got {len(order.pictures)} pictures, {len(order.prompts)} prompts and {len(seeds)} seeds; "
                "give equally many"
            )
        conditions = order.conditions or self.encode(order.pictures, order.prompts)
        device = self.autoencoder.device
        image = conditions.image_BCHW.to(device)
        text = torch.cat([conditions.nothing_LD[None], conditions.text_BLD]).to(device)
        noise = torch.stack([self._noise(seed, settings.num_frames, image.shape[1:]) for seed in seeds])
        return (self._passes(image, text), noise, image[:, None]), settings

    def _decode(self, latents: Tensor) -> Tensor:
        return to_bytes(self.autoencoder.decode(latents))

    def _encode(self, pictures_BHWC: np.ndarray) -> Tensor:
        """Conditioning latents `[B, 1, C, h, w]`."""
        frames = torch.from_numpy(pictures_BHWC).permute(0, 3, 1, 2)[:, None].to(self.autoencoder.device)
        return self.autoencoder.encode(frames.float() / HALF_RANGE - 1)

    def _noise(self, seed: int, num_frames: int, shape: torch.Size) -> Tensor:
        dice = torch.Generator().manual_seed(seed)
        return torch.randn(num_frames, *shape, generator=dice).to(self.autoencoder.device)

    def _passes(self, image_BCHW: Tensor, text_BLD: Tensor) -> Passes:
        """The network as a function for `sample`: one call for all passes of a step, texts projected once.

        The first text is the empty one.
        """
        texts = self.unet.project_text(text_BLD)
        empty_rows, prompt_rows = [0] * len(image_BCHW), list(range(1, 1 + len(image_BCHW)))
        zero, dtype = torch.zeros_like(image_BCHW), self.unet.dtype

        @cache  # two sets of conditions at most, guided and not
        def text_of(conditions: tuple[Condition, ...]) -> "ProjectedText":
            rows = [row for name in conditions for row in (prompt_rows if name == "full" else empty_rows)]
            return texts.rows(torch.tensor(rows, device=image_BCHW.device))

        def run(z: Tensor, timestep: int, conditions: tuple[Condition, ...]) -> dict[Condition, Tensor]:
            num_passes = len(conditions)
            output = self.network(
                z.repeat(num_passes, 1, 1, 1, 1).to(dtype),
                torch.tensor([timestep], device=z.device),
                text_of(conditions),
                torch.cat([zero if name == "none" else image_BCHW for name in conditions]).to(dtype),
            )
            return dict(zip(conditions, output.float().chunk(num_passes), strict=True))

        return run


def check_prompt(prompt: str) -> str:
    """The prompt with single white space. UserError when it is empty, too long or no text."""
    clean = " ".join(prompt.split())
    for letter in clean:
        if unicodedata.category(letter) in ("Cc", "Cs"):  # control characters and lone surrogates
            raise UserError(f"the prompt holds U+{ord(letter):04X}, which is no text; accepted is plain text")
    if not clean:
        raise UserError("the prompt is empty; say in a few words how the picture shall move")
    if len(clean) > MAX_PROMPT:
        raise UserError(f"the prompt has {len(clean)} characters; at most {MAX_PROMPT} are accepted")
    return clean


class _SecondStream:
    """A GPU's second stream, for work that runs during the denoising; on a CPU all work is done in turn."""

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def run(
        self, work: Callable[[], T], after: torch.cuda.Event | None = None
    ) -> tuple[T, torch.cuda.Event | None]:
        """Do the work in the second stream, after the event `after`; returns its result and the event of its end."""
        if self.stream is None:
            return work(), None
        with torch.cuda.stream(self.stream):
            if after is not None:
                self.stream.wait_event(after)
            return work(), self.stream.record_event()

    def mark(self) -> torch.cuda.Event | None:
        """The event at which all work of the first stream so far is done."""
        return None if self.stream is None else torch.cuda.current_stream().record_event()

    def wait(self, event: torch.cuda.Event | None) -> None:
        """Let the first stream wait for an event."""
        if event is not None:
            torch.cuda.current_stream().wait_event(event)

    def fetch(self, done: tuple[Tensor, torch.cuda.Event | None]) -> np.ndarray:
        """Wait for pixels and return them as an array."""
        pixels, event = done
        if event is not None:
            event.synchronize()
        return pixels.numpy()


def to_bytes(frames_BTCHW: Tensor) -> Tensor:
    """Float `[B, T, 4, H, W]` in [-1, 1] to uint8 RGBA `[B, T, H, W, 4]`; a GPU copies it asynchronously."""
    pixels = (
        ((frames_BTCHW.float() + 1) * HALF_RANGE).round().clamp(0, MAX_LEVEL).byte().permute(0, 1, 3, 4, 2)
    )
    if pixels.device.type != "cuda":
        return pixels
    return torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True).copy_(pixels, non_blocking=True)


def to_pixels(frames_BTCHW: Tensor) -> np.ndarray:
    """Float `[B, T, 4, H, W]` in [-1, 1] to uint8 RGBA `[B, T, H, W, 4]`."""
    return to_bytes(frames_BTCHW.cpu()).numpy()
