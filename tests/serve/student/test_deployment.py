"""The student behind Ray Serve: requests that are batched together do not disturb each other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from serve.student.deployment import MAX_BATCH
from tests.support.student_requests import animate, frames_of

pytestmark = [pytest.mark.ray, pytest.mark.long]

#: more than one batch
NUM_TOGETHER = MAX_BATCH + 4


def test_an_animation_comes_through_ray_as_the_client_asked_for_it(ray_endpoint: str) -> None:
    answer = animate(ray_endpoint, accept="image/gif", seed=7)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/gif"
    assert frames_of(answer.content)[0].shape == (6, 32, 32, 4)
    refused = animate(ray_endpoint, b"hello")
    assert refused.status_code == 400 and "not a picture" in refused.json()["detail"]


def test_seed_repeats_and_is_told_when_drawn(ray_endpoint: str) -> None:
    drawn = animate(ray_endpoint)
    assert 0 <= int(drawn.headers["x-seed"]) < 2**32
    again = animate(ray_endpoint, seed=drawn.headers["x-seed"])
    assert again.content == drawn.content
    assert animate(ray_endpoint, seed=int(drawn.headers["x-seed"]) ^ 1).content != drawn.content
    assert animate(ray_endpoint, seed="").status_code == 200  # an empty form field is no seed


def test_requests_together_get_their_own_answers(ray_endpoint: str) -> None:
    alone = [animate(ray_endpoint, seed=seed).content for seed in range(NUM_TOGETHER)]
    with ThreadPoolExecutor(NUM_TOGETHER) as pool:
        together = list(pool.map(lambda seed: animate(ray_endpoint, seed=seed), range(NUM_TOGETHER)))
    for seed, answer in enumerate(together):
        assert answer.status_code == 200 and answer.headers["x-seed"] == str(seed)
        # batching reorders floating-point sums, so pixels may differ by a hair, but never by a clip
        frames = frames_of(answer.content)[0].astype(int)
        distances = [np.abs(frames - frames_of(other)[0]).mean() for other in alone]
        assert int(np.argmin(distances)) == seed


@pytest.mark.parametrize("announced", [True, False])
def test_body_over_the_limit(ray_endpoint: str, announced: bool) -> None:
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
        f"{ray_endpoint}/v1/animate",
        content=body if announced else pieces(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        timeout=300,
    )
    assert answer.status_code == 413 and "20 MiB" in answer.json()["detail"]


def test_bad_requests_leave_the_others_alone(ray_endpoint: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        bad = [pool.submit(animate, ray_endpoint, b"no picture") for _ in range(4)]
        good = [pool.submit(animate, ray_endpoint) for _ in range(4)]
    assert {job.result().status_code for job in bad} == {400}
    assert {job.result().status_code for job in good} == {200}


def test_health_and_openapi(ray_endpoint: str) -> None:
    health = httpx.get(f"{ray_endpoint}/healthz", timeout=60).json()
    assert health["status"] == "ok" and health["num_frames"] == 6 and health["passes"] == 2
    assert health["model"] == animate(ray_endpoint).headers["x-model-digest"]
    api = httpx.get(f"{ray_endpoint}/openapi.json", timeout=60).json()
    operation = api["paths"]["/v1/animate"]["post"]
    assert set(operation["responses"]["200"]["content"]) == {
        "image/webp",
        "image/apng",
        "image/gif",
        "video/mp4",
    }
    assert set(operation["responses"]) >= {"200", "400", "406", "413", "422", "503"}
