"""Ports for servers that a trial starts.

A server takes seconds to bind its port. Meanwhile others take hundreds of those that the kernel gives out, so a port
that was one of them may be gone.
"""

import random
import socket
from itertools import islice
from pathlib import Path

#: Ray's workers listen on ports from 10,002 to 19,999
ABOVE_RAY = 20_000
#: the first port that Linux gives to whoever asks for any, unless it is told otherwise
FIRST_HANDED_OUT = 32_768


def free_ports(count: int) -> list[int]:
    """Free ports that nothing takes by chance: above those of Ray's workers, below those that the kernel gives out."""
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(handed_out.read_text().split()[0]) if handed_out.exists() else FIRST_HANDED_OUT
    safe = range(ABOVE_RAY, first) or range(ABOVE_RAY, FIRST_HANDED_OUT * 2)
    return list(islice(filter(is_free, random.SystemRandom().sample(safe, len(safe))), count))


def is_free(port: int) -> bool:
    """Whether nothing listens on the port, on any address."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
