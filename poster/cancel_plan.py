"""What a cancel of a job would do, told before it is asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jobboard import decisions
from jobboard.decisions import Accept, Refuse
from jobboard.errors import Refused
from jobboard.models import Job, Task
from jobboard.states import State


@dataclass(frozen=True)
class CancelPlan:
    """Tasks by what a cancel now would mean for them."""

    job: str
    state: State  # as it is
    target: State  # which the cancel would lead to at once
    reverted: tuple[str, ...]  # in the order of their reverts
    irreversible: tuple[str, ...]  # have begun, and their effect cannot be undone
    not_started: tuple[str, ...]


def plan_of(job: Job) -> CancelPlan:
    """The plan for a job with all its tasks. Raises `Refused` where the cancel would be."""
    decision = decisions.on_cancel(job.state, begun=job.begun, kept=job.kept)
    if isinstance(decision, Refuse):
        raise Refused(job.id, job.state, decision.why)
    begun = [task for task in reversed(job.tasks) if task.state not in ("pending", "reverted")]
    return CancelPlan(
        job=job.id,
        state=job.state,
        target=decision.target if isinstance(decision, Accept) else job.state,
        reverted=_names(task for task in begun if not task.irreversible),
        irreversible=_names(task for task in begun if task.irreversible),
        not_started=_names(task for task in job.tasks if task.state == "pending"),
    )


def _names(tasks: Iterable[Task]) -> tuple[str, ...]:
    return tuple(task.name for task in tasks)
