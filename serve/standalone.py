"""A web application in this process, without a cluster: for one machine, and for what drives a service over HTTP."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from fastapi import FastAPI

from stickers.errors import UserError

HOST = "127.0.0.1"
"""Loopback alone: what faces a network belongs behind a gateway."""
START_SECONDS = 30.0


def _server(app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def listen(port: int) -> socket.socket:
    """A socket on the loopback interface alone; port 0 takes any that is free. UserError: nothing can listen there."""
    if port:
        check_port(port)
    bound = socket.create_server((HOST, port), reuse_port=False)
    bound.setblocking(False)
    return bound


def address_of(bound: socket.socket) -> str:
    return f"http://{HOST}:{bound.getsockname()[1]}"


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve until interrupted, and finish what was begun."""
    _server(app).run(sockets=[bound])


@contextmanager
def running(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The address of the application, which is served in a thread for as long as the block lasts."""
    bound = listen(port)
    server = _server(app)
    thread = Thread(target=server.run, kwargs={"sockets": [bound]}, name="http", daemon=True)
    thread.start()
    try:
        end = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                raise RuntimeError(f"the service at {address_of(bound)} did not start")
            time.sleep(0.01)
        yield address_of(bound)
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


def check_port(port: int) -> None:
    """UserError when nothing can listen there: Ray would only say so in a log."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"port {port} cannot be used ({error}); choose another with --port") from error
