"""Videos as frame latents at their native rate: decoded and encoded once, sampled by every recipe.

The autoencoder works a frame at a time, so one encoding serves every fps, stride and conditioning frame.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from stickers import storage
from stickers.data.encoding import canonical, encode_frames
from stickers.data.motion_buckets import MotionBuckets, Score
from stickers.data.online import OnlineFrames
from stickers.data.shards import Shards
from stickers.errors import UserError
from stickers.video.clips import clip_indices, clip_indices_by_time

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder
    from stickers.models.text import TextEncoder

#: what is drawn evenly; by captions, a prompt of which people keep much does not crowd out one of which they keep few
Balance = Literal["clips", "captions"]
#: how fast a clip plays, in fps: evenly, or as its motion asks
Rate = int | MotionBuckets
#: columns of `LatentSet.track`
TIME, COLUMNS = 0, {"vmaf": 1, "vectors": 2}
#: rows in memory, in files, or made from videos when asked for
Rows = Tensor | Shards | OnlineFrames


@dataclass(frozen=True)
class LatentSet:
    """Frame latents of N videos and their captions.

    `frames` is float16 `[F, C, h, w]`, all videos end to end; `first`, `length` (int64 `[N]`) cut it up; `fps` float32
    `[N]`; `texts` float16 `[M, L, D]` with `text_of` int64 `[N]` pointing into it. `track`, float32 `[F, 3]`, says of
    each frame when it is shown (seconds from the video's start) and how much moved since the one before: vmafmotion
    (0-255) and the mean norm of H.264 motion vectors (pixels; NaN in other codecs). `variable`, bool `[N]`, marks
    videos whose frames are not evenly spaced. Frames, texts and track are tensors or shards; frames may also be made
    from the videos each time.
    """

    frames: Rows
    first: Tensor
    length: Tensor
    fps: Tensor
    texts: Rows
    text_of: Tensor
    track: Rows | None = None
    variable: Tensor | None = None

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def _bearers(self) -> list[Tensor]:
        """For each caption the videos that bear it."""
        counts = torch.unique(self.text_of, return_counts=True)[1]
        return list(torch.argsort(self.text_of, stable=True).split(counts.tolist()))

    def draw(self, rng: np.random.Generator, balance: Balance = "clips") -> int:
        """The index of a random video: all equally likely, or all captions, then one of the videos that bear it."""
        if balance == "clips":
            return int(rng.integers(len(self)))
        bearers = self._bearers[int(rng.integers(len(self._bearers)))]
        return int(bearers[int(rng.integers(len(bearers)))])

    def clip(self, index: int, *, fps: Rate, num_frames: int, start_fraction: float | None) -> Tensor:
        """A clip `[T, C, h, w]` of video `index`, sampled as `indices` says."""
        taken = self.indices(index, fps=fps, num_frames=num_frames, start_fraction=start_fraction)
        return self.frames[int(self.first[index]) + torch.from_numpy(taken)].float()

    def indices(self, index: int, *, fps: Rate, num_frames: int, start_fraction: float | None) -> np.ndarray:
        """Which frames of video `index` make a clip (paper section 3.1, and 3.1.1 for a rate that follows motion).

        Such a rate is that of the window which the slowest rate would show; the clip begins where that window does.
        """
        if isinstance(fps, int):
            return self._evenly(index, fps, num_frames, start_fraction)
        slowest = min(fps.rates)
        window = self._evenly(index, slowest, num_frames, start_fraction)
        first, last = int(window[0]), int(window[-1])
        rate = fps.rate_of(self.speed(index, first, last, fps.score))
        if rate == slowest:
            return window
        if start_fraction is None:
            return self._evenly(index, rate, num_frames, None)
        return first + self._evenly(index, rate, num_frames, 0.0, skip=first)

    def _evenly(
        self, index: int, fps: int, num_frames: int, start_fraction: float | None, skip: int = 0
    ) -> np.ndarray:
        """Indices at one rate, counted from frame `skip`."""
        length = int(self.length[index])
        if self.variable is None or not self.variable[index]:
            taken = clip_indices(
                length,
                float(self.fps[index]),
                fps=fps,
                num_frames=num_frames,
                start_fraction=start_fraction,
            )
            return taken
        times = self.tracked(index)[skip:, TIME].numpy()
        return clip_indices_by_time(
            (times - times[0]).tolist(), fps=fps, num_frames=num_frames, start_fraction=start_fraction
        )

    def tracked(self, index: int) -> Tensor:
        """The track of video `index`, `[frames, 3]`. UserError: this set has none."""
        if self.track is None:
            raise UserError("this set knows neither times nor motion of its frames")
        return self.track[int(self.first[index]) + torch.arange(int(self.length[index]))]

    def speed(self, index: int, first: int, last: int, score: Score) -> float:
        """How much moves a second between two frames of video `index`."""
        track = self.tracked(index)[first : last + 1]
        seconds = float(track[-1, TIME] - track[0, TIME])
        return float(track[1:, COLUMNS[score]].sum()) / seconds if seconds > 0 else 0.0

    def text(self, index: int) -> Tensor:
        return self.texts[self.text_of[index]].float()

    def to_bytes(self, place: str = "") -> bytes:
        """The set as a safetensors file, to lie in folder `place`; its shards stay where they are, named from there."""
        tensors: dict[str, Tensor] = {}
        said: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                tensors[field.name] = value.contiguous()
            elif isinstance(value, Shards):
                files = [os.path.relpath(each, place) for each in value.files]
                said[field.name] = json.dumps([files, value.counts, value.name])
            elif isinstance(value, OnlineFrames):
                tensors |= value.tensors()
        return save(tensors, said or None)

    def save(self, path: str | Path) -> None:
        Path(path).write_bytes(self.to_bytes(str(Path(path).parent)))

    @classmethod
    def load(cls, uri: str | Path, autoencoder: "RGBAAutoencoder | None" = None) -> "LatentSet":
        """Read a set; what lies in shards is read when it is asked for.

        Raises:
            UserError: there is no such file, or its frames are made from videos and there is no autoencoder.
        """
        folder = str(uri).rpartition("/")[0] or "."
        with safe_open(storage.local_file(str(uri)), "pt") as file:
            found: dict[str, Rows] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            said = file.metadata() or {}
        for name, text in said.items():
            files, counts, inside = json.loads(text)
            found[name] = Shards([storage.below(folder, each) for each in files], counts, inside)
        if "frames" not in found:
            if autoencoder is None:
                raise UserError(f"the frames of {uri} are made from videos, which needs the autoencoder")
            found["frames"] = OnlineFrames.of_tensors(found, autoencoder)
        known = {each.name for each in fields(cls)}  # a later version may have written more
        return cls(**{name: rows for name, rows in found.items() if name in known})  # type: ignore[arg-type]

    @staticmethod
    def join(sets: list["LatentSet"]) -> "LatentSet":
        """One set of several that lie in memory, in order; times and motion are left out."""
        frames, texts, parts = 0, 0, []
        for one in sets:
            parts.append((one.first + frames, one.text_of + texts))
            frames, texts = frames + shape_of(one.frames)[0], texts + shape_of(one.texts)[0]
        return LatentSet(
            frames=torch.cat([s.frames for s in sets]),  # type: ignore[misc]
            first=torch.cat([p[0] for p in parts]),
            length=torch.cat([s.length for s in sets]),
            fps=torch.cat([s.fps for s in sets]),
            texts=torch.cat([s.texts for s in sets]),  # type: ignore[misc]
            text_of=torch.cat([p[1] for p in parts]),
        )


def shape_of(rows: Rows) -> tuple[int, ...]:
    """The shape of rows wherever they lie; at most a header is read."""
    return tuple(rows.shape) if isinstance(rows, Tensor) else rows.shape()


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
        raise UserError("there is no usable clip to encode")
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
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while some := file.read(1 << 20):
                digest.update(some)
    return digest.hexdigest()
