"""Encodes the conditions of a plan's clips once for all teachers: one text per prompt, one latent per sticker.

Prompts are encoded in chunks, with their stickers, and each chunk is one file. Teachers read the chunks one after the
other and need no text encoder. An unreadable picture is recorded with its reason, and only its candidates fail.
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
from stickers.video.clips import fit_picture
from stickers.video.codec import decode_picture

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder

#: what pictures are encoded as; conditions of another form lie in other folders
FORM = "scaled, then over white"
#: prompts per file
CHUNK = 64
#: rows per call of an encoder; always the same number, so that a result does not depend on the rows beside it
BATCH = 8
#: files that a reader keeps in memory; the rows of a plan come in the order of its prompts
OPEN_CHUNKS = 4


@dataclass(frozen=True)
class Chunk:
    """A slice of a plan's prompts, with their stickers."""

    number: int
    prompts: list[Prompt]
    stickers: list[Sticker]


def chunks_of(prompts: Sequence[Prompt], stickers: Sequence[Sticker]) -> list[Chunk]:
    """All prompts of a plan in chunks of `CHUNK`."""
    number = {prompt.prompt_id: i // CHUNK for i, prompt in enumerate(prompts)}
    chunks = [
        Chunk(i, list(prompts[i * CHUNK : (i + 1) * CHUNK]), []) for i in range(-(-len(prompts) // CHUNK))
    ]
    for sticker in stickers:
        chunks[number[sticker.prompt_id]].stickers.append(sticker)
    return chunks


def conditions_folder(uri: str, encoders: Sequence[str], size: int) -> str:
    """The folder of a plan's conditions, for encoders with these digests and pictures of `size` pixels."""
    return storage.join(uri, "conditions", content_id("conditions", FORM, list(encoders), size)[:12])


def chunk_file(folder: str, number: int) -> str:
    """The URI of a chunk's file in a folder of conditions."""
    return storage.join(folder, f"{number:05d}.safetensors")


class ConditionEncoder:
    """Encodes chunks at `size` pixels into files in `folder`."""

    def __init__(self, folder: str, autoencoder: "RGBAAutoencoder", text: "TextEncoder", size: int) -> None:
        self.folder, self.autoencoder, self.text, self.size = folder, autoencoder, text, size

    def encode(self, chunk: Chunk) -> int:
        """Write one chunk; returns its number."""
        pictures, refused = [], {}
        for sticker in chunk.stickers:
            try:
                pictures.append(self._picture(sticker.png))
            except UserError as error:
                refused[sticker.sticker_id] = str(error)
        names = {
            "prompts": [prompt.prompt_id for prompt in chunk.prompts],
            "stickers": [
                sticker.sticker_id for sticker in chunk.stickers if sticker.sticker_id not in refused
            ],
            "refused": refused,
        }
        tensors = {"text": self._texts(["", *(prompt.text for prompt in chunk.prompts)])}
        if pictures:
            tensors["image"] = self._latents(pictures)
        data = save(tensors, {name: json.dumps(value) for name, value in names.items()})
        storage.write_bytes(chunk_file(self.folder, chunk.number), data)
        return chunk.number

    def _picture(self, png: bytes) -> np.ndarray:
        return fit_picture(decode_picture(png), self.size)

    @torch.no_grad()
    def _latents(self, pictures: list[np.ndarray]) -> Tensor:
        """Latents, float32 `[N, C, h, w]`, of N pictures, uint8 RGBA `[S, S, 4]`."""
        device = next(self.autoencoder.parameters()).device
        latents = []
        for first in range(0, len(pictures), BATCH):
            batch = pictures[first : first + BATCH]
            padded = np.stack(batch + [batch[-1]] * (BATCH - len(batch)))
            encoded = self.autoencoder.encode(to_tensor(padded)[:, None].to(device))
            latents.append(encoded[: len(batch), 0].float().cpu())
        return torch.cat(latents).contiguous()

    def _texts(self, texts: list[str]) -> Tensor:
        """Encoded texts, float32 `[N, L, D]`."""
        encoded = []
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            encoded.append(self.text.encode(batch + [""] * (BATCH - len(batch)))[: len(batch)].cpu())
        return torch.cat(encoded).contiguous()


class EncodedConditions:
    """Reads the files that `ConditionEncoder` wrote to `folder` for the plan at `uri`."""

    def __init__(self, uri: str, folder: str) -> None:
        self.folder = folder
        prompts = storage.read_table(storage.join(uri, "prompts.parquet"), columns=["prompt_id"])
        number = {name: i // CHUNK for i, name in enumerate(prompts["prompt_id"].to_pylist())}
        names = ["sticker_id", "prompt_id"]
        columns = storage.read_table(storage.join(uri, "stickers.parquet"), columns=names)
        pairs = zip(*(columns[name].to_pylist() for name in names), strict=True)
        self.prompt_of = {sticker: (number[prompt], prompt) for sticker, prompt in pairs}

    def of(self, rows: Sequence[PlanRow]) -> Conditions:
        """The conditions of plan rows, in order. UserError: a row's picture is unknown or could not be read."""
        images, texts = [], []
        for row in rows:
            if row.sticker_id not in self.prompt_of:
                raise UserError(
                    f"the plan names sticker {row.sticker_id}, which its sticker table does not hold"
                )
            number, prompt = self.prompt_of[row.sticker_id]
            chunk = _read(chunk_file(self.folder, number))
            if row.sticker_id in chunk.refused:
                raise UserError(chunk.refused[row.sticker_id])
            images.append(chunk.image[chunk.stickers[row.sticker_id]])
            texts.append(chunk.text[1 + chunk.prompts[prompt]])
            empty_text = chunk.text[0]
        return Conditions(torch.stack(images), torch.stack(texts), empty_text)


@dataclass(frozen=True)
class _Encoded:
    """A chunk's tensors, and the row of each prompt and sticker in them."""

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
