"""Gives a conductor's jobs up in time when its lease cannot be renewed.

In a thread of its own, which asks no server: who waits for one that does not answer might look too late.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from conductor.run import JobRun
from flows.cancel_token import CancelKind
from jobboard.dispatch.base import Dispatch

LOG = logging.getLogger(__name__)

_LOOKS_A_LEASE: Final = 20  # a lease is given up a tenth before its end


class LeaseGuard:
    """Guards the runs of one conductor until it is stopped."""

    def __init__(self, dispatch: Dispatch, runs: Callable[[], Sequence[JobRun]], lease_s: float) -> None:
        """`runs` gives what runs now."""
        self._dispatch = dispatch
        self._runs = runs
        self._pause_s = lease_s / _LOOKS_A_LEASE
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._guard, name="lease-guard", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._stop.set()
        self._thread.join()

    def _guard(self) -> None:
        while not self._stop.wait(self._pause_s):
            if not self._dispatch.alive:
                try:
                    give_up(self._runs())
                except Exception:  # of an `on_cancel`, say: the lease must be guarded all the same
                    LOG.exception("giving the jobs up failed, and is tried again")


def give_up(runs: Sequence[JobRun]) -> None:
    """These runs have lost their claims: interrupt them, without another word to the record."""
    for run in runs:
        run.journal.lost = True  # of all, before the first is interrupted: nothing of theirs begins any more
    for run in runs:
        run.abandon(CancelKind.LOST_CLAIM, "the lease has ended")
