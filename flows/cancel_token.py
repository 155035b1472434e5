"""The cancel flag: one token for each job, shared by all its tasks.

Cancellation is a level, not an edge: once set, a token stays set, and everyone who looks later sees it too.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

LOG = logging.getLogger(__name__)


class CancelKind(StrEnum):
    """Whose doing it is that a job's tasks must stop."""

    USER = "user"
    DELETE = "delete"
    TIMEOUT = "timeout"
    SHUTDOWN = "shutdown"
    LOST_CLAIM = "lost_claim"


@dataclass(frozen=True)
class CancelCause:
    """Why a token was set."""

    kind: CancelKind
    by: str = ""
    reason: str = ""


class CancelToken:
    """A flag that is raised once. Thread-safe.

    `is_set` is a plain attribute, since a task may look at it millions of times.
    """

    def __init__(self) -> None:
        self.is_set = False
        self.cause: CancelCause | None = None
        self.set_at_s: float | None = None  # by the monotonic clock
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._keys = itertools.count()
        self._subscribers: dict[int, Callable[[], None]] = {}

    def set(self, cause: CancelCause) -> bool:
        """Raise the flag and tell the subscribers, in this thread. False if it was raised before.

        A subscriber that raises is logged: the others, and the caller's other jobs, are not to suffer from it.
        """
        with self._lock:
            if self.is_set:
                return False
            self.cause = cause
            self.set_at_s = time.monotonic()
            self.is_set = True
            waiting = list(self._subscribers.values())
            self._subscribers.clear()
        self._event.set()
        for call in waiting:
            try:
                call()
            except Exception:
                LOG.exception("%r, to be called when a cancel flag went up, failed", call)
        return True

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the flag is up, or the time is over; whether it is up."""
        return self._event.wait(timeout_s)

    def subscribe(self, call: Callable[[], None]) -> int:
        """Have `call` called once, when the flag goes up: at once if it is up. Returns the key to unsubscribe.

        `call` runs in the thread that sets the flag: it must neither block nor raise.
        """
        with self._lock:
            key = next(self._keys)
            if not self.is_set:
                self._subscribers[key] = call
                return key
        call()
        return key

    def unsubscribe(self, key: int) -> None:
        """Take a subscription back. No harm if it was served or taken back before."""
        with self._lock:
            self._subscribers.pop(key, None)
