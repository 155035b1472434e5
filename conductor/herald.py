"""Signals that records have changed: for transactions that must not wait for each other.

PostgreSQL commits those that notify one after the other, each with its wait for the disk. What completes jobs, at
times many a second, leaves it to this: one request that writes nothing then tells of all.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

from jobboard.database import Database
from jobboard.errors import Unreachable
from jobboard.signals import Channel, add_notify
from jobboard.statements import Script

LOG = logging.getLogger(__name__)

_PAUSE_S: Final = 0.01  # between two signals: so late may one be


class Herald:
    """Tells whoever waits for a change, in a thread of its own. A signal that fails is lost, as any may be."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._signal = Script()
        add_notify(self._signal, database.dialect, Channel.CHANGE)
        self._changed = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="herald", daemon=True)

    def start(self) -> None:
        """Begin. On SQLite every commit is a signal: nothing is left to be told."""
        if self._database.dialect == "postgresql":
            self._thread.start()

    def stop(self) -> None:
        """Tell what is left, and end."""
        self._stop.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def tell(self) -> None:
        """Have it told that something has changed. Returns at once."""
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.wait()
            is_last = self._stop.is_set()
            self._changed.clear()
            try:
                self._database.commit(self._signal, again=True)
            except Unreachable as error:
                LOG.debug("a change is not told: %s", error)
            except Exception:  # this thread must not end before the conductor does
                LOG.exception("a change is not told")
            if is_last:
                return
            self._stop.wait(_PAUSE_S)
