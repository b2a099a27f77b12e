"""A web application in this process, without a cluster: for one machine, and for programs that drive a service."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from fastapi import FastAPI

from stickers.errors import UserError

HOST = "127.0.0.1"
"""The loopback interface only: a service on a network belongs behind a gateway."""
START_SECONDS = 30.0
POLL_SECONDS = 0.01
#: longer than a person looks at a job, so that the next request needs no new connection
KEEP_ALIVE_SECONDS = 75
SHUTDOWN_SECONDS = 5


def _server(app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return uvicorn.Server(config)


def listen(port: int) -> socket.socket:
    """A socket on the loopback interface; port 0 takes any free one. UserError: the port cannot be used."""
    if port:
        check_port(port)
    bound = socket.create_server((HOST, port), reuse_port=False)
    bound.setblocking(False)
    return bound


def address_of(bound: socket.socket) -> str:
    """The address of a socket, as a URL."""
    return f"http://{HOST}:{bound.getsockname()[1]}"


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve until interrupted; requests that have begun are finished."""
    _server(app).run(sockets=[bound])


@contextmanager
def running(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Serve the application in a thread for as long as the block lasts; yields its address."""
    bound = listen(port)
    server = _server(app)
    thread = Thread(target=server.run, kwargs={"sockets": [bound]}, name="http", daemon=True)
    thread.start()
    try:
        end = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                raise RuntimeError(f"the service at {address_of(bound)} did not start")
            time.sleep(POLL_SECONDS)
        yield address_of(bound)
    finally:
        server.should_exit = True
        thread.join()
        bound.close()


def check_port(port: int) -> None:
    """UserError: nothing can listen on the port. Ray would only write that into a log."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise UserError(f"port {port} cannot be used ({error}); choose another with --port") from error
