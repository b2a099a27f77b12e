"""The gate lets in whom a session names, with the session's own token, and not too often."""

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from starlette.exceptions import HTTPException

from serve.annotation.engine import Annotation, Limits
from serve.annotation.forms import SignIn
from serve.annotation.gate import COOKIE, Gate
from stickers.annotation.store.people import add_person
from stickers.annotation.store.votes import VoteStore
from tests.serve.annotation.conftest import PASSWORD
from tests.support.coroutines import finish

LIMITS = Limits(wrong_sign_ins="3 per hour", password_tries="2 per hour", requests="4 per hour")
HOME = "127.0.0.1"


@pytest.fixture
def tokens() -> dict[str, str]:
    """The tokens of people's links, by name."""
    return {}


@pytest.fixture
def service(tmp_path: Path, tokens: dict[str, str]) -> Iterator[Annotation]:
    """A service with an annotator who has a password, and a lead."""
    with VoteStore(f"sqlite:///{tmp_path}/votes.db") as store:
        for name, role, password in (("ann", "annotator", PASSWORD), ("lea", "lead", None)):
            tokens[name] = store.write(
                lambda connection, name=name, role=role, password=password: add_person(
                    connection, name, role, password=password
                )
            ).result()
        yield Annotation(store)


def request(token: str = "", method: str = "GET", csrf: str = "") -> Request:
    headers = [(b"cookie", f"{COOKIE}={token}".encode()), (b"x-csrf-token", csrf.encode())]
    return Request({"type": "http", "method": method, "headers": headers})


async def refused(work: Awaitable[Any]) -> int:
    """The status with which it is refused."""
    with pytest.raises(HTTPException) as refusal:
        await work
    if refusal.value.status_code == 429:
        assert refusal.value.headers is not None and int(refusal.value.headers["Retry-After"]) >= 1
    return refusal.value.status_code


def run(service: Annotation, work: Callable[[Gate], Awaitable[None]]) -> None:
    """Let a new gate of the service do some work."""

    async def whole() -> None:
        await work(Gate(service, LIMITS))

    finish(whole())


def test_a_session_carries_its_own_token(service: Annotation, tokens: dict[str, str]) -> None:
    async def work(gate: Gate) -> None:
        ann = await gate.sign_in(SignIn(token=tokens["ann"]), HOME)
        lea = await gate.sign_in(SignIn(token=tokens["lea"]), HOME)
        assert (await gate.signed_in(request(ann.token))).person.name == "ann"
        assert (await gate.signed_in(request(ann.token, "POST", ann.csrf))).person.name == "ann"
        assert await refused(gate.signed_in(request())) == 401
        assert await refused(gate.signed_in(request("a" * 43))) == 401
        assert await refused(gate.signed_in(request(ann.token, "POST", lea.csrf))) == 403
        assert (await gate.leading(request(lea.token))).person.role == "lead"
        assert await refused(gate.leading(request(ann.token))) == 403

    run(service, work)


def test_requests_of_a_session_are_counted(service: Annotation, tokens: dict[str, str]) -> None:
    async def work(gate: Gate) -> None:
        session = await gate.sign_in(SignIn(token=tokens["ann"]), HOME)
        other = await gate.sign_in(SignIn(token=tokens["lea"]), HOME)
        for _ in range(4):
            await gate.signed_in(request(session.token))
        assert await refused(gate.signed_in(request(session.token))) == 429
        assert (await gate.signed_in(request(other.token))).person.name == "lea"

    run(service, work)


def test_guesses_are_counted_by_address_and_by_name(service: Annotation, tokens: dict[str, str]) -> None:
    async def work(gate: Gate) -> None:
        right = SignIn(name="ann", password=PASSWORD)
        assert (await gate.sign_in(right, HOME)).person.name == "ann"
        assert await refused(gate.sign_in(SignIn(name="ann", password="a guess of mine"), HOME)) == 401
        assert await refused(gate.sign_in(right, "10.0.0.1")) == 429, "from anywhere, two tries a name"
        for _ in range(2):
            assert await refused(gate.sign_in(SignIn(token="t" * 43), HOME)) == 401
        assert await refused(gate.sign_in(SignIn(token=tokens["lea"]), HOME)) == 429
        assert (await gate.sign_in(SignIn(token=tokens["lea"]), "10.0.0.1")).person.name == "lea"
        assert await refused(gate.sign_in(SignIn(name="ann"), "10.0.0.2")) == 422

    run(service, work)
