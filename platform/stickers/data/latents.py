"""Videos as frame latents at their native rate: decoded and encoded once, sampled by every recipe.

The autoencoder works a frame at a time, so one encoding serves every fps, stride and conditioning frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from stickers.video.clips import clip_indices, cut_out, fit, on_white

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder

ENCODE_BATCH = 64
#: what is drawn evenly; by captions, a prompt of which people keep much does not crowd out one of which they keep few
Balance = Literal["clips", "captions"]


@dataclass(frozen=True)
class LatentSet:
    """Frame latents of N videos and their captions.

    `frames` is float16 `[F, C, h, w]`, all videos end to end; `first`, `length` (int64 `[N]`) cut it up; `fps` float32
    `[N]`; `texts` float16 `[M, L, D]` with `text_of` int64 `[N]` pointing into it; each text is some video's.
    """

    frames: Tensor
    first: Tensor
    length: Tensor
    fps: Tensor
    texts: Tensor
    text_of: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def draw(self, rng: np.random.Generator, balance: Balance = "clips") -> int:
        """The index of a random video: all equally likely, or all captions, then one of the videos that bear it."""
        if balance == "clips":
            return int(rng.integers(len(self)))
        bearers = (self.text_of == int(rng.integers(len(self.texts)))).nonzero()
        return int(bearers[int(rng.integers(len(bearers)))])

    def clip(self, index: int, *, fps: int, num_frames: int, start_fraction: float | None) -> Tensor:
        """A clip `[T, C, h, w]` of video `index`, sampled as paper section 3.1 has it (see `clip_indices`)."""
        taken = clip_indices(
            int(self.length[index]),
            float(self.fps[index]),
            fps=fps,
            num_frames=num_frames,
            start_fraction=start_fraction,
        )
        return self.frames[int(self.first[index]) + torch.from_numpy(taken)].float()

    def text(self, index: int) -> Tensor:
        return self.texts[self.text_of[index]].float()

    def to_bytes(self) -> bytes:
        """The set as a safetensors file."""
        return save({name: value.contiguous() for name, value in vars(self).items()})

    def save(self, path: str | Path) -> None:
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> "LatentSet":
        return cls(**load_file(str(path)))

    @staticmethod
    def join(sets: list["LatentSet"]) -> "LatentSet":
        """One set of several, in order."""
        frames, texts, parts = 0, 0, []
        for one in sets:
            parts.append((one.first + frames, one.text_of + texts))
            frames, texts = frames + len(one.frames), texts + len(one.texts)
        return LatentSet(
            frames=torch.cat([s.frames for s in sets]),
            first=torch.cat([p[0] for p in parts]),
            length=torch.cat([s.length for s in sets]),
            fps=torch.cat([s.fps for s in sets]),
            texts=torch.cat([s.texts for s in sets]),
            text_of=torch.cat([p[1] for p in parts]),
        )


def to_tensor(frames_THWC: np.ndarray) -> Tensor:
    """uint8 RGBA frames to float `[T, 4, H, W]` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2).float() / 127.5 - 1


def canonical(frames_THWC: np.ndarray, size: int) -> np.ndarray:
    """Any clip in the model's form: cut out of a solid background, over white, `size` pixels square."""
    return on_white(fit(cut_out(frames_THWC), size))


def encode_frames(autoencoder: "RGBAAutoencoder", frames_THWC: np.ndarray) -> Tensor:
    """Latents, float16 `[T, C, h, w]`, of canonical frames."""
    batches = to_tensor(frames_THWC).split(ENCODE_BATCH)
    return torch.cat([autoencoder.encode(batch[None])[0] for batch in batches]).half()


def encode_clips(
    clips: Iterable[tuple[np.ndarray, float, str]],
    autoencoder: "RGBAAutoencoder",
    text: "TextEncoder",
    size: int,
) -> LatentSet:
    """Encode clips given as (RGBA frames `[T, H, W, 4]`, fps, caption)."""
    frames, fps, captions = [], [], []
    for pixels, rate, caption in clips:
        frames.append(encode_frames(autoencoder, canonical(pixels, size)))
        fps.append(rate)
        captions.append(caption)
    if not frames:
        raise ValueError("there is no usable clip to encode")
    length = torch.tensor([len(f) for f in frames])
    distinct = sorted(set(captions))
    return LatentSet(
        frames=torch.cat(frames),
        first=torch.cumsum(length, 0) - length,
        length=length,
        fps=torch.tensor(fps, dtype=torch.float32),
        texts=text.encode(distinct).half(),
        text_of=torch.tensor([distinct.index(c) for c in captions]),
    )


def weights_digest(folder: str | Path) -> str:
    """Content hash of every weight and configuration file in a folder, by relative name."""
    digest = blake2b(digest_size=6)
    for path in sorted(p for p in Path(folder).rglob("*") if p.suffix in (".safetensors", ".json", ".txt")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
