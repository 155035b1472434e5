"""What a job waits for that does not go on, when its record does not say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from jobboard.models import ConductorRow, Job, TaskError
from jobboard.states import UNDOING, State

_NAMED: Final = 3


def explained(
    job: Job,
    conductors: Iterable[ConductorRow],
    now: datetime,
    running: Sequence[str] = (),
    failed: TaskError | None = None,
) -> Job:
    """`job` with a reason, if it is pending or is being undone, has none, and there is one.

    `running` are the jobs of its flow that conductors have now; `failed` says why its last try did.
    """
    if job.reason is not None:
        return job
    if job.state is State.PENDING:
        return replace(job, reason=why_waiting(job, conductors, now, running, failed))
    return replace(job, reason=why_not_stopped(job)) if job.state in UNDOING else job


def why_waiting(
    job: Job,
    conductors: Iterable[ConductorRow],
    now: datetime,
    running: Sequence[str] = (),
    failed: TaskError | None = None,
) -> str | None:
    """What a pending job waits for; None if nothing but its turn."""
    if job.due_at > now:
        return f"waits to be tried again: {failed}" if failed else "waits for its due time"
    alive = [row for row in conductors if row.alive]
    if not alive:
        return "waits: no conductor is alive"
    if not any(job.flow in row.flows for row in alive):
        return f"waits: no live conductor knows the flow {job.flow}"
    if job.max_running is not None and len(running) >= job.max_running:
        more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
        return f"waits for {', '.join(running[:_NAMED])}{more}: flow {job.flow} runs {job.max_running} at a time"
    return None


def why_not_stopped(job: Job) -> str | None:
    """Which tasks hold up a job that is to stop; None if none does."""
    names = [task.name for task in job.tasks if task.not_responding]
    if not names:
        return None
    if len(names) == 1:
        return f"task {names[0]} does not respond to its interruption"
    return f"tasks {', '.join(names)} do not respond to their interruption"
