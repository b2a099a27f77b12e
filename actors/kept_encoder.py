"""Encodes the clips of a kept set chunk by chunk, on as many actors as the cluster has room for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import ray
import torch
from ray.util import ActorPool
from safetensors.torch import load, save
from torch import Tensor

from actors.cluster import own_device
from actors.screen import track
from stickers import storage
from stickers.data.encoding import canonical, encode_frames
from stickers.data.latents import LatentSet
from stickers.errors import UserError
from stickers.models.folders import load_autoencoder, load_text_encoder
from stickers.video.codec import decode_strip

#: clips that become durable together
CLIPS_PER_CHUNK = 32


@dataclass(frozen=True, kw_only=True)
class KeptClip:
    """A clip to encode: its lossless strip, frames, rate and prompt."""

    strip: bytes
    num_frames: int
    fps: float
    prompt: str


class KeptEncoder:
    """Holds an autoencoder, on a GPU where it has one, and encodes clips at `size` pixels."""

    def __init__(self, encoders: str, size: int) -> None:
        device = own_device()
        if device == "cpu":
            torch.set_num_threads(1)
        self.autoencoder, self.size = load_autoencoder(encoders).to(device), size

    def encode(self, folder: str, number: int, clips: Sequence[KeptClip]) -> int:
        """Write the latents of one chunk; returns its number."""
        frames = [
            encode_frames(self.autoencoder, canonical(decode_strip(clip.strip, clip.num_frames), self.size))
            for clip in clips
        ]
        storage.write_bytes(_chunk(folder, number), save({"frames": torch.cat(frames).contiguous()}))
        return number


def encode_kept(clips: Iterator[KeptClip], count: int, folder: str, encoders: str, size: int) -> LatentSet:
    """Encode `count` clips at `size` pixels by the encoders of a folder; chunks that `folder` has already are skipped.

    Raises:
        UserError: there is no clip.
    """
    if not count:
        raise UserError("there is no usable clip to encode")
    gpus = int(ray.cluster_resources().get("GPU", 0))
    cpus = int(ray.cluster_resources().get("CPU", 1))
    num_chunks = -(-count // CLIPS_PER_CHUNK)
    make = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=-1, max_task_retries=3)(KeptEncoder)
    num_actors = min(num_chunks, gpus or max(1, cpus // 2))
    fps: list[float] = []
    length: list[int] = []
    prompts: list[str] = []

    def todo() -> Iterator[tuple[int, list[KeptClip]]]:
        """The missing chunks. Every clip passes through, since its facts are needed."""
        for number in range(num_chunks):
            chunk = list(islice(clips, CLIPS_PER_CHUNK))
            fps.extend(clip.fps for clip in chunk)
            length.extend(clip.num_frames for clip in chunk)
            prompts.extend(clip.prompt for clip in chunk)
            if not storage.exists(_chunk(folder, number)):
                yield number, chunk

    pool = ActorPool([make.remote(encoders, size) for _ in range(num_actors)])
    done = pool.map_unordered(lambda actor, work: actor.encode.remote(folder, *work), todo())
    for _ in track(done, f"encode clips at {size} pixels", num_chunks, "chunks"):
        pass
    return _joined(folder, num_chunks, fps, length, prompts, encoders)


def _joined(
    folder: str, num_chunks: int, fps: list[float], length: list[int], prompts: list[str], encoders: str
) -> LatentSet:
    frames: list[Tensor] = [
        load(storage.read_bytes(_chunk(folder, number)))["frames"] for number in range(num_chunks)
    ]
    lengths = torch.tensor(length)
    distinct = sorted(set(prompts))
    number_of = {prompt: number for number, prompt in enumerate(distinct)}
    return LatentSet(
        frames=torch.cat(frames),
        first=torch.cumsum(lengths, 0) - lengths,
        length=lengths,
        fps=torch.tensor(fps, dtype=torch.float32),
        texts=load_text_encoder(encoders).encode(distinct).half(),
        text_of=torch.tensor([number_of[prompt] for prompt in prompts]),
    )


def _chunk(folder: str, number: int) -> str:
    return storage.join(folder, "chunks", f"{number:05d}.safetensors")
