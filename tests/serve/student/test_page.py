"""A person's browser at the student's page."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import wait_for
from tests.support.student_requests import animation, encoded, frames_of, sticker


@pytest.fixture
def page(browser: Any, endpoint: str) -> Iterator[Any]:
    """The page at `/`; a script error or a request to a foreign host fails the test."""
    context = browser.new_context(viewport={"width": 1100, "height": 860}, accept_downloads=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request", lambda request: request.url.startswith((endpoint, "blob:")) or errors.append(request.url)
    )
    page.goto(endpoint)
    yield page
    context.close()
    assert not errors, errors


def drop(page: Any, data: bytes, name: str, media_type: str) -> None:
    """What the browser does when a person lets a file go over the field."""
    transfer = page.evaluate_handle(
        """([bytes, name, type]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name, { type }));
            return transfer;
        }""",
        [list(data), name, media_type],
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


@pytest.mark.browser
def test_a_person_drops_a_picture_and_watches_it_move(page: Any, tmp_path: Path) -> None:
    drop(page, encoded(sticker(200)), "ball.png", "image/png")
    page.get_by_label("How does it move?").fill("a ball jumping for joy")
    page.get_by_role("button", name="Animate", exact=True).click()
    animation = page.get_by_role("img", name="Animation: a ball jumping for joy")
    animation.wait_for(timeout=60_000)
    assert animation.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    data = bytes(
        page.evaluate("""async () => [...new Uint8Array(
        await (await fetch(document.getElementById("animation").src)).arrayBuffer())]""")
    )
    frames, _ = frames_of(data)
    assert len(frames) == 6 and all((a != b).any() for a, b in itertools.pairwise(frames))
    first = animation.screenshot()
    wait_for(lambda: animation.screenshot() != first)  # it really plays: the screen changes
    page.screenshot(path=os.environ.get("STICKERS_SCREENSHOT", str(tmp_path / "page.png")))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download WebP").click()
    assert Path(download.value.path()).read_bytes() == data
    assert download.value.suggested_filename.endswith(".webp")
    with page.expect_download() as download:
        page.get_by_role("button", name="GIF", exact=True).click()
    assert Path(download.value.path()).read_bytes()[:4] == b"GIF8"


@pytest.mark.browser
def test_choosing_typing_and_seeding_by_keyboard_and_label(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "chosen.webp"
    path.write_bytes(encoded(sticker(64), "WEBP"))
    page.get_by_label("Drop a picture here").set_input_files(str(path))
    page.get_by_role("button", name="waving").click()
    assert page.get_by_label("How does it move?").input_value() == "waving"
    page.get_by_text("Repeat an animation").click()
    page.get_by_label("Seed").fill("42")
    page.get_by_label("Seed").press("Enter")
    page.get_by_role("status").get_by_text("seed 42").wait_for(timeout=60_000)
    assert page.get_by_role("alert").count() == 0


@pytest.mark.browser
def test_the_page_shows_what_is_wrong(page: Any) -> None:
    press = page.get_by_role("button", name="Animate", exact=True)
    press.click()
    assert "Choose a picture" in page.get_by_role("alert").inner_text()
    drop(page, encoded(sticker()), "a.png", "image/png")
    press.click()
    assert "Say in a few words" in page.get_by_role("alert").inner_text()
    page.get_by_label("How does it move?").fill("a ball jumping")
    drop(page, animation("WEBP"), "moving.webp", "image/webp")
    press.click()
    page.get_by_role("alert").get_by_text("animation of 3 frames").wait_for(timeout=30_000)
    drop(page, b"hello", "a.png", "image/png")
    press.click()
    page.get_by_role("alert").get_by_text("not a picture").wait_for(timeout=30_000)
    assert page.get_by_role("button", name="Animate", exact=True).is_enabled()


@pytest.mark.browser
def test_the_docs_page_needs_no_foreign_network(page: Any, endpoint: str, tmp_path: Path) -> None:
    page.goto(f"{endpoint}/docs")
    page.get_by_role("heading", name="POST /v1/animate").wait_for(timeout=30_000)
    text = page.locator("main").inner_text()
    assert "curl" in text and "picture" in text and "406" in text
    page.screenshot(path=str(tmp_path / "docs.png"), full_page=True)
