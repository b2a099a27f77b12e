"""Motion buckets: what moves much is sampled fast, so that sampled clips come to move alike (section 3.1.1)."""

import numpy as np
import pytest
import torch

from stickers.curation.bucket_page import sample_windows, suggest_edges
from stickers.data.latents import LatentSet
from stickers.data.motion_buckets import MotionBuckets

BUCKETS = MotionBuckets(edges=(10.0, 40.0), rates=(2, 4, 8))
FRAMES, FPS = 96, 24


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


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(("speed", "rate"), [(3.0, 2), (20.0, 4), (90.0, 8)])
def test_each_window_is_sampled_at_the_rate_of_its_motion(speed: float, rate: int, variable: bool) -> None:
    latents = drifting(speed, variable=variable)
    for start in (0.0, 0.3, 0.99, None):
        taken = latents.indices(0, fps=BUCKETS, num_frames=8, start_fraction=start)
        times = latents.tracked(0)[:, 0].numpy()[taken]
        assert len(taken) == 8 and np.all(np.diff(taken) > 0)
        longest = 2 / FPS if variable else 1 / FPS
        assert np.diff(times) == pytest.approx(1 / rate, abs=1.01 * longest)
        slow = latents.indices(0, fps=2, num_frames=8, start_fraction=start)
        if start is not None:
            assert taken[0] == slow[0]


def test_motion_from_frame_to_frame_varies_less() -> None:
    """Videos of one motion, sped up and slowed down: sampled evenly they differ as much as their speeds do."""
    latents = drifting(5.0, 20.0, 80.0)

    def spread(rate: int | MotionBuckets) -> float:
        found = []
        for video in range(3):
            clip = latents.clip(video, fps=rate, num_frames=8, start_fraction=0.2)[:, 0, 0, 0]
            found.append(float(clip.diff().mean()))
        return float(np.std(found) / np.mean(found))

    assert spread(BUCKETS) < 0.7 * min(spread(rate) for rate in BUCKETS.rates)


def test_scores_do_not_depend_on_the_files_own_rate() -> None:
    assert drifting(20.0).speed(0, 5, 60, "vmaf") == pytest.approx(20.0, rel=1e-3)
    assert drifting(20.0, variable=True).speed(0, 5, 40, "vmaf") == pytest.approx(20.0, rel=1e-3)


def test_windows_are_found_where_there_is_a_score() -> None:
    windows = sample_windows(drifting(5.0, 20.0, 80.0), "vmaf", count=60, num_frames=8, slowest_fps=2, seed=0)
    scores = [each.score for each in windows]
    assert scores == sorted(scores) and {round(score) for score in scores} == {5, 20, 80}
    low, high = suggest_edges(windows, 3)
    assert 5 <= low <= high <= 80
    with pytest.raises(ValueError, match="no video has a vectors score"):
        sample_windows(drifting(5.0), "vectors", count=3, num_frames=8, slowest_fps=2, seed=0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"edges": (1.0,), "rates": (4,)}, "one rate more than edges"),
        ({"edges": (), "rates": (4,)}, "one rate more than edges"),
        ({"edges": (5.0, 2.0), "rates": (2, 4, 8)}, "must be positive and rise"),
        ({"edges": (0.0,), "rates": (2, 4)}, "must be positive and rise"),
        ({"edges": (1.0,), "rates": (0, 4)}, "at least 1 fps"),
        ({"score": "flow", "edges": (1.0,), "rates": (2, 4)}, "no score 'flow'; accepted: vmaf, vectors"),
    ],
)
def test_tables_that_mean_nothing_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MotionBuckets(**changes)  # type: ignore[arg-type]
