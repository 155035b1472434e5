"""Loopback ports: finding a free one, and asking who is there."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"

# Below the range from which systems take ports for outgoing connections: there a client's own connection
# could sit on a server's port while it restarts, or even connect to itself.
_PORTS = range(15_000, 30_000)
_system_random = random.SystemRandom()  # a test that seeds `random` must not make two workers choose alike


def free_port() -> int:
    """A port that nobody listens on now."""
    while True:
        port = _system_random.choice(_PORTS)
        if _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def ask(port: int, question: bytes, timeout_s: float) -> bytes:
    """What the server says until it hangs up; nothing when nobody answers in time."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout_s) as connection:
            connection.sendall(question)
            return b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError:
        return b""
