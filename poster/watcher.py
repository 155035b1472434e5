"""`Watcher`: waits for jobs, and tells what changes."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from jobboard.models import HistoryLine, Job
from jobboard.signals import Channel, Listener
from jobboard.states import ENDED
from poster.errors import WaitTimedOut
from poster.patience import PATIENCE_S, patiently
from poster.reader import Reader

_SLOW_POLL_S: Final = 1.0  # behind the signals, of which one may be lost
_WATCH_POLL_S: Final = 0.25  # progress is stored without a signal
_LEAST_S: Final = 0.02  # between two looks, however many signals come
_OVERLAP_S: Final = 5.0  # a transaction may become visible so long after the time that stands in it


class Watcher(Reader):
    """What blocks until something happens. A database that is away is waited for, within limits."""

    def wait(self, jobs: Sequence[str], timeout_s: float | None = None) -> builtins.list[Job]:
        """The jobs, in the order given, when all have ended. Raises `WaitTimedOut`, `NoSuchJob`, `Unreachable`."""
        ended = {job.id: job for job in self.wait_each(jobs, timeout_s)}
        return [ended[job] for job in jobs]

    def wait_each(self, jobs: Iterable[str], timeout_s: float | None = None) -> Iterator[Job]:
        """Each job once, as soon as it has ended.

        Raises `WaitTimedOut` after `timeout_s`, which names those that have not; `NoSuchJob` for one that is
        deleted meanwhile; `Unreachable` if the database stays away.
        """
        left = list(dict.fromkeys(jobs))
        for patience_s in self._looks(_SLOW_POLL_S, timeout_s):
            ended = patiently(partial(self._ended, left), patience_s)
            yield from ended
            done = {job.id for job in ended}
            left = [job for job in left if job not in done]
            if not left:
                return
        raise WaitTimedOut(left, timeout_s or 0.0)

    def _ended(self, jobs: Sequence[str]) -> builtins.list[Job]:
        states = self._records.states(jobs)
        return self._records.get_many([job for job in jobs if states[job] in ENDED])

    def watch_each(self, jobs: Iterable[str], timeout_s: float | None = None) -> Iterator[Job]:
        """Each job now, and again after each change, until all have ended. Raises as `wait_each`."""
        left = list(dict.fromkeys(jobs))
        seen: dict[str, Job] = {}
        for patience_s in self._looks(_WATCH_POLL_S, timeout_s):
            found = patiently(partial(self._records.get_many, left), patience_s)
            yield from (job for job in found if seen.get(job.id) != job)
            seen = {job.id: job for job in found}
            left = [job.id for job in found if job.state not in ENDED]
            if not left:
                return
        raise WaitTimedOut(left, timeout_s or 0.0)

    def watch(self, job: str) -> Iterator[Job]:
        """The job now, and again after each change, until it has ended."""
        before: Job | None = None
        for _ in self._looks(_WATCH_POLL_S):
            found = patiently(partial(self.get, job))
            if found != before:
                yield found
            if found.state in ENDED:
                return
            before = found

    def watch_all(self) -> Iterator[builtins.list[Job]]:
        """The jobs that are worked on now; then, after each change, those that changed. Never ends by itself."""
        seen: dict[str, Job] = {}
        since = self.database.now()
        for _ in self._looks(_WATCH_POLL_S):
            now = self.database.now()
            found = patiently(partial(self._current_and_ended, since))
            changed = [job for job in found if seen.get(job.id) != job]
            if changed:
                yield changed
            # Invariant: a job that has ended stays in `seen` as long as it may be found again.
            seen = {job.id: job for job in found}
            since = max(since, now - timedelta(seconds=_OVERLAP_S))

    def _current_and_ended(self, since: datetime) -> builtins.list[Job]:
        known = {job.id: job for job in [*self.current(), *self._records.ended_since(since)]}
        return [known[job] for job in sorted(known)]

    def follow_logs(self, job: str) -> Iterator[HistoryLine]:
        """What a job's tasks logged and will log, until it has ended."""
        last = 0
        for _ in self._looks(_WATCH_POLL_S):
            ended = patiently(partial(self.get, job)).state in ENDED  # asked first: then no line comes after
            for line in patiently(partial(self.logs, job, after=last)):
                yield line
                last = line.seq
            if ended:
                return

    def _looks(self, poll_s: float, timeout_s: float | None = None) -> Iterator[float]:
        """A turn whenever something may have changed, the first at once, the last when the time is over.

        Each turn gets the time, in seconds, that it may bear with a database that is away.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with patiently(partial(Listener, self.database, [Channel.CHANGE])) as listener:
            while True:
                looked_at = time.monotonic()
                left_s = PATIENCE_S if deadline is None else max(0.0, deadline - looked_at)
                yield min(PATIENCE_S, left_s)
                if deadline is not None and time.monotonic() >= deadline:
                    return
                time.sleep(max(0.0, looked_at + _LEAST_S - time.monotonic()))
                listener.wait(poll_s if deadline is None else min(poll_s, max(0.0, deadline - time.monotonic())))
