"""The student through its real front doors: HTTP over Ray Serve, and a person's browser at `/`."""

import io
import itertools
import os
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from stickers.video.clips import cut_out, fit, on_white
from stickers.video.reading import probe
from tests.support.processes import free_ports


@pytest.fixture(scope="module")
def endpoint(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Ray Serve application; ends only what it started."""
    import ray
    from ray import serve as ray_serve

    from serve.apps import serve_student

    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        yield serve_student(str(student_folder), port=free_ports(1)[0])
    finally:
        ray_serve.shutdown()
        ray.shutdown()


def sticker(size: int = 96) -> np.ndarray:
    """A red ball with transparent surroundings."""
    y, x = np.mgrid[:size, :size]
    picture = np.zeros((size, size, 4), np.uint8)
    inside = np.hypot(y - size / 2, x - size / 2) < size / 3
    picture[inside] = (210, 40, 60, 255)
    return picture


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animate(
    endpoint: str, picture: bytes | None = None, accept: str | None = None, **form: object
) -> httpx.Response:
    form.setdefault("prompt", "a ball jumping")
    files = {"picture": ("a.png", encoded(sticker()) if picture is None else picture)}
    headers = {"Accept": accept} if accept else {}
    return httpx.post(f"{endpoint}/v1/animate", data=form, files=files, headers=headers, timeout=120)


def frames_of(data: bytes) -> tuple[np.ndarray, float]:
    """Every stored frame as RGBA, and the playing time in milliseconds."""
    image = Image.open(io.BytesIO(data))
    frames, duration_ms = [], 0.0
    for i in range(image.n_frames):
        image.seek(i)
        image.load()
        frames.append(np.asarray(image.convert("RGBA")))
        duration_ms += image.info["duration"]
    return np.stack(frames), duration_ms


# -- the engine alone -----------------------------------------------------------------------------


def test_any_picture_is_fitted_with_its_subject_cut_out(student_folder: Path) -> None:
    from serve.student.engine import Student

    student = Student.build(str(student_folder))
    green = np.zeros((90, 140, 4), np.uint8)
    green[...] = (20, 200, 60, 255)
    green[30:60, 55:85, :3] = (200, 30, 30)
    request = student.prepare(encoded(green), "  a  box\nhopping ", 3)
    assert request.prompt == "a box hopping"
    assert (request.picture == on_white(fit(cut_out(green[None]), 32))[0]).all()
    assert request.picture[0, 0].tolist() == [255, 255, 255, 0]
    assert request.picture[16, 16, 3] == 255
    jpeg = student.prepare(encoded(green[..., :3], "JPEG"), "a box", 3)
    assert jpeg.picture[0, 0, 3] == 0, "the noise of JPEG must not keep the background"


def test_a_large_photo_is_cut_out_like_a_small_one(student_folder: Path) -> None:
    from serve.student.engine import Student

    student = Student.build(str(student_folder))
    small = np.zeros((128, 128, 4), np.uint8)
    small[...] = (20, 200, 60, 255)
    small[40:90, 30:100, :3] = (200, 30, 30)
    large = small.repeat(24, axis=0).repeat(24, axis=1)
    one, other = (
        student.prepare(encoded(picture), "a box", 3).picture.astype(int) for picture in (small, large)
    )
    assert np.abs(one - other).max() <= 40 and np.abs(one - other).mean() < 2


def test_digest_is_the_models_own(student_folder: Path, tmp_path: Path) -> None:
    from serve.student.engine import Student

    copy = tmp_path / "elsewhere"
    shutil.copytree(student_folder, copy)
    original = Student.build(str(student_folder)).digest
    assert Student.build(str(copy)).digest == original
    config = copy / "pipeline.json"
    config.write_text(config.read_text().replace('"fps": 6', '"fps": 7'))
    assert Student.build(str(copy)).digest != original


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("*/*", "image/webp"),
        ("", "image/webp"),
        ("image/gif", "image/gif"),
        ("IMAGE/GIF", "image/gif"),
        ("video/*", "video/mp4"),
        ("image/gif;q=0.4, video/mp4;q=0.9", "video/mp4"),
        ("text/html, image/apng;q=0.8, */*;q=0.1", "image/apng"),
        ("*/*, image/webp;q=0", "image/apng"),
        (
            "image/avif,image/webp,image/apng,image/*,*/*;q=0.8",
            "image/webp",
        ),  # what Chromium sends for pictures
        ("text/html", None),
        ("image/webp;q=0", None),
        ("image/webp;q=high", None),
    ],
)
def test_negotiation(accept: str, answer: str | None) -> None:
    from serve.student.http import negotiate

    assert negotiate(accept) == answer


# -- real HTTP ------------------------------------------------------------------------------------


@pytest.mark.ray
@pytest.mark.parametrize("media_type", [None, "image/webp", "image/apng", "image/gif"])
def test_answer_moves_and_keeps_transparency(endpoint: str, media_type: str | None) -> None:
    answer = animate(endpoint, accept=media_type, seed=7)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == (media_type or "image/webp")
    assert answer.headers["x-seed"] == "7" and len(answer.headers["x-model-digest"]) == 12
    frames, duration_ms = frames_of(answer.content)
    assert frames.shape == (6, 32, 32, 4)
    assert all((a != b).any() for a, b in itertools.pairwise(frames))
    assert frames[..., 3].min() < 128 < frames[..., 3].max()
    assert duration_ms == pytest.approx(1000, abs=10)


@pytest.mark.ray
def test_mp4_answer(endpoint: str, tmp_path: Path) -> None:
    answer = animate(endpoint, accept="video/mp4", seed=7)
    assert answer.headers["content-type"] == "video/mp4"
    path = tmp_path / "a.mp4"
    path.write_bytes(answer.content)
    info = probe(str(path))
    assert (info.num_frames, info.fps, info.width, info.height) == (6, 6, 32, 32)


@pytest.mark.ray
def test_seed_repeats_and_is_told_when_drawn(endpoint: str) -> None:
    drawn = animate(endpoint)
    assert 0 <= int(drawn.headers["x-seed"]) < 2**32
    again = animate(endpoint, seed=drawn.headers["x-seed"])
    assert again.content == drawn.content
    assert animate(endpoint, seed=int(drawn.headers["x-seed"]) ^ 1).content != drawn.content
    assert animate(endpoint, seed="").status_code == 200  # an empty form field is no seed


@pytest.mark.ray
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_accepted_pictures(endpoint: str, kind: str) -> None:
    pixels = sticker(70) if kind != "JPEG" else on_white(sticker(70)[None])[0, ..., :3]
    assert animate(endpoint, encoded(pixels, kind)).status_code == 200


@pytest.mark.ray
def test_requests_together_get_their_own_answers(endpoint: str) -> None:
    alone = [animate(endpoint, seed=seed).content for seed in range(12)]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda seed: animate(endpoint, seed=seed), range(12)))
    for seed, answer in enumerate(together):
        assert answer.status_code == 200 and answer.headers["x-seed"] == str(seed)
        # batching reorders floating-point sums, so pixels may differ by a hair, but never by a clip
        frames = frames_of(answer.content)[0].astype(int)
        distances = [np.abs(frames - frames_of(other)[0]).mean() for other in alone]
        assert int(np.argmin(distances)) == seed


def animation(kind: str) -> bytes:
    frames = [Image.fromarray(np.roll(sticker(32), 3 * i, axis=1)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.ray
@pytest.mark.parametrize(
    ("picture", "form", "status", "sentence"),
    [
        (b"hello", {}, 400, "not a picture"),
        (b"", {}, 400, "empty"),
        (encoded(sticker())[:300], {}, 400, "damaged"),
        (huge_png(20_000), {}, 400, "at most 4096x4096"),
        (huge_png(5000), {}, 400, "5000x5000"),
        (animation("PNG"), {}, 400, "animation of 3 frames"),
        (animation("WEBP"), {}, 400, "animation of 3 frames"),
        (animation("GIF"), {}, 400, "PNG, WebP and JPEG"),
        (None, {"prompt": ""}, 422, "'prompt' is missing"),
        (None, {"prompt": " \n\t "}, 400, "prompt is empty"),
        (None, {"prompt": "a" * 10_000}, 400, "10000 characters"),
        (None, {"seed": "seven"}, 422, "seed must be a whole number"),
        (None, {"seed": "-1"}, 422, "seed must be a whole number"),
        (None, {"seed": str(2**32)}, 422, "seed must be a whole number"),
        (None, {"seed": "1.5"}, 422, "seed must be a whole number"),
    ],
)
def test_bad_requests_get_one_sentence(
    endpoint: str, picture: bytes | None, form: dict[str, str], status: int, sentence: str
) -> None:
    answer = animate(endpoint, picture, **form)
    detail = answer.json()["detail"]
    assert (answer.status_code, sentence in detail) == (status, True), (answer.status_code, detail)
    assert "\n" not in detail and "Traceback" not in detail and len(detail) < 300


@pytest.mark.ray
def test_requests_of_the_wrong_form(endpoint: str) -> None:
    url = f"{endpoint}/v1/animate"
    without = httpx.post(url, data={"prompt": "a ball"}, timeout=60)
    assert without.status_code == 422 and "'picture' is missing" in without.json()["detail"]
    as_text = httpx.post(url, files={"picture": (None, "text"), "prompt": (None, "a ball")}, timeout=60)
    assert as_text.status_code == 422 and "must be a file" in as_text.json()["detail"]
    json_body = httpx.post(url, json={"prompt": "a ball"}, timeout=60)
    assert json_body.status_code == 422 and "multipart" in json_body.json()["detail"]
    assert httpx.get(url, timeout=60).status_code == 405
    assert httpx.get(f"{endpoint}/no-such-page", timeout=60).status_code == 404
    refused = animate(endpoint, accept="text/html")
    assert refused.status_code == 406 and "image/webp" in refused.json()["detail"]


@pytest.mark.ray
@pytest.mark.parametrize("announced", [True, False])
def test_body_over_the_limit(endpoint: str, announced: bool) -> None:
    """With and without a Content-Length; neither may be stored before it is refused."""
    boundary = "x" * 20
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="picture"; filename="a.png"\r\n\r\n'.encode()
    )
    body = head + bytes(21 << 20)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 1 << 20):
            yield body[start : start + (1 << 20)]

    answer = httpx.post(
        f"{endpoint}/v1/animate",
        content=body if announced else pieces(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        timeout=60,
    )
    assert answer.status_code == 413 and "20 MiB" in answer.json()["detail"]


@pytest.mark.ray
def test_bad_requests_leave_the_others_alone(endpoint: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        bad = [pool.submit(animate, endpoint, b"no picture") for _ in range(4)]
        good = [pool.submit(animate, endpoint) for _ in range(4)]
    assert {job.result().status_code for job in bad} == {400}
    assert {job.result().status_code for job in good} == {200}


@pytest.mark.ray
def test_health_and_openapi(endpoint: str) -> None:
    health = httpx.get(f"{endpoint}/healthz", timeout=60).json()
    assert health["status"] == "ok" and health["num_frames"] == 6 and health["passes"] == 2
    assert health["model"] == animate(endpoint).headers["x-model-digest"]
    api = httpx.get(f"{endpoint}/openapi.json", timeout=60).json()
    operation = api["paths"]["/v1/animate"]["post"]
    assert set(operation["responses"]["200"]["content"]) == {
        "image/webp",
        "image/apng",
        "image/gif",
        "video/mp4",
    }
    assert set(operation["responses"]) >= {"200", "400", "406", "413", "422", "503"}


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    from serve.student.engine import Student

    with pytest.raises(ValueError, match="no animation model"):
        Student.build(str(tmp_path))


# -- a person's browser ---------------------------------------------------------------------------


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


@pytest.mark.ray
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
    shots = set()
    for _ in range(12):  # it really plays: the screen changes
        shots.add(animation.screenshot())
        time.sleep(0.1)
    assert len(shots) > 1
    page.screenshot(path=os.environ.get("STICKERS_SCREENSHOT", str(tmp_path / "page.png")))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download WebP").click()
    assert Path(download.value.path()).read_bytes() == data
    assert download.value.suggested_filename.endswith(".webp")
    with page.expect_download() as download:
        page.get_by_role("button", name="GIF", exact=True).click()
    assert Path(download.value.path()).read_bytes()[:4] == b"GIF8"


@pytest.mark.ray
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


@pytest.mark.ray
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


@pytest.mark.ray
@pytest.mark.browser
def test_the_docs_page_needs_no_foreign_network(page: Any, endpoint: str, tmp_path: Path) -> None:
    page.goto(f"{endpoint}/docs")
    page.get_by_role("heading", name="POST /v1/animate").wait_for(timeout=30_000)
    text = page.locator("main").inner_text()
    assert "curl" in text and "picture" in text and "406" in text
    page.screenshot(path=str(tmp_path / "docs.png"), full_page=True)
