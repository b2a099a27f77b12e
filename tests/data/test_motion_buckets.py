"""Motion buckets: fast motion is sampled at high rates, so that clips move alike (paper section 3.1.1)."""

import numpy as np
import pytest

from stickers.data.motion_buckets import MotionBuckets
from tests.support.latents import FPS, drifting

BUCKETS = MotionBuckets(edges=(10.0, 40.0), rates=(2, 4, 8))


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
    """Videos of one motion, sped up and slowed down: sampled at one rate they differ as their speeds do."""
    latents = drifting(5.0, 20.0, 80.0)

    def spread(rate: int | MotionBuckets) -> float:
        changes = []
        for video in range(3):
            clip = latents.clip(video, fps=rate, num_frames=8, start_fraction=0.2)[:, 0, 0, 0]
            changes.append(float(clip.diff().mean()))
        return float(np.std(changes) / np.mean(changes))

    assert spread(BUCKETS) < 0.7 * min(spread(rate) for rate in BUCKETS.rates)


def test_scores_do_not_depend_on_the_files_own_rate() -> None:
    assert drifting(20.0).speed(0, 5, 60, "vmaf") == pytest.approx(20.0, rel=1e-3)
    assert drifting(20.0, variable=True).speed(0, 5, 40, "vmaf") == pytest.approx(20.0, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": (1.0,), "rates": (4,)}, "one rate more than edges"),
        ({"edges": (), "rates": (4,)}, "one rate more than edges"),
        ({"edges": (5.0, 2.0), "rates": (2, 4, 8)}, "must be positive and rise"),
        ({"edges": (0.0,), "rates": (2, 4)}, "must be positive and rise"),
        ({"edges": (1.0,), "rates": (0, 4)}, "at least 1 fps"),
        ({"score": "flow", "edges": (1.0,), "rates": (2, 4)}, "no score 'flow'; accepted: vmaf, vectors"),
    ],
)
def test_impossible_tables_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MotionBuckets(**changes)  # type: ignore[arg-type]
