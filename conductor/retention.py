"""Removes jobs that ended long ago, if the setting `retention` says so, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from typing import Final

from jobboard import removal
from jobboard.database import Database
from jobboard.errors import Unreachable

LOG = logging.getLogger(__name__)

_EVERY_S: Final = 60.0


class Retention:
    """Purges now and then until it is stopped; without a limit it does nothing. Several at once do no harm."""

    def __init__(self, database: Database, retention_s: float | None) -> None:
        self._database = database
        self._retention_s = retention_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        """Begin."""
        if self._retention_s is not None:
            self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._purge()
            except Unreachable as error:
                LOG.warning("nothing is purged: %s", error)
            except Exception:
                LOG.exception("nothing is purged")
            self._stop.wait(_EVERY_S)

    def _purge(self) -> None:
        removed = removal.purge(self._database, self._retention_s or 0.0, self._stop)
        if removed:
            LOG.info("%d jobs that ended long ago are removed", removed)
