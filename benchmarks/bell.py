"""Where tasks ring when their work begins: a datagram to whoever measures."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

VARIABLE: Final = "BENCHMARK_BELL"
"""The environment variable that holds the path of the bell of tasks that get no arguments."""

_PATIENCE_S: Final = 60.0


class Bell:
    """The end at which one hears. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def hear(self, patience_s: float = _PATIENCE_S) -> str:
        """Block until someone rings, and return what was said. Raises `TimeoutError`."""
        self._socket.settimeout(max(0.001, patience_s))
        return self._socket.recv(4096).decode()

    def wait(self, marks: Iterable[Path], rings: int) -> None:
        """Block until each of `marks` has rung so often. Raises `TimeoutError`."""
        awaited = Counter({str(mark): rings for mark in marks})
        deadline = time.monotonic() + _PATIENCE_S
        while +awaited:
            awaited[self.hear(deadline - time.monotonic())] -= 1

    def close(self) -> None:
        self._socket.close()


def ring(bell: Path | str, said: str) -> None:
    """Tell who waits at `bell`; nobody has to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.sendto(said.encode(), str(bell))


def ring_now() -> None:
    """Tell the bell of this process's environment what time it is, by the clock that all processes share."""
    ring(os.environ[VARIABLE], repr(time.monotonic()))
