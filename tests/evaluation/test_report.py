"""The report must stand alone: no network, every number in it, and stickers that really move in a browser."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stickers.evaluation.report import (
    ComparedSystem,
    FigureRow,
    GapRow,
    MetricColumn,
    Pointer,
    PromptRow,
    ReportClip,
    ReportData,
    StageCount,
    StageTime,
    duration,
    render_report,
)
from stickers.toy.grammar import held_out_prompts
from stickers.toy.oracle import draw_sticker, truths
from stickers.video.codec import encode_strip
from tests.support.processes import wait_for

SIZE = 32
COLUMNS = (
    ComparedSystem(name="still", kind="still", label="Still"),
    ComparedSystem(name="foundation", kind="foundation", label="Foundation", detail="before any fine-tuning"),
    ComparedSystem(name="slow", kind="teacher", label="Teacher slow", detail="4 fps"),
    ComparedSystem(name="student", kind="student", label="Student", detail="31 passes"),
    ComparedSystem(name="distilled", kind="distilled", label="Distilled", detail="8 passes"),
    ComparedSystem(name="truth", kind="truth", label="Admissible", detail="some of many"),
)


def strip(frames: np.ndarray, fps: float = 8, note: str = "") -> ReportClip:
    return ReportClip(strip=encode_strip(frames), num_frames=len(frames), fps=fps, size=SIZE, note=note)


def prompt_row(prompt: str, bucket: str) -> PromptRow:
    still = np.repeat(draw_sticker(prompt, 0, SIZE)[None], 8, axis=0)
    found = truths(prompt, 0, size=SIZE, num_frames=8, still_at=3)
    return PromptRow(
        prompt=prompt,
        bucket=bucket,
        clips={
            "still": [strip(still)],
            "slow": [strip(found[20], 4, "0.41")],
            "student": [strip(found[8], 8, "0.32")],
            "distilled": [strip(found[50], 8, "0.35")],
            "truth": [strip(found[i]) for i in (2, 22, 34, 58)],
        },
    )


def figure(name: str, kind: Any, error: float) -> FigureRow:
    return FigureRow(
        name=name,
        kind=kind,
        values={
            "error": (error, error - 0.07, error + 0.09),
            "right_motion": (1 - error / 2, 0.4, 0.9),
            "motion_size": (3.2, 3.0, 3.5),
        },
        count=24,
    )


def make_data() -> ReportData:
    return ReportData(
        title="Animated stickers: quickstart",
        summary="From video files to a student that animates a sticker in eight passes.",
        facts=(("project", "tiny"), ("student", "5f2c9e")),
        columns=COLUMNS,
        rows=[prompt_row(p.text, p.bucket) for p in held_out_prompts(6, seed=0)],
        counts=(
            StageCount(stage="Videos", label="listed", value=445),
            StageCount(stage="Videos", label="refused", value=5),
            StageCount(stage="Candidates", label="planned", value=1288),
            StageCount(stage="Candidates", label="made", value=1287),
            StageCount(stage="People", label="kept", value=83, simulated=True),
        ),
        verdicts=["Student is better than a still: error minus the still's -0.59 [-0.70, -0.48]"],
        metrics=[
            MetricColumn(name="error", better="less", explanation="truth is about 0, the still 1"),
            MetricColumn(name="right_motion", better="more", explanation="share of right motions"),
            MetricColumn(name="motion_size", better="neither", explanation="how much moves"),
        ],
        figures=[
            figure("Still", "still", 1.0),
            figure("Teacher slow", "teacher", 0.62),
            figure("Student", "student", 0.41),
            figure("<b>Distilled</b>", "distilled", 0.45),
        ],
        gaps=[
            GapRow(
                system="Student",
                baseline="still",
                metric="error",
                better="less",
                difference=-0.59,
                low=-0.7,
                high=-0.48,
            )
        ],
        times=[
            StageTime(stage="teachers", seconds=312),
            StageTime(stage="candidates", seconds=95.4, note="2 actors"),
        ],
        pointers=[Pointer(label="Runs", command="make mlflow", address="http://127.0.0.1:5000")],
        simulated=True,
        simulated_by="simulated people who choose at random",
    )


@pytest.fixture(scope="module")
def data() -> ReportData:
    return make_data()


@pytest.fixture(scope="module")
def html(data: ReportData) -> str:
    return render_report(data)


def test_it_says_everything_and_escapes_it(html: str, data: ReportData) -> None:
    for said in (
        "1,288",
        "refused",
        "-0.59",
        "5 min 12 s",
        "make mlflow",
        "[0.34, 0.50]",
        "people who choose at random chose",
    ):
        assert said in html, said
    assert html.count("<canvas") == 6 * 8
    assert "&lt;b&gt;Distilled" in html and "<b>Distilled" not in html
    assert html.count('<span class="chip">simulated</span>') == 2
    assert "simulated" not in render_report(
        replace(data, simulated=False, counts=[replace(c, simulated=False) for c in data.counts])
    )


def test_it_fetches_nothing(html: str) -> None:
    sources = re.findall(r'(?:src|srcset|action|data-strip)="([^"]*)"', html) + re.findall(
        r"url\(([^)]*)\)", html
    )
    assert sources and all(source.startswith("data:") for source in sources)
    assert set(re.findall(r'https?://[^"<\s]+', html)) == {"http://127.0.0.1:5000"}
    assert not re.search(r"@import|<script[^>]+src|<link[^>]+stylesheet", html)


def test_an_unknown_column_is_refused(data: ReportData) -> None:
    row = PromptRow(prompt="a fox", bucket="action", clips={"nobody": []})
    with pytest.raises(ValueError, match="shows 'nobody'"):
        render_report(replace(data, rows=[row]))


def test_durations() -> None:
    assert [duration(s) for s in (0.24, 42, 185, 4800)] == ["0.2 s", "42 s", "3 min 05 s", "1 h 20 min"]


PIXELS = """() => [...document.querySelectorAll('canvas')].map(c =>
    [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].reduce(
        (sum, value, i) => (sum * 31 + value * (i % 7 + 1)) % 1e9, 7))"""


def wait_until_it_moves(page: Any) -> None:
    """The student's canvas changes; asked from outside, because the page's own policy forbids evaluation inside."""
    first = page.evaluate(PIXELS)[2]
    wait_for(lambda: page.evaluate(PIXELS)[2] != first)


@pytest.mark.browser
def test_stickers_move_and_stop_in_a_browser(browser: Any, html: str, tmp_path: Path) -> None:
    page, troubles = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:")) else troubles.append(request.url),
    )
    (tmp_path / "report.html").write_text(html)
    page.goto(f"file://{tmp_path}/report.html")
    wait_until_it_moves(page)
    page.get_by_role("button", name="Pause").click()
    paused = page.evaluate(PIXELS)
    page.wait_for_timeout(400)
    assert page.evaluate(PIXELS) == paused
    page.get_by_role("button", name="one frame forth").click()
    stepped = page.evaluate(PIXELS)
    assert stepped[2] != paused[2] and stepped[0] == paused[0], (
        "a step must move the student and not the still"
    )
    page.get_by_role("button", name="one frame back").click()
    assert page.evaluate(PIXELS) == paused
    page.get_by_role("button", name="¼").click()
    assert page.get_by_role("button", name="¼").get_attribute("aria-pressed") == "true"
    assert not troubles


@pytest.mark.browser
def test_reduced_motion_is_honoured(browser: Any, html: str, tmp_path: Path) -> None:
    page = browser.new_page(reduced_motion="reduce")
    (tmp_path / "report.html").write_text(html)
    page.goto(f"file://{tmp_path}/report.html")
    page.get_by_role("button", name="Play").wait_for()
    page.wait_for_timeout(200)
    before = page.evaluate(PIXELS)
    page.wait_for_timeout(400)
    assert page.evaluate(PIXELS) == before
    page.get_by_role("button", name="Play").click()
    wait_until_it_moves(page)
