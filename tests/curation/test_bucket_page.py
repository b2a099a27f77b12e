"""The page on which a person sets the edges of motion buckets, driven in a browser as one would."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stickers.curation.bucket_page import Window, write_page
from stickers.data.motion_buckets import MotionBuckets

SCORES = (1.0, 4.0, 12.0, 30.0, 55.0)


@pytest.mark.browser
def test_edges_are_moved_by_keyboard_and_the_line_is_a_recipes(browser: Any, tmp_path: Path) -> None:
    clips = [np.full((4, 8, 8, 4), 40 * i, np.uint8) for i in range(len(SCORES))]
    windows = [Window(i, np.arange(4), score) for i, score in enumerate(SCORES)]
    buckets = MotionBuckets(edges=(10.0, 40.0), rates=(4, 6, 8))
    place = tmp_path / "buckets.html"
    place.write_text(write_page(windows, clips, buckets, collection="drawn"), encoding="utf-8")
    page, errors = browser.new_page(viewport={"width": 800, "height": 700}), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(place.as_uri())

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
