"""What one reader is told: first what it missed, then what happens, and now and then that nothing does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from jobboard import history
from jobboard.position import Position
from poster.web.live.event import Event, heartbeat, of_line, opening

if TYPE_CHECKING:
    from jobboard.database import Database
    from poster.web.live.feed import Feed

HEARTBEAT_S: Final = 15.0
_PAGE: Final = 1000


async def stream(
    feed: Feed,
    database: Database,
    *,
    job: str | None,
    kinds: Collection[str],
    after: Position | None,
    still_allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[list[Event]]:
    """Events of `job`, or of all, that come `after` a position; after now without one. The feed has begun.

    Ends when the feed does, when the reader is too slow, and when it is not allowed any more, which is asked with
    each heartbeat. These come in their time however much happens.
    """
    start = after or feed.position
    yield [opening(start, datetime.now(UTC))]
    subscription = feed.listen(job, kinds, start)
    try:
        # In the same turn of the loop: what is spread later comes by the subscription, and nothing else does.
        async for missed in _missed(database, job, start, feed.position):
            yield [event for event in missed if event.kind in kinds]
        due_s = time.monotonic() + HEARTBEAT_S
        while (events := await subscription.next(due_s - time.monotonic())) is not None:
            if events:
                yield events
            if time.monotonic() < due_s:
                continue
            if not await still_allowed():
                return
            yield [heartbeat(datetime.now(UTC))]
            due_s = time.monotonic() + HEARTBEAT_S
    finally:
        feed.leave(subscription)


async def _missed(
    database: Database, job: str | None, start: Position, now: Position
) -> AsyncIterator[list[Event]]:
    """What a reader at `now` has had, and one at `start` has not; in pages."""
    read = told = start
    while read != now:
        lines = await asyncio.to_thread(history.read_on, database, read, job=job, up_to=now.last, limit=_PAGE)
        if not lines:
            return
        events: list[Event] = []
        for line in lines:
            new = line.seq > start.last
            read = Position(line.seq) if new else read.having(line.seq)
            if now.has_had(line.seq):
                told = now.at(line.seq) if new else told.having(line.seq)
                events.append(of_line(line, told))
        yield events
