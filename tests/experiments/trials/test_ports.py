"""Ports are free, distinct, and none that the kernel may give to somebody else meanwhile."""

import socket
from pathlib import Path

from experiments.trials.ports import ABOVE_RAY, free_ports, is_free


def test_ports_are_free_and_not_the_kernels() -> None:
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(handed_out.read_text().split()[0]) if handed_out.exists() else 32_768
    ports = free_ports(20)
    assert len(set(ports)) == 20 and all(map(is_free, ports))
    assert all(ABOVE_RAY <= port < first for port in ports) or first <= ABOVE_RAY


def test_a_port_in_use_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
