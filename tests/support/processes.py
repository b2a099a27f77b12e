"""What several tests do to processes: wait, kill -9 a driver, find a free port, drive a browser."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

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


def free_ports(count: int) -> list[int]:
    """Free ports that nothing takes by chance: above Ray's workers, below the ports that the kernel gives out.

    Servers take seconds to bind their ports, and another test's cluster takes hundreds of the kernel's meanwhile.
    """
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(handed_out.read_text().split()[0]) if handed_out.exists() else 32768
    safe = range(20000, first) or range(20000, 60000)
    return list(islice(filter(is_free, random.SystemRandom().sample(safe, len(safe))), count))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
