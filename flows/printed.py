"""Makes lines of what is printed bit by bit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

_MOST: Final = 10_000  # characters of a line that does not end


class Printed:
    """Gives each line to `say` when it ends, and the rest without an end when it is closed. Thread-safe."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()  # guards the rest; never held while a line is said
        self._rest = ""

    def write(self, text: str) -> None:
        """Take in what is printed. A line that grows without an end is cut."""
        with self._lock:
            *lines, rest = (self._rest + text).split("\n")
            if len(rest) > _MOST:
                lines.append(rest)
                rest = ""
            self._rest = _last_written(rest)
        for line in lines:
            self._say(_last_written(line).rstrip("\r"))

    def close(self) -> None:
        """Nothing more is printed."""
        with self._lock:
            rest, self._rest = self._rest.rstrip("\r"), ""
        if rest:
            self._say(rest)


def _last_written(line: str) -> str:
    """What stands in a line whose writer went back to its start, as progress bars do, and wrote it anew."""
    return line.rstrip("\r").rpartition("\r")[2] + "\r" * line.endswith("\r")
