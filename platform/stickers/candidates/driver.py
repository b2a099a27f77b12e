"""One driver at a time makes a plan: a second one would clean up after the first while it writes.

Who drives leaves its name in the plan's folder and signs again and again. A driver that was killed is known to be gone
at once on its own machine; one of another machine is waited for, until it signs or was silent for long enough.
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
#: seconds between two signatures, and of silence after which a driver on another machine is gone
SIGN_EVERY, SILENCE = 10.0, 45.0


@contextmanager
def driving(uri: str) -> Iterator[None]:
    """Drive the plan at `uri` for as long as the block lasts.

    Raises:
        UserError: somebody else does.
    """
    place = storage.join(uri, DRIVER)
    if storage.exists(place):
        there = storage.read_json(place)
        if _is_there(place, there):
            raise _second(uri, there)
    token, ended = uuid4().hex, Event()

    def sign() -> None:
        process = {"host": platform.node(), "pid": os.getpid(), "began": psutil.Process().create_time()}
        storage.write_json(place, {**process, "token": token, "signed": uuid4().hex})

    def keep_signing() -> None:
        while not ended.wait(SIGN_EVERY):
            sign()

    sign()
    there = storage.read_json(place)
    if there["token"] != token:
        raise _second(uri, there)
    thread = Thread(target=keep_signing, name="driving", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        storage.remove(place)


def is_driven(uri: str) -> bool:
    """Whether somebody makes the plan at `uri` now; one on another machine is waited for, for some seconds."""
    place = storage.join(uri, DRIVER)
    return storage.exists(place) and _is_there(place, storage.read_json(place))


def _second(uri: str, driver: dict[str, Any]) -> UserError:
    return UserError(
        f"plan {uri.rsplit('/', 1)[1]} is being made by process {driver['pid']} on {driver['host']}; "
        "--status shows how far it is"
    )


def _is_there(place: str, driver: dict[str, Any]) -> bool:
    """Whether a driver still makes its plan. By its signatures alone: two machines' clocks may differ."""
    if driver["host"] == platform.node():
        return _runs(driver["pid"], driver["began"])
    end = time.monotonic() + SILENCE
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENCE))
        if not storage.exists(place):
            return False
        if storage.read_json(place)["signed"] != driver["signed"]:
            return True
    return False


def _runs(pid: int, began: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(process.create_time() == began and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
