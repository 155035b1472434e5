"""Names tasks that go on though their job was cancelled or has timed out: in the job, its history and the log."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Final
from weakref import WeakKeyDictionary

from conductor.job_log import about
from conductor.run import JobRun
from flows.cancel_token import CancelKind
from flows.stack import Stack
from jobboard.database import Database

LOG = logging.getLogger(__name__)

_AFTER: Final = {
    CancelKind.USER: "the cancel",
    CancelKind.DELETE: "the cancel",
    CancelKind.TIMEOUT: "its time was over",
}
"""What a task may fail to respond to. A run whose claim is lost can tell no one."""

_AGAIN_S: Final = 1.0  # where a task is that does not respond is stored so often at most


class Unresponsive:
    """Looks at runs whose flag is up. For the watching thread alone; never blocks, writes only to the journal."""

    def __init__(self, database: Database, after_s: float) -> None:
        """`after_s` is what a task gets to stop in, from the moment on at which its flag went up."""
        self._database = database
        self._after_s = after_s
        self._due_s: WeakKeyDictionary[JobRun, float] = WeakKeyDictionary()  # when to look at a run again

    def look_at(self, run: JobRun) -> None:
        """Mark the run's tasks that are still inside of `execute`, with where they are now."""
        asked_s, cause = run.token.set_at_s, run.token.cause
        if asked_s is None or cause is None or cause.kind not in _AFTER or run.journal.lost:
            return
        now_s = time.monotonic()
        if now_s < self._due_s.get(run, asked_s + self._after_s):
            return
        self._due_s[run] = now_s + max(self._after_s, _AGAIN_S)
        for task, stack in run.executing.stacks().items():
            self._mark(run, task, stack, now_s - asked_s, _AFTER[cause.kind])

    def _mark(self, run: JobRun, task: str, stack: Stack, waited_s: float, what: str) -> None:
        since = self._database.now() - timedelta(seconds=waited_s)
        said = f"not responding {waited_s:.1f} s after {what}: at {stack.where}"
        if run.journal.mark_not_responding(task, since, stack.text, said):
            with about(run.claim, task):
                LOG.warning("job %s: task %s: %s", run.claim.job, task, said)
