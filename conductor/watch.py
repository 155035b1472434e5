"""The one thread of a conductor that watches: for cancels, pauses, time limits, lost claims.

It never touches TaskFlow's storage, which a running task may hold locked; it reads records, raises flags, and
writes what the journals have gathered.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import sqlalchemy as sa

from conductor.run import JobRun
from conductor.unresponsive import Unresponsive
from flows.cancel_token import CancelCause, CancelKind
from jobboard.conductors import Registration
from jobboard.database import Database
from jobboard.dispatch.base import Dispatch
from jobboard.errors import Fenced, Unreachable
from jobboard.schema import jobs
from jobboard.signals import Channel, Listener
from jobboard.statements import Prepared, several, several_values
from jobboard.states import State

LOG = logging.getLogger(__name__)

_FLUSH_S: Final = 0.25  # what tasks report is stored so often
_LOOK_S: Final = 0.02  # between two looks at the records: on SQLite each commit is a signal
_POLL_S: Final = 1.0  # what a signal that was lost costs at most
_RETRY_S: Final = 1.0


@functools.cache
def _looked_at(count: int) -> Prepared:
    """The records of so many jobs, as far as they are looked at."""
    asked = (jobs.c.cancel_by, jobs.c.cancel_reason, jobs.c.deleting)
    return Prepared(
        sa.select(jobs.c.id, jobs.c.state, jobs.c.epoch, *asked).where(jobs.c.id.in_(several("id", count)))
    )


class Watch:
    """Watches over the runs of one conductor until it is stopped."""

    def __init__(
        self,
        database: Database,
        dispatch: Dispatch,
        registration: Registration,
        runs: Callable[[], Sequence[JobRun]],
        wake: Callable[[], None],
        unresponsive: Unresponsive,
    ) -> None:
        """`runs` gives what runs now; `wake` is called when there may be work, or room for it."""
        self._database = database
        self._dispatch = dispatch
        self._registration = registration
        self._runs = runs
        self._wake = wake
        self._unresponsive = unresponsive
        self._listener = Listener(database, (Channel.WORK, Channel.CONTROL))
        self._stop = threading.Event()
        self._look_now = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._done_s: dict[Callable[..., None], float] = {}  # when each was done last

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the thread."""
        self._stop.set()
        self._listener.wake()
        self._thread.join()
        self._listener.close()

    def look(self) -> None:
        """Look at the records at once: a run began, and may have been cancelled before anyone could hear it."""
        self._look_now.set()
        self._listener.wake()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
            except Unreachable as error:
                LOG.warning("waiting for %s", error)
                self._stop.wait(_RETRY_S)
            except Exception:
                LOG.exception("the watch failed, and goes on")
                self._stop.wait(_RETRY_S)

    def _turn(self) -> None:
        heard = self._listener.wait(self._pause_s())
        runs = self._runs()
        if Channel.CONTROL in heard:
            self._look_now.set()
        if runs and self._is_due(self._look_at, _LOOK_S if self._look_now.is_set() else _POLL_S):
            self._look_now.clear()
            self._look_at(runs)
        if Channel.WORK in heard:
            self._wake()  # not before: who claims would be in the way of a cancel that came with it
        if self._is_due(self._tend_all, _FLUSH_S):
            self._tend_all(runs)
        if self._is_due(self._beat, self._registration.lease_s / 3):
            self._beat()

    def _pause_s(self) -> float:
        if not self._runs():
            return _POLL_S
        if not self._look_now.is_set():
            return _FLUSH_S
        return max(0.0, self._done_s.get(self._look_at, -math.inf) + _LOOK_S - time.monotonic())

    def _is_due(self, what: Callable[..., None], every_s: float) -> bool:
        now = time.monotonic()
        if now < self._done_s.get(what, -math.inf) + every_s:
            return False
        self._done_s[what] = now
        return True

    def _beat(self) -> None:
        # Not without a lease: others wait for the jobs of a conductor that seems to live.
        if self._dispatch.alive and not self._registration.beat():
            self._registration.enter()

    def _look_at(self, runs: Sequence[JobRun]) -> None:
        wanted = several_values("id", [run.claim.job for run in runs])
        rows = {row["id"]: row for row in self._database.ask(_looked_at(len(runs)), wanted)}
        for run in runs:
            row = rows.get(run.claim.job)
            if row is None or row["epoch"] != run.claim.epoch:
                run.abandon(CancelKind.LOST_CLAIM, "another conductor has the job")
            elif row["state"] == State.CANCELLING:
                kind = CancelKind.DELETE if row["deleting"] else CancelKind.USER
                run.cancel(CancelCause(kind, row["cancel_by"] or "", row["cancel_reason"] or ""))
            elif row["state"] == State.PAUSING:
                run.pause()
            elif row["state"] == State.RUNNING:
                run.resume()

    def _tend_all(self, runs: Sequence[JobRun]) -> None:
        """Now and then, not at each signal: what a cancel tells is stored with the end of the task it stops."""
        for run in runs:
            self._tend(run)

    def _tend(self, run: JobRun) -> None:
        try:
            if run.is_over_time:
                run.time_out()
            self._unresponsive.look_at(run)
            run.journal.flush()
        except Fenced:
            run.abandon(CancelKind.LOST_CLAIM, "another conductor has the job")
