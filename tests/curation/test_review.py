"""The review's pages are self-contained, show all videos and lose no decision: driven by keys in a real browser."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from stickers.curation.decisions import part, read_decisions
from stickers.curation.review import REASONS, Review, make_card, page_name, render_index, render_page
from stickers.curation.video_tables import VideoTable, read_videos, write_videos
from stickers.video.reading import probe

PER_PAGE = 5


@pytest.fixture(scope="module")
def table(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> VideoTable:
    """Seven videos that can be read and one that cannot, whose caption would like to be markup."""
    folder = tmp_path_factory.mktemp("reviewed") / "videos"
    shutil.copytree(videos, folder)
    (folder / "a, broken.mp4").write_text("no video")
    with (folder / "captions.csv").open("a") as captions:
        captions.write('"a, broken.mp4","<b>""quoted"", bold</b>"\n')
    return read_videos(folder)


@pytest.fixture(scope="module")
def review(table: VideoTable) -> Review:
    return Review.of(table, "toy <videos>", PER_PAGE)


@pytest.fixture(scope="module")
def pages(table: VideoTable, review: Review, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole review as files."""
    folder = tmp_path_factory.mktemp("review")
    cards = [make_card(*row) for row in zip(table.names, table.files, table.captions, strict=True)]
    for number, rows in enumerate(review.pages):
        page = render_page(review, number, [cards[at] for at in rows])
        (folder / page_name(number)).write_text(page)
    (folder / "index.html").write_text(render_index(review))
    return folder


def test_rows_are_split_and_other_tables_are_other_reviews(table: VideoTable, review: Review) -> None:
    assert [len(page) for page in review.pages] == [5, 3] and review.num_videos == 8
    assert Review.of(table, "other title", PER_PAGE).id == review.id != Review.of(table, "", 4).id
    with pytest.raises(ValueError, match="a page shows at least 1 video, got 0"):
        Review.of(table, "", 0)


def test_a_card_holds_all_of_the_video_small_and_its_start_at_its_own_rate(table: VideoTable) -> None:
    card, info = make_card("x", table.files[0], "says"), probe(table.files[0])
    assert (card.width, card.height, card.fps) == (info.width, info.height, info.fps)
    preview, strip = (Image.open(io.BytesIO(picture)) for picture in (card.preview, card.strip))
    width, height = card.preview_size
    assert preview.size == (width, height * min(48, info.num_frames))
    assert strip.width == 8 * min(72, info.width) and strip.height == min(72, info.height)
    assert f"{info.num_frames} frames, {info.fps:.4g} fps" in card.facts


def test_pages_need_nothing_else_and_escape_what_people_wrote(pages: Path) -> None:
    for page in pages.glob("*.html"):
        html = page.read_text()
        assert html.startswith("<!doctype html>") and "<b>&#34;quoted" not in html
        sources = re.findall(r'(?:src|data-strip)="([^"]*)"', html)
        assert all(source.startswith("data:") for source in sources)
        assert not re.search(r"https?://|@import|<script[^>]+src|<link[^>]+stylesheet", html)
    second = (pages / page_name(1)).read_text()
    assert "&lt;b&gt;&#34;quoted&#34;, bold" in second and "cannot be read: " in second
    assert "toy &lt;videos&gt;" in second and 'rel="prev"' in second and 'rel="next"' not in second


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A browser that knows no decisions yet, and fails the test on any error in a page."""
    opened, troubles = browser.new_context(viewport={"width": 1500, "height": 950}), []
    opened.on("weberror", lambda error: troubles.append(str(error.error)))
    opened.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert not troubles


def shows(page: Any, progress: str) -> None:
    """Wait until the page says so; a page that has just opened may not have counted yet."""
    expect(page.locator("#progress")).to_have_text(progress)


@pytest.mark.browser
def test_a_person_decides_with_keys_and_nothing_is_lost(
    context: Any, pages: Path, table: VideoTable, tmp_path: Path
) -> None:
    page = context.new_page()
    page.goto(f"file://{pages}/{page_name(0)}")
    page.keyboard.press("a")
    expect(page.locator("#trouble")).to_contain_text("who you are")
    shows(page, "0 accepted, 0 rejected, 5 left")
    page.keyboard.type("Ann")
    page.keyboard.press("Enter")
    for key in ("a", "3", "6"):
        page.keyboard.press(key)
    page.keyboard.type('a "logo", moving')
    page.keyboard.press("Enter")
    page.keyboard.press("4")
    shows(page, "1 accepted, 3 rejected, 1 left")
    page.screenshot(path=tmp_path / "page.png")

    page.reload()
    shows(page, "1 accepted, 3 rejected, 1 left")
    assert page.locator(".card.here").get_attribute("data-row") == "4"
    page.keyboard.press("k")
    page.keyboard.press("u")
    shows(page, "1 accepted, 2 rejected, 2 left")
    page.keyboard.press("2")

    page.get_by_role("link", name="next").click()
    page.locator(".card").nth(2).get_by_role("button", name="broken").click()
    shows(page, "0 accepted, 1 rejected, 2 left")
    page.get_by_role("link", name="all pages").click()
    shows(page, "1 accepted, 4 rejected, 8 in all")
    first = page.locator(".pages a").first
    expect(first.locator("b")).to_have_text("Page 1")
    expect(first.locator(".soft")).to_have_text("1 accepted, 3 rejected, 1 left")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download decisions.csv").click()
    assert waiting.value.suggested_filename == "decisions.csv"
    waiting.value.save_as(tmp_path / "decisions.csv")

    parted = part(table, read_decisions([tmp_path / "decisions.csv"]))
    assert parted.accepted["file"].to_pylist() == table.files[:1] and parted.unreviewed == 3
    assert parted.rejected["file"].to_pylist() == [*table.files[1:4], table.files[7]]
    reasons = ["jitter", 'other: a "logo", moving', "off style", "broken"]
    assert parted.rejected["reason"].to_pylist() == reasons and set(reasons[::2]) < set(REASONS)
    assert set(parted.rejected["reviewer"].to_pylist()) == {"Ann"}
    write_videos(tmp_path / "rejected.csv", parted.rejected)
    assert read_videos(tmp_path / "rejected.csv").rows.num_rows == 4


FILL = """() => { for (let size = 2 ** 20, at = 0; size >= 1; at++) {
    try { localStorage.setItem('filler' + at, 'x'.repeat(size)); } catch { size /= 2; } } }"""


@pytest.mark.browser
def test_a_browser_that_keeps_no_more_says_so(context: Any, pages: Path) -> None:
    page = context.new_page()
    page.goto(f"file://{pages}/{page_name(0)}")
    page.get_by_label("Reviewer").fill("Ann")
    page.get_by_label("Reviewer").press("Enter")
    page.keyboard.press("a")
    page.evaluate(FILL)
    page.keyboard.press("1")
    assert "and this was not kept: download" in page.locator("#trouble").inner_text()
    shows(page, "1 accepted, 0 rejected, 4 left")
    assert page.locator(".card.here").get_attribute("data-row") == "1"


@pytest.mark.browser
def test_previews_move_and_pause(context: Any, pages: Path) -> None:
    page = context.new_page()
    page.goto(f"file://{pages}/{page_name(0)}")
    drawn = "() => document.querySelector('canvas').toDataURL()"
    first = page.evaluate(drawn)
    page.wait_for_function(f"first => ({drawn})() !== first", arg=first)
    page.keyboard.press(" ")
    assert page.get_by_role("button", name="Play").is_visible()
    paused = page.evaluate(drawn)
    page.wait_for_timeout(400)
    assert page.evaluate(drawn) == paused
    calm = context.browser.new_page(reduced_motion="reduce")
    calm.goto(f"file://{pages}/{page_name(0)}")
    assert calm.get_by_role("button", name="Play").is_visible()
    calm.close()
