"""Reads what happens, once, and gives it to all who listen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from jobboard import history, progress, removal
from jobboard.errors import JobboardError, Unreachable
from jobboard.signals import Channel, Listener
from poster.web.live.event import GONE, PROGRESS, Event, of_lines, of_progress, of_removal
from poster.web.live.subscription import Subscription

if TYPE_CHECKING:
    from datetime import datetime

    from jobboard.models import HistoryLine
    from jobboard.position import Position
    from jobboard.progress import Progress
    from poster.client import Client

LOG = logging.getLogger(__name__)

_SLOW_POLL_S: Final = 1.0  # behind the signals, of which one may be lost
_PROGRESS_S: Final = 0.25  # between two looks at the progress of tasks, which is stored without a signal
_LEAST_S: Final = 0.1  # between two looks, however many signals come: each is a message to every reader
_AWAY_S: Final = 1.0  # before a database that is away is asked again
_BEGIN_S: Final = 5.0  # for who listens before it reads
_OVERLAP: Final = timedelta(seconds=5)  # a removal may become visible so long after the time that it tells
_ON_ITS_WAY_S: Final = 60.0  # so long after its number was given a line may still be committed
_PAGE: Final = 1000
_OF_PROGRESS: Final = frozenset({PROGRESS, GONE})

Observer = Callable[[Sequence["HistoryLine"]], None]


class Feed:
    """One thread reads; the readers' side is used in one event loop only."""

    def __init__(self, client: Client, observers: Iterable[Observer] = ()) -> None:
        """`observers` are given all lines, in the thread; lines for which one raises are read again."""
        self._client = client
        self._observers = tuple(observers)
        # Of the readers' side.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._spread_to: Position | None = None
        self._begun = asyncio.Event()
        self._subscriptions: set[Subscription] = set()
        self._ended = False
        self._watched: list[str] | None = []  # jobs whose progress is wanted; None: all
        # Of the thread.
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._stop = threading.Event()
        self._listener: Listener | None = None
        self._position: Position | None = None
        self._stood: deque[tuple[float, int]] = deque()  # when which line was the last one
        self._progress: dict[str, Progress] = {}  # as last told
        self._progress_at = 0.0
        self._gone: Sequence[str] = ()  # jobs that went lately
        self._gone_since: datetime | None = None  # where the next look for such begins

    # The readers' side

    def start(self) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """End all streams, and the thread."""
        self.end_streams()
        self._stop.set()
        self._wake()
        await asyncio.to_thread(self._thread.join)

    def end_streams(self) -> None:
        """Let all who listen know that nothing more comes, and who will."""
        self._ended = True
        for subscription in self._subscriptions:
            subscription.close()

    def _wake(self) -> None:
        if (listener := self._listener) is not None:
            listener.wake()

    @property
    def streams(self) -> int:
        """How many listen."""
        return len(self._subscriptions)

    async def begun(self) -> None:
        """Wait until it reads. `Unreachable` if the database is away."""
        try:
            async with asyncio.timeout(_BEGIN_S):
                await self._begun.wait()
        except TimeoutError:
            raise Unreachable("live events cannot be read now: the database does not answer") from None

    @property
    def position(self) -> Position:
        """Where a reader stands that has had all that was spread. It has begun."""
        assert self._spread_to is not None, "it has begun"  # noqa: S101
        return self._spread_to

    def listen(self, job: str | None, kinds: Collection[str], start: Position) -> Subscription:
        """From now on, what happens to `job`, or to all, that a reader at `start` has not had."""
        subscription = Subscription(job, kinds, start)
        if self._ended:
            subscription.close()
        self._subscriptions.add(subscription)
        self._note_watched()
        self._wake()  # how far tasks are is told at once
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """No more of it."""
        self._subscriptions.discard(subscription)
        self._note_watched()

    def _note_watched(self) -> None:
        jobs = {one.job for one in self._subscriptions if one.kinds & _OF_PROGRESS}
        self._watched = None if None in jobs else [job for job in jobs if job is not None]

    def _spread(self, events: Sequence[Event], position: Position) -> None:
        self._spread_to = position
        self._begun.set()
        of_job: dict[str | None, list[Event]] = {}
        for event in events:
            of_job.setdefault(event.job, []).append(event)
        for subscription in self._subscriptions:
            subscription.put(events if subscription.job is None else of_job.get(subscription.job, ()))

    # The thread

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with Listener(self._client.database, [Channel.CHANGE]) as listener:
                    self._listener = listener
                    self._read_on(listener)
            except JobboardError as error:
                LOG.warning("live events: %s", error)
            except Exception:
                LOG.exception("live events: cannot be read")
            self._stop.wait(_AWAY_S)

    def _read_on(self, listener: Listener) -> None:
        while not self._stop.is_set():
            looked_at = time.monotonic()
            lines = self._lines()
            events = [*self._events_of(lines), *self._progress_events(looked_at)]
            if events or not self._begun.is_set():
                self._hand_over(events)
            if len(lines) < _PAGE:
                self._stop.wait(looked_at + _LEAST_S - time.monotonic())
                listener.wait(_SLOW_POLL_S if self._watched == [] else _PROGRESS_S)

    def _lines(self) -> list[HistoryLine]:
        database = self._client.database
        if self._position is None:
            self._position = history.last_position(database)
        return history.read_on(database, self._position, limit=_PAGE)

    def _events_of(self, lines: Sequence[HistoryLine]) -> list[Event]:
        assert self._position is not None, "lines were read from it"  # noqa: S101
        for observe in self._observers if lines else ():
            observe(lines)
        events, position = of_lines(lines, self._position)
        self._position = position.giving_up_before(self._settled(position.last))
        return events

    def _settled(self, last: int) -> int:
        """The line before which nothing will be committed any more."""
        now = time.monotonic()
        self._stood.append((now, last))
        while len(self._stood) > 1 and now - self._stood[1][0] > _ON_ITS_WAY_S:
            self._stood.popleft()
        since, line = self._stood[0]
        return line if now - since > _ON_ITS_WAY_S else 0

    def _progress_events(self, now: float) -> Iterator[Event]:
        watched = self._watched
        if watched == []:
            self._gone_since = None
        if watched == [] or now < self._progress_at + _PROGRESS_S:
            return
        self._progress_at = now
        before = self._progress
        self._progress = {one.job: one for one in progress.read(self._client.database, watched)}
        yield from (of_progress(one) for one in self._progress.values() if before.get(one.job) != one)
        yield from self._removals()

    def _removals(self) -> Iterator[Event]:
        database = self._client.database
        now, told = database.now(), self._gone
        self._gone = removal.gone_since(database, self._gone_since or now - _OVERLAP)
        self._gone_since = now - _OVERLAP
        yield from (of_removal(job) for job in self._gone if job not in told)

    def _hand_over(self, events: Sequence[Event]) -> None:
        assert self._loop is not None and self._position is not None, "it has begun"  # noqa: S101, PT018
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._spread, events, self._position)
