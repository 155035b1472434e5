"""Keeps to a rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """At most so many turns a second, evenly spaced."""

    def __init__(
        self,
        per_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._every_s = 1 / per_s
        self._clock = clock
        self._sleep = sleep
        self._next_s = clock()

    async def turn(self) -> None:
        """Wait for the next turn."""
        now_s = self._clock()
        turn_s = max(now_s, self._next_s)
        self._next_s = turn_s + self._every_s
        await self._sleep(turn_s - now_s)
