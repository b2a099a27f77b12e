"""Lets one driver at a time make a plan: a second one would delete files that the first is writing.

A driver writes its process to the plan's folder and signs the file every few seconds. A killed driver is noticed at
once on its own machine. On another machine we wait until it signs, or has been silent for long enough.
"""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import psutil

from stickers import storage
from stickers.errors import UserError

DRIVER = "driver.json"
#: seconds between two signatures, and seconds of silence after which a driver on another machine counts as gone
SIGN_EVERY, SILENCE = 10.0, 45.0


@contextmanager
def driving(uri: str) -> Iterator[None]:
    """Be the driver of the plan at `uri` while the block runs.

    Raises:
        UserError: the plan has a driver.
    """
    signature = storage.join(uri, DRIVER)
    if storage.exists(signature):
        driver = storage.read_json(signature)
        if _is_alive(signature, driver):
            raise _second(uri, driver)
    token, ended = uuid4().hex, Event()

    def sign() -> None:
        process = {"host": platform.node(), "pid": os.getpid(), "began": psutil.Process().create_time()}
        storage.write_json(signature, {**process, "token": token, "signed": uuid4().hex})

    def keep_signing() -> None:
        while not ended.wait(SIGN_EVERY):
            sign()

    sign()
    driver = storage.read_json(signature)
    if driver["token"] != token:
        raise _second(uri, driver)
    thread = Thread(target=keep_signing, name="driving", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        storage.remove(signature)


def is_driven(uri: str) -> bool:
    """Whether somebody makes the plan at `uri` now; one on another machine is waited for, for some seconds."""
    signature = storage.join(uri, DRIVER)
    return storage.exists(signature) and _is_alive(signature, storage.read_json(signature))


def _second(uri: str, driver: dict[str, Any]) -> UserError:
    return UserError(
        f"plan {uri.rsplit('/', 1)[1]} is being made by process {driver['pid']} on {driver['host']}; "
        "--status shows how far it is"
    )


def _is_alive(signature: str, driver: dict[str, Any]) -> bool:
    """Whether a driver is still at work. On another machine only new signatures count, as clocks may differ."""
    if driver["host"] == platform.node():
        return _runs(driver["pid"], driver["began"])
    end = time.monotonic() + SILENCE
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENCE))
        if not storage.exists(signature):
            return False
        if storage.read_json(signature)["signed"] != driver["signed"]:
            return True
    return False


def _runs(pid: int, began: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.create_time() == began and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
