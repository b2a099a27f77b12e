"""Videos as frame latents at their native rate, decoded and encoded once and sampled by all recipes.

The autoencoder works frame by frame, so one encoding serves any fps, stride and conditioning frame.
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

#: drawn evenly: clips or captions; with captions, a prompt with many kept clips does not crowd out one with few
Balance = Literal["clips", "captions"]
#: the rate of a clip, in fps: one for all, or one that depends on its motion
Rate = int | MotionBuckets
#: columns of `LatentSet.track`
TIME, COLUMNS = 0, {"vmaf": 1, "vectors": 2}
#: bytes that are hashed at a time
CHUNK_BYTES = 1 << 20
#: rows in memory, in files, or made from videos on demand
Rows = Tensor | Shards | OnlineFrames


@dataclass(frozen=True)
class LatentSet:
    """Frame latents of N videos and their captions.

    `frames` is float16 `[F, C, h, w]`, one video after another, divided by `first` and `length` (int64 `[N]`); `fps` is
    float32 `[N]`; `texts` is float16 `[M, L, D]`, and `text_of` (int64 `[N]`) points into it. `track`, float32
    `[F, 3]`, holds for each frame the time at which it is shown (seconds from the video's start) and the motion since
    the previous one: vmafmotion (0-255) and the mean norm of H.264 motion vectors (pixels; NaN in other codecs).
    `variable`, bool `[N]`, marks videos whose frames are not evenly spaced. Frames, texts and track are tensors or
    shards; frames may also be made from the videos each time.
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
    def _videos_by_caption(self) -> list[Tensor]:
        """The videos of each caption."""
        counts = torch.unique(self.text_of, return_counts=True)[1]
        return list(torch.argsort(self.text_of, stable=True).split(counts.tolist()))

    def draw(self, rng: np.random.Generator, balance: Balance = "clips") -> int:
        """The index of a random video: all equally likely, or all captions and then the videos of one caption."""
        if balance == "clips":
            return int(rng.integers(len(self)))
        videos = self._videos_by_caption[int(rng.integers(len(self._videos_by_caption)))]
        return int(videos[int(rng.integers(len(videos)))])

    def clip(self, index: int, *, fps: Rate, num_frames: int, start_fraction: float | None) -> Tensor:
        """A clip `[T, C, h, w]` of video `index`, with the frames of `indices`."""
        taken = self.indices(index, fps=fps, num_frames=num_frames, start_fraction=start_fraction)
        return self.frames[int(self.first[index]) + torch.from_numpy(taken)].float()

    def indices(self, index: int, *, fps: Rate, num_frames: int, start_fraction: float | None) -> np.ndarray:
        """The frames of a clip of video `index` (paper section 3.1, and 3.1.1 for motion buckets).

        With motion buckets, the motion in the window of the slowest rate decides the rate; the clip begins where that
        window does.
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
        """The motion per second between two frames of video `index`."""
        track = self.tracked(index)[first : last + 1]
        seconds = float(track[-1, TIME] - track[0, TIME])
        return float(track[1:, COLUMNS[score]].sum()) / seconds if seconds > 0 else 0.0

    def text(self, index: int) -> Tensor:
        """The text of video `index`, float32 `[L, D]`."""
        return self.texts[self.text_of[index]].float()

    def to_bytes(self, folder: str = "") -> bytes:
        """The set as a safetensors file for `folder`; shards stay in place and are named relative to it."""
        tensors: dict[str, Tensor] = {}
        shards: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                tensors[field.name] = value.contiguous()
            elif isinstance(value, Shards):
                files = [os.path.relpath(file, folder) for file in value.files]
                shards[field.name] = json.dumps([files, value.counts, value.name])
            elif isinstance(value, OnlineFrames):
                tensors |= value.tensors()
        return save(tensors, shards or None)

    def save(self, path: str | Path) -> None:
        """Write the set to a local file."""
        Path(path).write_bytes(self.to_bytes(str(Path(path).parent)))

    @classmethod
    def load(cls, uri: str | Path, autoencoder: "RGBAAutoencoder | None" = None) -> "LatentSet":
        """Read a set; shards are read on demand.

        Raises:
            UserError: the file is missing, or its frames are made from videos and `autoencoder` is None.
        """
        folder = str(uri).rpartition("/")[0] or "."
        with safe_open(storage.local_file(str(uri)), "pt") as file:
            columns: dict[str, Rows] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            shards = file.metadata() or {}
        for name, text in shards.items():
            files, counts, tensor_name = json.loads(text)
            uris = [storage.below(folder, file) for file in files]
            columns[name] = Shards(uris, counts, tensor_name)
        if "frames" not in columns:
            if autoencoder is None:
                raise UserError(f"the frames of {uri} are made from videos, which needs the autoencoder")
            columns["frames"] = OnlineFrames.of_tensors(columns, autoencoder)
        names = {column.name for column in fields(cls)}  # a later version may have written more
        return cls(**{name: rows for name, rows in columns.items() if name in names})  # type: ignore[arg-type]

    @staticmethod
    def join(sets: list["LatentSet"]) -> "LatentSet":
        """Join sets in memory, in order, without times and motion."""
        num_frames, num_texts, offsets = 0, 0, []
        for part in sets:
            offsets.append((part.first + num_frames, part.text_of + num_texts))
            num_frames += shape_of(part.frames)[0]
            num_texts += shape_of(part.texts)[0]
        return LatentSet(
            frames=torch.cat([s.frames for s in sets]),  # type: ignore[misc]
            first=torch.cat([first for first, _ in offsets]),
            length=torch.cat([s.length for s in sets]),
            fps=torch.cat([s.fps for s in sets]),
            texts=torch.cat([s.texts for s in sets]),  # type: ignore[misc]
            text_of=torch.cat([text_of for _, text_of in offsets]),
        )


def shards_of(uri: str) -> set[str]:
    """The places of the shards that a set's file points into; none where it holds everything itself."""
    folder = uri.rpartition("/")[0]
    with safe_open(storage.local_file(uri), "pt") as file:
        columns = [json.loads(text)[0] for text in (file.metadata() or {}).values()]
    return {storage.below(folder, name) for names in columns for name in names}


def shape_of(rows: Rows) -> tuple[int, ...]:
    """The shape of rows of any kind; at most a header is read."""
    return tuple(rows.shape) if isinstance(rows, Tensor) else rows.shape()


def encode_clips(
    clips: Iterable[tuple[np.ndarray, float, str]],
    autoencoder: "RGBAAutoencoder",
    text: "TextEncoder",
    size: int,
) -> LatentSet:
    """Encode clips: tuples of RGBA frames `[T, H, W, 4]`, fps and caption."""
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
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
