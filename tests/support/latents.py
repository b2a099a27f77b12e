"""Latent sets whose values tell which frame they are, for tests of sampling."""

import torch

from stickers.data.latents import LatentSet

#: of the drifting videos
FRAMES, FPS = 96, 24


def numbered() -> LatentSet:
    """Three videos whose latents say which frame they are: value = 100 x video + frame."""
    lengths = torch.tensor([10, 24, 8])
    values = torch.cat([100 * i + torch.arange(int(n)) for i, n in enumerate(lengths)])
    return LatentSet(
        frames=values[:, None, None, None].expand(-1, 8, 2, 2).half(),
        first=torch.cumsum(lengths, 0) - lengths,
        length=lengths,
        fps=torch.tensor([8.0, 24.0, 8.0]),
        texts=torch.randn(2, 4, 16).half(),
        text_of=torch.tensor([0, 1, 0]),
    )


def drifting(*speeds: float, variable: bool = False) -> LatentSet:
    """Videos whose value drifts by `speed` a second: what moves between frames is known."""
    count = len(speeds)
    times = torch.arange(FRAMES) / FPS
    if variable:  # every third frame is missing, the others keep their times
        times = times[[i for i in range(FRAMES) if i % 3 != 2]]
    steps = torch.diff(times, prepend=times[:1])
    track = torch.cat(
        [torch.stack([times, speed * steps, torch.full_like(times, torch.nan)], 1) for speed in speeds]
    )
    values = torch.cat([speed * times for speed in speeds])
    length = torch.full((count,), len(times))
    return LatentSet(
        frames=values[:, None, None, None].expand(-1, 8, 2, 2).half(),
        first=torch.arange(count) * len(times),
        length=length,
        fps=torch.full((count,), len(times) / FRAMES * FPS),
        texts=torch.zeros(1, 4, 16).half(),
        text_of=torch.zeros(count, dtype=torch.int64),
        track=track,
        variable=torch.full((count,), variable),
    )
