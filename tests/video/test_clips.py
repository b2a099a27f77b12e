"""Frame choice against the paper's formula worked by hand; cutting out against shapes whose pixels are known."""

import numpy as np
import pytest

from stickers.video.clips import (
    clip_indices,
    clip_indices_by_time,
    conditioning_index,
    cut_out,
    fit,
    fit_picture,
    frame_spacing,
    on_white,
    shrink,
    square_side,
)


@pytest.mark.parametrize(
    ("video_fps", "fps", "video_frames", "num_frames", "spacing"),
    [
        (24, 4, 96, 8, 6),  # the paper's example
        (24, 8, 96, 8, 3),
        (30, 8, 90, 8, 4),  # 3.75 rounds up
        (30, 12, 90, 8, 3),  # 2.5: halves go up (Python's own round gives 2)
        (10, 4, 90, 8, 3),  # 2.5 again
        (30, 4, 24, 8, 3),  # too short for 8: what fits
        (30, 4, 8, 8, 1),
        (8, 30, 60, 8, 1),  # slower than 30 fps: every frame
        (29.97, 4, 90, 8, 7),
    ],
)
def test_spacing(video_fps: float, fps: float, video_frames: int, num_frames: int, spacing: int) -> None:
    assert frame_spacing(video_fps, fps, video_frames, num_frames) == spacing


def test_spacing_refuses_impossible_rates_and_counts() -> None:
    with pytest.raises(ValueError, match="has 7 frames, at least 8"):
        frame_spacing(24, 8, 7, 8)
    with pytest.raises(ValueError, match="positive"):
        frame_spacing(0, 8, 10, 8)
    with pytest.raises(ValueError, match="positive"):
        frame_spacing(24, float("nan"), 10, 8)
    with pytest.raises(ValueError, match="at least 1"):
        frame_spacing(24, 8, 10, 0)


def test_clip_indices_reach_every_window_and_stay_inside() -> None:
    starts = set()
    for start in np.linspace(0, 0.9999, 200):
        indices = clip_indices(30, 24, fps=8, num_frames=8, start_fraction=float(start))
        assert np.diff(indices).tolist() == [3] * 7
        assert indices[0] >= 0 and indices[-1] <= 29
        starts.add(int(indices[0]))
    assert starts == set(range(9))  # 30 - 7 * 3 = 9 windows
    exact = clip_indices(8, 24, fps=8, num_frames=8, start_fraction=0.99)
    assert exact.tolist() == list(range(8))
    with pytest.raises(ValueError, match="start_fraction"):
        clip_indices(8, 24, fps=8, num_frames=8, start_fraction=1.0)


@pytest.mark.parametrize("frames", [8, 9, 20, 24, 41, 96])
@pytest.mark.parametrize("video_fps", [8, 15, 30])
def test_the_halfway_window_is_conditioned_on_the_middle_of_the_video(frames: int, video_fps: int) -> None:
    indices = clip_indices(frames, video_fps, fps=8, num_frames=8, start_fraction=None)
    assert indices[0] >= 0 and indices[-1] < frames
    assert indices[3] == frames // 2 or indices[-1] == frames - 1  # the last window, when none lies later


@pytest.mark.parametrize("video_fps", [8, 24, 32])
@pytest.mark.parametrize("start_fraction", [None, 0.0, 0.3, 0.77, 0.999])
def test_at_a_steady_rate_times_choose_what_counting_does(
    video_fps: int, start_fraction: float | None
) -> None:
    times = [index / video_fps for index in range(100)]
    clip = {"fps": 8, "num_frames": 8, "start_fraction": start_fraction}
    counted = clip_indices(100, video_fps, **clip)
    assert clip_indices_by_time(times, **clip).tolist() == counted.tolist()
    assert clip_indices_by_time(times, **clip, duration=100 / video_fps).tolist() == counted.tolist()


def test_an_instant_shows_the_frame_that_came_last() -> None:
    times = [0.0, 0.1, 0.2, 1.0, 1.05, 1.1, 1.5]
    first = clip_indices_by_time(times, fps=4, num_frames=4, start_fraction=0.0, duration=2.0)
    assert first.tolist() == [0, 2, 2, 2]  # at 0, 0.25, 0.5, 0.75 seconds
    half = clip_indices_by_time(times, fps=4, num_frames=4, start_fraction=None, duration=2.0)
    assert half.tolist() == [2, 3, 5, 6]  # 0.75, 1, 1.25, 1.5: the second of four lies halfway
    late = clip_indices_by_time(times, fps=4, num_frames=4, start_fraction=0.9999, duration=2.0)
    assert late.tolist() == [5, 5, 6, 6]  # from just before 1.25, for the last instant must come before 2


def test_a_video_too_short_is_stretched_over_its_whole_length() -> None:
    times = [0.0, 0.3, 0.4]
    taken = clip_indices_by_time(times, fps=4, num_frames=8, start_fraction=0.0, duration=0.8)
    assert taken.tolist() == [0, 0, 0, 1, 2, 2, 2, 2]  # every 0.1 seconds
    assert clip_indices_by_time([0.0], fps=4, num_frames=3, start_fraction=None).tolist() == [0, 0, 0]


def test_impossible_times_are_refused() -> None:
    for times in ([], [0.1, 0.2], [0.0, 0.2, 0.2], [0.0, 0.3, 0.2]):
        with pytest.raises(ValueError, match="increase from 0"):
            clip_indices_by_time(times, fps=8, num_frames=8, start_fraction=None)
    with pytest.raises(ValueError, match="start_fraction"):
        clip_indices_by_time([0.0, 1.0], fps=8, num_frames=8, start_fraction=1.0)
    with pytest.raises(ValueError, match="positive"):
        clip_indices_by_time([0.0, 1.0], fps=0, num_frames=8, start_fraction=None)
    with pytest.raises(ValueError, match="at least 1"):
        clip_indices_by_time([0.0, 1.0], fps=8, num_frames=0, start_fraction=None)


def test_conditioning_frame() -> None:
    assert conditioning_index("first", 8) == 0
    assert conditioning_index("middle", 8) == 3  # the paper: "the fourth frame out of eight"
    assert conditioning_index("middle", 1) == 0
    assert conditioning_index("last", 8) == 7
    rng = np.random.default_rng(0)
    assert {conditioning_index("random", 4, rng) for _ in range(100)} == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="needs a generator"):
        conditioning_index("random", 4)
    with pytest.raises(ValueError, match="'central'"):
        conditioning_index("central", 4)  # type: ignore[arg-type]


def test_fit_crops_the_centre_without_stretching() -> None:
    wide = np.zeros((2, 40, 100, 4), np.uint8)
    wide[..., 3] = 255
    wide[:, :, 30:70, 0] = 255  # exactly the centre square is red
    square = fit(wide, 40)
    assert square.shape == (2, 40, 40, 4)
    assert (square[..., 0] == 255).all()
    tall = fit(wide.swapaxes(1, 2).copy(), 16)
    assert tall.shape == (2, 16, 16, 4) and (tall[:, 2:-2, :, 0] > 250).all()
    assert fit(wide[:1, :8, :8], 32).shape == (1, 32, 32, 4)  # upwards too


@pytest.mark.parametrize("is_tall", [False, True])
def test_fit_pads_what_has_alpha_so_that_nothing_is_cut(is_tall: bool) -> None:
    figure = np.zeros((2, 40, 101, 4), np.uint8)
    figure[:, :, :1] = figure[:, :, -1:] = (255, 0, 0, 255)  # the ends of the longer side
    frames = figure.swapaxes(1, 2).copy() if is_tall else figure
    assert square_side(frames) == 101
    square = fit(frames, 101)
    long, short = (1, 2) if is_tall else (2, 1)
    seen = square[..., 3] > 0
    assert square.shape == (2, 101, 101, 4) and seen.sum() == 2 * 2 * 40
    assert list(np.flatnonzero(seen.any(axis=(0, short)))) == [0, 100]
    assert list(np.flatnonzero(seen.any(axis=(0, long)))) == list(range(30, 70))
    half = fit(frames, 50)
    assert half.shape == (2, 50, 50, 4) and half[..., 3].any(axis=(0, short))[[0, -1]].all()


def test_fit_does_not_alias_or_bleed_hidden_colour() -> None:
    stripes = np.full((1, 256, 256, 4), 255, np.uint8)
    stripes[:, :, ::2, :3] = 0
    grey = fit(stripes, 32)[..., 0].astype(int)
    assert abs(grey - 127).max() <= 6
    hidden = np.zeros((1, 64, 64, 4), np.uint8)
    hidden[:, :, :32] = (0, 255, 0, 0)  # green that nobody sees
    hidden[:, :, 32:] = (255, 0, 0, 255)
    small = fit(hidden, 10)
    assert small[small[..., 3] > 0][:, 1].max() <= 2


def test_fit_leaves_the_right_size_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 4), dtype=np.uint8)
    assert (fit(frames, 16) == frames).all()


def test_shrink_keeps_proportions_and_never_grows() -> None:
    frames = np.full((2, 50, 200, 4), 90, np.uint8)
    small = shrink(frames, 20)
    assert small.shape == (2, 5, 20, 4) and (small == 90).all()
    assert shrink(frames, 200) is frames
    assert shrink(frames[:, :1], 10).shape == (2, 1, 10, 4)


def test_on_white_is_exact_and_keeps_alpha() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 4), dtype=np.uint8)
    white = on_white(frames)
    alpha = frames[..., 3:] / 255
    expected = np.floor(frames[..., :3] * alpha + 255 * (1 - alpha) + 0.5)
    assert np.abs(white[..., :3] - expected).max() <= 1
    assert (white[..., 3] == frames[..., 3]).all()
    assert (on_white(np.zeros((1, 2, 2, 4), np.uint8))[..., :3] == 255).all()
    opaque = frames.copy()
    opaque[..., 3] = 255
    assert (on_white(opaque) == opaque).all()


def ring_on_green(noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three frames of a moving red ring on green; the hole shows green too. Also where background must go."""
    y, x = np.mgrid[:64, :64]
    frames = np.empty((3, 64, 64, 4), np.uint8)
    outside = np.empty((3, 64, 64), bool)
    for t in range(3):
        radius = np.hypot(y - 32, x - 26 - 6 * t)
        frames[t, ..., :3] = np.where(((radius < 18) & (radius > 8))[..., None], (220, 30, 40), (30, 200, 90))
        outside[t] = radius >= 18
    rng = np.random.default_rng(0)
    noisy = frames[..., :3].astype(int) + rng.integers(-noise, noise + 1, frames[..., :3].shape)
    frames[..., :3] = noisy.clip(0, 255)
    frames[..., 3] = 255
    return frames, outside


@pytest.mark.parametrize("noise", [0, 10])
def test_cut_out_takes_the_outside_and_leaves_the_hole(noise: int) -> None:
    frames, outside = ring_on_green(noise)
    cut = cut_out(frames)
    assert ((cut[..., 3] == 0) == outside).all()
    assert (cut[..., :3] == frames[..., :3]).all()
    assert (frames[..., 3] == 255).all(), "the input must not change"


def test_cut_out_follows_a_winding_path() -> None:
    frames = np.zeros((1, 65, 65, 4), np.uint8)
    frames[..., 3] = 255
    frames[:, 2:-2:4, 2:-2, :3] = 255  # walls with a gap at alternating ends: one long corridor
    frames[:, 2:-2, [2, 62], :3] = 255
    for i, row in enumerate(range(2, 62, 4)):
        frames[0, row, 61 if i % 2 else 3, :3] = 0
    cut = cut_out(frames)
    assert ((cut[..., 3] == 0) == (frames[..., 0] == 0)).all()


def test_cut_out_leaves_everything_else_unchanged() -> None:
    rng = np.random.default_rng(0)
    busy = rng.integers(0, 256, (2, 32, 32, 4), dtype=np.uint8)
    busy[..., 3] = 255
    assert cut_out(busy) is busy
    frames, _ = ring_on_green()
    transparent = frames.copy()
    transparent[0, 0, 0, 3] = 254
    assert cut_out(transparent) is transparent
    half = frames.copy()
    half[1, :, :32, :3] = (0, 0, 255)  # one frame's border has two colours
    assert cut_out(half) is half


def test_wrong_arrays_are_named() -> None:
    with pytest.raises(ValueError, match="uint8 RGBA"):
        fit(np.zeros((2, 8, 8, 3), np.uint8), 8)
    with pytest.raises(ValueError, match="float32"):
        on_white(np.zeros((2, 8, 8, 4), np.float32))
    with pytest.raises(ValueError, match="empty"):
        cut_out(np.zeros((0, 8, 8, 4), np.uint8))


def test_a_picture_is_shown_over_white_at_any_size() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (48, 48, 4), np.uint8)
    picture[:12, :, 3] = 0
    for size in (48, 32):
        shown = fit_picture(picture, size)
        assert shown.shape == (size, size, 4) and (shown[: size // 6, :, :3] == 255).all()
        assert np.array_equal(shown, on_white(fit(picture[None], size))[0])
