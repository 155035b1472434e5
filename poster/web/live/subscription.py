"""One reader of the feed: what it has not read yet waits here, but not without end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jobboard.position import Position
    from poster.web.live.event import Event

MOST_WAITING: Final = 5_000
"""Events. A reader that is further behind is dropped: it goes on by the id of the last one it had."""


class Subscription:
    """Used in one event loop only."""

    def __init__(self, job: str | None, kinds: Collection[str], start: Position) -> None:
        """Events of `job`, or of all, of these kinds, that a reader at `start` has not had."""
        self.job: Final = job
        self.kinds: Final = frozenset(kinds)
        self._start = start
        self._waiting: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._closed = False

    def put(self, events: Sequence[Event]) -> None:
        """Give it what happened."""
        if self._closed:
            return
        self._waiting += (event for event in events if self._wants(event))
        if len(self._waiting) > MOST_WAITING:
            self.close()
        if self._waiting:
            self._ready.set()

    def _wants(self, event: Event) -> bool:
        return event.kind in self.kinds and not (event.line is not None and self._start.has_had(event.line))

    async def next(self, patience_s: float) -> list[Event] | None:
        """What came since the last call: none after `patience_s`; None at the end."""
        try:
            async with asyncio.timeout(patience_s):
                await self._ready.wait()
        except TimeoutError:
            return []
        if self._closed:
            return None
        self._ready.clear()
        events = list(self._waiting)
        self._waiting.clear()
        return events

    def close(self) -> None:
        """Let `next` give None, at once."""
        self._closed = True
        self._waiting.clear()
        self._ready.set()
