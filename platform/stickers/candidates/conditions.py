"""What a plan's clips start from, encoded once for all its teachers: a text a prompt, a latent a sticker.

Prompts are encoded a chunk at a time, with their stickers, into one file each; a teacher reads the chunks as it comes
to them and needs no text encoder of its own. A picture that cannot be read is recorded with its reason, and only the
candidates that wanted it fail.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from stickers import storage
from stickers.artifacts.ids import content_id
from stickers.artifacts.records import PlanRow, Prompt, Sticker
from stickers.data.encoding import to_tensor
from stickers.errors import UserError
from stickers.pipeline import Conditions
from stickers.video.clips import fit
from stickers.video.codec import decode_picture

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder

#: prompts in a file
CHUNK = 64
#: rows of one call of an encoder; always as many, so that what a row becomes does not depend on its neighbours
BATCH = 8
#: files that a reader holds; a plan comes in the order of its prompts
OPEN_CHUNKS = 4


@dataclass(frozen=True)
class Chunk:
    """Some prompts of a plan with their stickers."""

    number: int
    prompts: list[Prompt]
    stickers: list[Sticker]


def chunks_of(prompts: Sequence[Prompt], stickers: Sequence[Sticker]) -> list[Chunk]:
    """All prompts of a plan, `CHUNK` at a time."""
    number = {each.prompt_id: i // CHUNK for i, each in enumerate(prompts)}
    found = [
        Chunk(i, list(prompts[i * CHUNK : (i + 1) * CHUNK]), []) for i in range(-(-len(prompts) // CHUNK))
    ]
    for each in stickers:
        found[number[each.prompt_id]].stickers.append(each)
    return found


def conditions_place(uri: str, encoders: Sequence[str], size: int) -> str:
    """The folder of a plan's conditions for encoders of these digests and pictures of `size` pixels."""
    return storage.join(uri, "conditions", content_id("conditions", list(encoders), size)[:12])


def chunk_file(place: str, number: int) -> str:
    return storage.join(place, f"{number:05d}.safetensors")


class ConditionEncoder:
    """Encodes chunks at `size` pixels into files below `place`."""

    def __init__(self, place: str, autoencoder: "RGBAAutoencoder", text: "TextEncoder", size: int) -> None:
        self.place, self.autoencoder, self.text, self.size = place, autoencoder, text, size

    def encode(self, chunk: Chunk) -> int:
        """Write one chunk; returns its number."""
        pictures, refused = [], {}
        for each in chunk.stickers:
            try:
                pictures.append(self._picture(each.png))
            except UserError as error:
                refused[each.sticker_id] = str(error)
        names = {
            "prompts": [each.prompt_id for each in chunk.prompts],
            "stickers": [each.sticker_id for each in chunk.stickers if each.sticker_id not in refused],
            "refused": refused,
        }
        tensors = {"text": self._texts(["", *(each.text for each in chunk.prompts)])}
        if pictures:
            tensors["image"] = self._latents(pictures)
        data = save(tensors, {name: json.dumps(value) for name, value in names.items()})
        storage.write_bytes(chunk_file(self.place, chunk.number), data)
        return chunk.number

    def _picture(self, png: bytes) -> np.ndarray:
        pixels = decode_picture(png)
        return pixels if pixels.shape[:2] == (self.size, self.size) else fit(pixels[None], self.size)[0]

    @torch.no_grad()
    def _latents(self, pictures: list[np.ndarray]) -> Tensor:
        """Of pictures uint8 RGBA `[S, S, 4]`, float32 `[N, C, h, w]`."""
        device = next(self.autoencoder.parameters()).device
        found = []
        for first in range(0, len(pictures), BATCH):
            some = pictures[first : first + BATCH]
            filled = np.stack(some + [some[-1]] * (BATCH - len(some)))
            latents = self.autoencoder.encode(to_tensor(filled)[:, None].to(device))
            found.append(latents[: len(some), 0].float().cpu())
        return torch.cat(found).contiguous()

    def _texts(self, texts: list[str]) -> Tensor:
        """`[N, L, D]`, float32."""
        found = []
        for first in range(0, len(texts), BATCH):
            some = texts[first : first + BATCH]
            found.append(self.text.encode(some + [""] * (BATCH - len(some)))[: len(some)].cpu())
        return torch.cat(found).contiguous()


class EncodedConditions:
    """Reads what `ConditionEncoder` wrote below `place` for the plan at `uri`."""

    def __init__(self, uri: str, place: str) -> None:
        self.place = place
        prompts = storage.read_table(storage.join(uri, "prompts.parquet"), columns=["prompt_id"])
        number = {name: i // CHUNK for i, name in enumerate(prompts["prompt_id"].to_pylist())}
        names = ["sticker_id", "prompt_id"]
        columns = storage.read_table(storage.join(uri, "stickers.parquet"), columns=names)
        pairs = zip(*(columns[name].to_pylist() for name in names), strict=True)
        self.found = {sticker: (number[prompt], prompt) for sticker, prompt in pairs}

    def of(self, rows: Sequence[PlanRow]) -> Conditions:
        """The conditions of some rows, in order. UserError: a row's picture is unknown or could not be read."""
        images, texts = [], []
        for row in rows:
            if row.sticker_id not in self.found:
                raise UserError(
                    f"the plan names sticker {row.sticker_id}, which its sticker table does not hold"
                )
            number, prompt = self.found[row.sticker_id]
            chunk = _read(chunk_file(self.place, number))
            if row.sticker_id in chunk.refused:
                raise UserError(chunk.refused[row.sticker_id])
            images.append(chunk.image[chunk.stickers[row.sticker_id]])
            texts.append(chunk.text[1 + chunk.prompts[prompt]])
            nothing = chunk.text[0]
        return Conditions(torch.stack(images), torch.stack(texts), nothing)


@dataclass(frozen=True)
class _Encoded:
    """A chunk's tensors and what each row of them is of."""

    text: Tensor
    image: Tensor
    prompts: dict[str, int]
    stickers: dict[str, int]
    refused: dict[str, str]


@lru_cache(maxsize=OPEN_CHUNKS)
def _read(uri: str) -> _Encoded:
    with safe_open(storage.local_file(uri), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        names = {name: json.loads(value) for name, value in file.metadata().items()}
    return _Encoded(
        text=tensors["text"],
        image=tensors.get("image", torch.empty(0)),
        prompts={name: row for row, name in enumerate(names["prompts"])},
        stickers={name: row for row, name in enumerate(names["stickers"])},
        refused=names["refused"],
    )
