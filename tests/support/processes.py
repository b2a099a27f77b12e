"""What several tests do to processes: wait, kill -9 a driver, find a free port, drive a browser."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

import psutil

#: the headless shell is Chromium without the windows round its pages, which take half of the time
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None
)


def wait_for(condition: Callable[[], object], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def kill_driver(process: subprocess.Popen) -> None:
    """Kill the driver alone with SIGKILL; its processes that could still write must end by themselves."""
    if process.poll() is not None:
        return
    started = psutil.Process(process.pid).children(recursive=True)
    # agents look for their raylet now and then
    writers = [child for child in started if "Agent" not in child.name()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(map(lives, writers)))
    for child in filter(lives, started):
        child.kill()


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
