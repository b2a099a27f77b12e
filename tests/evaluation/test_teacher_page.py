"""The page of evidence: every figure in it, nothing fetched, and clips that move in a browser."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stickers.evaluation.report import PromptRow, ReportClip
from stickers.evaluation.teacher_page import ChoosingData, choosing_data, render_choosing
from stickers.evaluation.teacher_selection import Pilot, Scored, suggest
from stickers.toy.oracle import draw_sticker, truths
from stickers.video.codec import encode_strip
from tests.support.processes import wait_for

SIZE = 32
PROMPTS = {"a fox running": "run", "a cat running": "run", "a fox waving": "wave", "a cat waving": "wave"}
PEAKS = {"all-round": {"run": 0.5, "wave": 0.6}, "<b>runner</b>": {"run": 0.9, "wave": 0.0}}


def scored() -> list[Scored]:
    return [
        Scored(
            candidate_id=f"{teacher} {prompt} {clip}",
            teacher=teacher,
            prompt=prompt,
            bucket="action",
            group=motion,
            quality=peaks[motion] if clip == 0 else 0.0,
            speed=20.0 + 10 * clip,
            consistency=0.9,
        )
        for teacher, peaks in PEAKS.items()
        for prompt, motion in PROMPTS.items()
        for clip in range(3)
    ]


def strip(frames: np.ndarray, note: str) -> ReportClip:
    return ReportClip(strip=encode_strip(frames), num_frames=len(frames), fps=8, size=SIZE, note=note)


def prompt_row(prompt: str) -> PromptRow:
    still = np.repeat(draw_sticker(prompt, 0, SIZE)[None], 8, axis=0)
    clips = truths(prompt, 0, size=SIZE, num_frames=8, still_at=3)
    return PromptRow(
        prompt=prompt,
        bucket="action",
        clips={"all-round": [strip(clips[7], "0.60"), strip(still, "0.00")], "<b>runner</b>": []},
    )


@pytest.fixture(scope="module")
def data() -> ChoosingData:
    pilot = Pilot(scored(), able=0.35)
    return choosing_data(
        pilot,
        title="Choosing teachers: tiny",
        facts=[("prompts", "4"), ("evidence", "0123456789ab")],
        quality="quality is what it is",
        simulated=True,
        threshold=0.01,
        suggested=suggest(pilot.greedy(), 0.01),
        rows=[prompt_row(prompt) for prompt in PROMPTS],
        choice="",
        command="python experiments/select_teachers.py --choose 'all-round'",
    )


@pytest.fixture(scope="module")
def html(data: ChoosingData) -> str:
    return render_choosing(data)


def test_it_says_everything_and_escapes_it(html: str) -> None:
    for text in (
        "quality is what it is",
        "0123456789ab",
        "run +0.40",
        "wave +0.60",
        "+0.200",
        "Nobody has chosen",
    ):
        assert text in html, text
    assert html.count("<canvas") == 4 * 2 and html.count("no clip") == 4
    assert "<b>runner" not in html and "&lt;b&gt;runner" in html
    assert html.count("<rect") == 2 * 12 and html.count("take it") == 2
    assert "--choose &#39;all-round&#39;" in html


def test_a_choice_that_stands_is_shown(data: ChoosingData) -> None:
    page = render_choosing(replace(data, choice="Ana chose all-round: it runs"))
    assert "Ana chose all-round: it runs" in page and "Nobody has chosen" not in page


def test_simulated_stands_where_an_oracle_had_a_part(data: ChoosingData, html: str) -> None:
    assert html.count('<span class="chip">simulated</span>') == 6
    assert "simulated" not in render_choosing(replace(data, simulated=False))


def test_without_the_toy_world_the_buckets_are_the_groups(data: ChoosingData) -> None:
    rows = [replace(clip, group=clip.bucket) for clip in scored()]
    pilot = Pilot(rows, able=0.35)
    other = choosing_data(
        pilot, title="t", facts=[], quality="q", simulated=False, threshold=0.01, suggested=[], rows=[],
        choice="", command="c",
    )  # fmt: skip
    assert "Best clips by motion" not in render_choosing(other)
    assert "Best clips by motion" in render_choosing(data) and "Best clips by bucket" in render_choosing(
        other
    )


def test_it_fetches_nothing(html: str) -> None:
    sources = re.findall(r'(?:src|srcset|action|data-strip)="([^"]*)"', html)
    assert sources and all(source.startswith("data:") for source in sources)
    assert not re.findall(r'https?://[^"<\s]+', html)
    assert not re.search(r"@import|<script[^>]+src|<link[^>]+stylesheet", html)


def test_an_unknown_teacher_is_refused(data: ChoosingData) -> None:
    row = PromptRow(prompt="a fox", bucket="action", clips={"nobody": []})
    with pytest.raises(ValueError, match="shows 'nobody', which is no teacher"):
        render_choosing(replace(data, rows=[row]))


PIXELS = """() => [...document.querySelectorAll('canvas')].map(c =>
    [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].reduce(
        (sum, value, i) => (sum * 31 + value * (i % 7 + 1)) % 1e9, 7))"""


@pytest.mark.browser
def test_the_best_clip_moves_in_a_browser_and_the_page_fits_a_laptop(
    browser: Any, html: str, tmp_path: Path
) -> None:
    page, troubles = browser.new_page(viewport={"width": 1280, "height": 800}), []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    (tmp_path / "teachers.html").write_text(html)
    page.goto(f"file://{tmp_path}/teachers.html")
    page.get_by_role("button", name="Pause").click()
    paused = page.evaluate(PIXELS)
    for _ in range(3):
        page.get_by_role("button", name="one frame forth").click()
    stepped = page.evaluate(PIXELS)
    assert stepped[0] != paused[0] and stepped[1] == paused[1], "the best moves, the typical one stands still"
    page.get_by_role("button", name="Play").click()
    first = page.evaluate(PIXELS)[0]
    wait_for(lambda: page.evaluate(PIXELS)[0] != first)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert not troubles
    page.close()
