"""What several tests do to processes: wait, kill -9 a driver, find a free port, drive a browser."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable

import psutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def wait_for(what: Callable[[], object], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def kill_driver(process: subprocess.Popen) -> None:
    """Kill -9 of the driver alone: what it started and could still write must end by itself."""
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    # agents look for their raylet now and then
    writers = [each for each in started if "Agent" not in each.name()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(map(lives, writers)))
    for each in filter(lives, started):
        each.kill()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_ports(count: int) -> list[int]:
    """Free ports outside those that Ray gives to its workers."""
    sockets, found = [], []
    while len(found) < count:
        sockets.append(socket.socket())
        sockets[-1].bind(("127.0.0.1", 0))
        port = sockets[-1].getsockname()[1]
        if not 10002 <= port <= 19999:
            found.append(port)
    for each in sockets:
        each.close()
    return found
