"""How many streams one client may have open: each costs memory, and a place that others may want."""

from __future__ import annotations

from collections import Counter
from typing import Final

MOST_OF_ONE: Final = 250
MOST_OF_ALL: Final = 2_000


class TooManyStreams(Exception):
    """A client has as many streams open as it may."""


class Readers:
    """Counts open streams by who reads them. Used in one event loop only."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def enter(self, reader: str) -> None:
        """A stream of this reader is opened. Raises `TooManyStreams`."""
        if self._open[reader] >= MOST_OF_ONE:
            raise TooManyStreams(f"{MOST_OF_ONE} streams are open already: close one first")
        if self._open.total() >= MOST_OF_ALL:
            raise TooManyStreams(f"{MOST_OF_ALL:,} streams are open already, of all clients: try again later")
        self._open[reader] += 1

    def leave(self, reader: str) -> None:
        """It is closed."""
        self._open[reader] -= 1
        if not self._open[reader]:
            del self._open[reader]
