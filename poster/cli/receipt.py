"""The receipt of a cancel as it grows: requested, delivered, stopped, reverting 2/5, cancelled."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from jobboard.states import ENDED, State
from poster.cli import words
from poster.cli.output import say

if TYPE_CHECKING:
    from jobboard.models import Cancel, Job


class Receipts:
    """Says each new thing about the cancels of jobs, once."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def tell(self, job: Job) -> None:
        """Say what is new about this one."""
        for step in steps(job):
            if (job.id, step) not in self._said:
                self._said.add((job.id, step))
                say(f"job {job.id}: {step}")


def steps(job: Job) -> list[str]:
    """What has become of a job's cancel so far, step by step. Pure."""
    cancel = job.cancel
    if cancel is None:
        return []
    found = [f"requested by {cancel.by}" + (f": {cancel.reason}" if cancel.reason else "")]
    for what, at in (("delivered", cancel.delivered_at), ("stopped", cancel.stopped_at)):
        if at is not None and cancel.total:
            found.append(f"{what} after {_after(cancel, at)}")
    if job.state is State.CANCELLING and cancel.stopped_at is not None:
        found.append(f"reverting {cancel.reverted}/{cancel.total}")
    if job.state in ENDED:
        found.append(_end(job, cancel))
    return found


def _end(job: Job, cancel: Cancel) -> str:
    counted = f", {cancel.reverted} of {cancel.total} reverted" if cancel.total else ""
    took = f" after {_after(cancel, job.finished_at)}" if job.finished_at else ""
    why = f": {job.reason}" if job.state is State.REVERT_FAILED and job.reason else ""
    return f"{job.state}{counted}{took}{why}"


def _after(cancel: Cancel, at: datetime) -> str:
    return words.took((at - cancel.requested_at).total_seconds())
