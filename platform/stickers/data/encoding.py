"""Pixels in the model's form: canonical frames, and their latents frame by frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stickers.video.clips import cut_background, fit, has_solid_background, on_white

if TYPE_CHECKING:
    from stickers.models.autoencoder import RGBAAutoencoder

#: frames in a batch
ENCODE_BATCH = 8
#: a byte divided by this is a float in [0, 2]
HALF_RANGE = 127.5


def to_tensor(frames_THWC: np.ndarray) -> Tensor:
    """uint8 RGBA frames to float `[T, 4, H, W]` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames_THWC)).permute(0, 3, 1, 2).float() / HALF_RANGE - 1


def canonical(frames_THWC: np.ndarray, size: int, *, cut: bool | None = None) -> np.ndarray:
    """A clip in the model's form: cut out of a solid background, over white, `size` pixels square.

    `cut` says whether the background is cut out; by default it is where these frames have a solid one.
    """
    solid = has_solid_background(frames_THWC) if cut is None else cut
    return on_white(fit(cut_background(frames_THWC) if solid else frames_THWC, size))


def encode_frames(autoencoder: "RGBAAutoencoder", frames_THWC: np.ndarray) -> Tensor:
    """Latents, float16 `[T, C, h, w]`, of canonical frames.

    All batches have one size, the last one is filled up, and a CPU uses one thread, so that a latent does not depend on
    the frames encoded with it: convolutions of other sizes or layouts may round differently.
    """
    frames, device = to_tensor(frames_THWC), next(autoencoder.parameters()).device
    missing = -len(frames) % ENCODE_BATCH
    filled = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)]).contiguous()
    with _one_thread():
        batches = [
            autoencoder.encode(batch[None].to(device))[0].half() for batch in filled.split(ENCODE_BATCH)
        ]
    return torch.cat(batches)[: len(frames)].cpu()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: sums over another number of threads may round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
