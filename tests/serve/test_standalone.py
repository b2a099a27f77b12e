"""An application is served on the loopback interface for as long as it is needed, and no longer."""

import socket

import httpx
import pytest
from fastapi import FastAPI

from serve.standalone import HOST, address_of, check_port, listen, running
from stickers.errors import UserError


def test_an_application_answers_until_the_block_ends() -> None:
    app = FastAPI()
    app.get("/")(lambda: "here")
    with running(app) as address:
        assert address.startswith(f"http://{HOST}:") and httpx.get(address).json() == "here"
    with pytest.raises(httpx.TransportError):
        httpx.get(address)


def test_a_port_that_is_taken_is_named() -> None:
    with listen(0) as bound:
        port = int(address_of(bound).rpartition(":")[2])
        bound.listen()
        with pytest.raises(UserError, match=f"port {port} cannot be used"):
            listen(port)
    check_port(port)
    with pytest.raises(UserError, match="port 70000 cannot be used"):
        check_port(70_000)
    assert isinstance(bound, socket.socket)
