"""Why a pending job waits, when its record does not say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from jobboard.models import ConductorRow, Job
from jobboard.states import State


def explained(job: Job, conductors: Iterable[ConductorRow], now: datetime) -> Job:
    """`job` with a reason, if it is pending, has none, and there is one."""
    if job.state is not State.PENDING or job.reason is not None:
        return job
    return replace(job, reason=why_waiting(job, conductors, now))


def why_waiting(job: Job, conductors: Iterable[ConductorRow], now: datetime) -> str | None:
    """What a pending job waits for; None if nothing but its turn."""
    if job.due_at > now:
        return "waits for its due time"
    alive = [row for row in conductors if row.alive]
    if not alive:
        return "waits: no conductor is alive"
    if not any(job.flow in row.flows for row in alive):
        return f"waits: no live conductor knows the flow {job.flow}"
    return None
