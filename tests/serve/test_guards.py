"""Requests that are too large or come from elsewhere are refused, and answers carry security headers."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI, Request

from serve.guards import HEADERS, BodyLimit, Doorkeeper, name_of
from serve.standalone import running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of an application with both guards."""
    app = FastAPI()
    app.add_middleware(BodyLimit, max_bytes=2048)
    app.add_middleware(Doorkeeper, hosts={"127.0.0.1"})

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.get("/page")
    async def page() -> str:
        return "page"

    with running(app) as address, httpx.Client(base_url=address) as client:
        yield client


def test_bodies_up_to_the_limit_pass(client: httpx.Client) -> None:
    assert client.post("/size", content=b"x" * 2048).json() == 2048
    announced = client.post("/size", content=b"x" * 2049)
    streamed = client.post("/size", content=iter([b"x" * 2048, b"x"]))
    for refused in (announced, streamed):
        assert refused.status_code == 413 and "accepted 2 KiB" in refused.json()["detail"]


def test_unknown_hosts_and_foreign_pages_are_refused(client: httpx.Client) -> None:
    refused = client.get("/page", headers={"Host": "evil.example"})
    assert refused.status_code == 400 and "evil.example" in refused.json()["detail"]
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/size", headers=headers).status_code == 403
        assert client.get("/page", headers=headers).status_code == 200, "it changes nothing"


def test_every_answer_carries_the_headers(client: httpx.Client) -> None:
    for answer in (client.get("/page"), client.get("/page", headers={"Host": "evil.example"})):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_the_port_is_no_part_of_a_host_name() -> None:
    assert name_of("Example.org:80") == "example.org"
    assert name_of("[::1]:8000") == "[::1]" and name_of("localhost") == "localhost"
