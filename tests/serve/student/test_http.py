"""The student's HTTP interface: every format, and one sentence for whatever cannot be animated."""

import itertools
from pathlib import Path

import httpx
import pytest

from stickers.video.clips import on_white
from stickers.video.reading import probe
from tests.support.student_requests import animate, animation, encoded, frames_of, huge_png, sticker


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


def test_mp4_answer(endpoint: str, tmp_path: Path) -> None:
    answer = animate(endpoint, accept="video/mp4", seed=7)
    assert answer.headers["content-type"] == "video/mp4"
    path = tmp_path / "a.mp4"
    path.write_bytes(answer.content)
    info = probe(str(path))
    assert (info.num_frames, info.fps, info.width, info.height) == (6, 6, 32, 32)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_accepted_pictures(endpoint: str, kind: str) -> None:
    pixels = sticker(70) if kind != "JPEG" else on_white(sticker(70)[None])[0, ..., :3]
    assert animate(endpoint, encoded(pixels, kind)).status_code == 200


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
