"""The page on which a person sets the edges of motion buckets, driven in a real browser."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stickers.curation.bucket_page import Window, sample_windows, suggest_edges, write_page
from stickers.data.motion_buckets import MotionBuckets
from tests.support.latents import drifting

SCORES = (1.0, 4.0, 12.0, 30.0, 55.0)


def test_windows_come_from_videos_with_a_score() -> None:
    windows = sample_windows(drifting(5.0, 20.0, 80.0), "vmaf", count=60, num_frames=8, slowest_fps=2, seed=0)
    scores = [window.score for window in windows]
    assert scores == sorted(scores) and {round(score) for score in scores} == {5, 20, 80}
    low, high = suggest_edges(windows, 3)
    assert 5 <= low <= high <= 80
    with pytest.raises(ValueError, match="no video has a vectors score"):
        sample_windows(drifting(5.0), "vectors", count=3, num_frames=8, slowest_fps=2, seed=0)


def test_a_page_holds_its_examples_and_buckets() -> None:
    windows = [Window(0, np.arange(4), 1.0), Window(1, np.arange(4), 12.3456)]
    clips = [np.full((4, 8, 8, 4), 40, np.uint8)] * 2
    page = write_page(windows, clips, MotionBuckets(edges=(10.0,), rates=(4, 8)), collection="<drawn>")
    assert page.count("data:image/webp;base64,") <= 2 and "12.346" in page
    assert "&lt;drawn&gt;" in page and "<drawn>" not in page


@pytest.mark.browser
def test_edges_are_moved_by_keyboard_and_the_line_is_a_recipes(browser: Any, tmp_path: Path) -> None:
    clips = [np.full((4, 8, 8, 4), 40 * i, np.uint8) for i in range(len(SCORES))]
    windows = [Window(i, np.arange(4), score) for i, score in enumerate(SCORES)]
    buckets = MotionBuckets(edges=(10.0, 40.0), rates=(4, 6, 8))
    path = tmp_path / "buckets.html"
    path.write_text(write_page(windows, clips, buckets, collection="drawn"), encoding="utf-8")
    page, errors = browser.new_page(viewport={"width": 800, "height": 700}), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())

    def counts() -> list[int]:
        return [section.locator("img").count() for section in page.locator("section").all()]

    assert counts() == [2, 2, 1] and eval(page.locator("#line").inner_text()) == buckets
    edge = page.get_by_label("edge 1")
    edge.focus()
    edge.fill("3")
    page.keyboard.press("Tab")
    assert counts() == [1, 3, 1]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "rate 2, fps"
    moved = eval(page.locator("#line").inner_text())
    assert moved == MotionBuckets(edges=(3.0, 40.0), rates=(4, 6, 8))
    page.get_by_label("edge 2").fill("2")
    page.keyboard.press("Tab")
    assert "must be positive and rise" in page.locator("#line").inner_text()
    assert page.locator("img").first.evaluate("image => image.naturalWidth") == 8 and not errors
    assert page.evaluate("document.documentElement.scrollWidth") <= 800
    page.close()
