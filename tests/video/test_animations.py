"""Animated GIF, WebP and PNG, read back: composed as in a browser, with alpha and each frame's own time."""

import io

import numpy as np
import pytest
from PIL import Image

from experiments.trials.mutations import good_files, sample_frames
from stickers.video.animations import animation_kind, read_animation
from stickers.video.reading import probe, read_video
from stickers.video.source import Source, UnreadableVideoError
from tests.support.films import drifting


def saved(frames: np.ndarray, kind: str, **options: object) -> bytes:
    """The frames as a file of Pillow's format `kind`."""
    images = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["apng", "gif", "webp"])
def test_animations_are_videos_with_alpha_and_times(kind: str) -> None:
    frames = sample_frames()
    source = Source(f"a.{kind}", good_files()[kind])
    read, info = read_video(source)
    assert probe(source) == info and read.shape == frames.shape and info.has_alpha
    assert (info.fps, info.duration, info.variable_fps) == (12, 1, False)
    assert info.times == pytest.approx(np.arange(12) / 12, abs=0.006)
    assert ((read[..., 3] > 127) == (frames[..., 3] > 127)).all()
    opaque = frames[..., 3] == 255
    assert np.abs(read[opaque][:, :3].astype(int) - frames[opaque][:, :3]).mean() < 8


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_frames_that_store_only_what_changed_are_put_together(kind: str) -> None:
    frames = drifting(6, 40)
    frames[1:, :20] = frames[0, :20]  # the upper half stands still, so files leave it out
    data = saved(frames, kind, duration=50, **({"lossless": True} if kind == "WEBP" else {}))
    assert (read_video(Source("a", data))[0] == frames).all()


def test_gif_frames_drawn_over_one_another_pile_up_as_in_a_browser() -> None:
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    images = [palette.copy() for _ in range(3)]
    images[1].paste(1, (0, 0, 4, 8))
    images[2].paste(1, (0, 0, 4, 8))
    images[2].paste(2, (4, 0, 8, 8))
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=100, disposal=1)
    read, _ = read_video(Source("a.gif", buffer.getvalue()))
    assert (read[1, :, :4, :3] == (0, 255, 0)).all() and (read[1, :, 4:, :3] == (255, 0, 0)).all()
    assert (read[2, :, :4, :3] == (0, 255, 0)).all() and (read[2, :, 4:, :3] == (0, 0, 255)).all()


def test_each_frame_keeps_its_own_time_and_none_counts_as_a_tenth() -> None:
    durations_ms = [40, 200, 0, 10, 100, 50, 30, 20]
    for kind in ("GIF", "PNG", "WEBP"):
        read, info = read_video(Source("a", saved(drifting(8, 32), kind, duration=durations_ms)))
        shown_ms = [duration if duration > 10 else 100 for duration in durations_ms]
        assert len(read) == 8 and info.variable_fps
        assert info.times == pytest.approx(np.cumsum([0, *shown_ms[:-1]]) / 1000)
        assert info.duration == pytest.approx(sum(shown_ms) / 1000)
        assert info.fps == pytest.approx(8 / info.duration)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF"])
def test_a_still_picture_is_refused(kind: str) -> None:
    data = saved(drifting(1, 32), kind)
    for read in (probe, read_video):
        with pytest.raises(UnreadableVideoError, match=f"a.still: a still {kind} picture; animated ones"):
            read(Source("a.still", data))


def test_the_default_image_of_an_apng_is_no_frame() -> None:
    frames = drifting(5, 32)
    read, info = read_video(Source("a", saved(frames, "PNG", duration=100, default_image=True)))
    assert info.num_frames == 4 and (read == frames[1:]).all()


def test_animations_shrink_while_they_are_read() -> None:
    frames = np.full((4, 30, 60, 4), 255, np.uint8)
    frames[..., :3] = np.arange(90, 94)[:, None, None, None]
    read, info = read_video(Source("a", saved(frames, "PNG")), max_side=20)
    assert read.shape == (4, 10, 20, 4) and (info.width, info.height) == (20, 10)
    assert (read == frames[:, :10, :20]).all()


def test_only_the_requested_frames_are_kept() -> None:
    source = Source("a.gif", good_files()["gif"])
    frames, info = read_animation(source, "GIF", indices={2, 7}, max_side=None)
    assert sorted(frames) == [2, 7] and info.num_frames == 12
    assert animation_kind(source) == "GIF" and animation_kind(Source("a.mp4", good_files()["mp4"])) is None
