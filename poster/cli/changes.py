"""What changed between two looks at a job, as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from jobboard.states import State
from poster.cli import words

if TYPE_CHECKING:
    from jobboard.models import Job, Task

_STEP: Final = 0.1  # progress is worth a line each tenth
_MOVES: Final = frozenset({"running", "reverting"})
JOB: Final = "job"


@dataclass(frozen=True)
class Change:
    """One line."""

    at: datetime
    what: str  # `job`, or the task's name
    state: str
    said: str


def changes(before: Job | None, after: Job, now: datetime) -> list[Change]:
    """The changes that lead from `before` (None: nothing was seen yet) to `after`, in the order of their times.

    Tasks that nothing was heard of are left out. States that passed between two looks are not told.
    """
    same_attempt = before is not None and before.attempt == after.attempt
    known = {task.name: task for task in before.tasks} if before is not None and same_attempt else {}
    found = [change for task in after.tasks if (change := _of_task(known.get(task.name), task, now))]
    if before is None or (before.state, before.attempt, before.reason) != (
        after.state,
        after.attempt,
        after.reason,
    ):
        found.append(Change(_when(before, after, now), JOB, str(after.state), _why(after)))
    return sorted(found, key=lambda change: change.at)


def _of_task(before: Task | None, after: Task, now: datetime) -> Change | None:
    if before is None and after.state == "pending":
        return None
    if before is not None and before.state == after.state and not _is_worth_a_line(before, after):
        return None
    return Change(_task_when(after, now), after.name, after.state, ", ".join(_said(after, now)))


def _is_worth_a_line(before: Task, after: Task) -> bool:
    return _went_on(before, after) or (after.not_responding is not None and before.not_responding is None)


def _went_on(before: Task, after: Task) -> bool:
    steps = int(before.progress / _STEP + 1e-9) != int(after.progress / _STEP + 1e-9)
    return after.state in _MOVES and (steps or (before.detail != after.detail and _tenth(before) != _tenth(after)))


def _tenth(task: Task) -> int:
    """How many tenths of what is counted are done: a revert counts too, while its progress stands still."""
    done, total = (task.detail or {}).get("done"), (task.detail or {}).get("total")
    return int(done / total / _STEP + 1e-9) if isinstance(done, int | float) and total else 0


def _said(task: Task, now: datetime) -> Iterator[str]:
    if task.not_responding:
        yield words.not_responding(task, now)
    if task.state == "running" and task.progress:
        yield words.percent(task.progress)
    if task.state in _MOVES and task.detail:
        yield words.detail(task.detail)
    if task.finished_at:
        yield words.task_took(task, now)
    if task.error and task.state in ("failure", "revert_failure"):
        yield words.error(task.error)


def _task_when(task: Task, now: datetime) -> datetime:
    if task.finished_at:
        return datetime.fromisoformat(task.finished_at)
    begins = task.state == "running" and not task.progress and not task.not_responding
    return datetime.fromisoformat(task.started_at) if begins and task.started_at else now


def _when(before: Job | None, job: Job, now: datetime) -> datetime:
    if job.state is State.CANCELLING and job.cancel:
        return job.cancel.requested_at
    if job.state is State.RUNNING and (before is None or before.started_at is None):
        return job.started_at or now
    return job.finished_at or now


def _why(job: Job) -> str:
    if job.state is State.CANCELLING and job.cancel:
        return f"cancel by {job.cancel.by}" + (f": {job.cancel.reason}" if job.cancel.reason else "")
    if job.state is State.RUNNING:
        return f"on {job.conductor}" + (f", attempt {job.attempt}" if job.attempt > 1 else "")
    return words.end_of(job)
