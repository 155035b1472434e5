"""What people see of an attempt's tasks, kept up with what TaskFlow stores of its atoms.

Pure, and not thread-safe: the journal guards it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, NamedTuple

from jobboard.models import NotResponding, Task, TaskError

SEAL = "countermand.seal"
"""The last task of every flow that a conductor runs. It belongs to no one's picture of the flow."""

CANCELLED_TYPES = frozenset({"flows.errors.JobCancelled", "flows.errors.NotStarted"})
"""Names of the errors that mean: interrupted, nothing is wrong. Stored errors have names only."""

NOT_STARTED = "flows.errors.NotStarted"

_STATES = {
    "PENDING": "pending",
    "IGNORE": "pending",
    "RUNNING": "running",
    "SUCCESS": "success",
    "FAILURE": "failure",
    "REVERTING": "reverting",
    "REVERTED": "reverted",
    "REVERT_FAILURE": "revert_failure",
}
_SEEN = frozenset(_STATES.values())
_UNDONE = frozenset({"reverting", "reverted"})
_BEGINS = frozenset({"running"})
_ENDS = frozenset({"success", "failure", "reverted", "revert_failure"})


class AtomState(NamedTuple):
    """What is stored of a TaskFlow atom."""

    name: str
    state: str | None  # one of TaskFlow's; None as long as there is none
    failure: Mapping[str, Any] | None = None


class TaskView:
    """Tasks by name, in flow order."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        """A task that did not respond to an earlier conductor is not known to be like that here."""
        self._tasks = {task.name: replace(task, not_responding=None) for task in tasks}

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    @property
    def progress(self) -> float:
        """The mean of the tasks' progress."""
        return round(sum(task.progress for task in self) / len(self._tasks), 6) if self._tasks else 0.0

    def copy(self) -> TaskView:
        """One that goes its own way."""
        copied = TaskView(())
        copied._tasks = dict(self._tasks)
        return copied

    def observe(
        self, name: str, atom_state: str | None, failure: Mapping[str, Any] | None, at: str
    ) -> Task | None:
        """Take in an atom's stored state. The task, if that changed what is seen of it; else None."""
        task = self._tasks.get(name)
        state = _STATES.get(atom_state or "PENDING")
        if task is None or state is None:
            return None
        if _never_began(task, state, failure):
            state = "pending"  # again, though TaskFlow had called it running
        if task.state == state:
            return None
        changed = _moved(task, state, failure, at)
        self._tasks[name] = changed
        return changed

    def report(self, name: str, progress: float, detail: dict[str, Any] | None) -> bool:
        """Take in a task's own report. While it reverts, its progress shrinks. Whether anything changed."""
        task = self._tasks.get(name)
        if task is None:
            return False
        if task.state == "reverting":
            changed = replace(task, detail=detail)
        else:
            changed = replace(task, progress=progress, detail=detail)
        self._tasks[name] = changed
        return changed != task

    def mark_not_responding(self, name: str, since: str, stack: str) -> bool:
        """A task runs on though it was asked to stop at `since`: known until its state changes. Whether it is new.

        One that is known keeps its `since`.
        """
        task = self._tasks.get(name)
        if task is None or task.state not in _BEGINS:
            return False
        before = task.not_responding
        self._tasks[name] = replace(task, not_responding=NotResponding(before.since if before else since, stack))
        return before is None


def _never_began(task: Task, state: str, failure: Mapping[str, Any] | None) -> bool:
    """Whether it was stopped before it did anything: TaskFlow calls it failed, and has it reverted.

    By what is seen of it alone: whoever reverts it need not be who stopped it.
    """
    stopped = state == "failure" and failure is not None and NOT_STARTED in failure["exc_type_names"]
    return stopped or (task.state == "pending" and state in _UNDONE)


def _moved(task: Task, state: str, failure: Mapping[str, Any] | None, at: str) -> Task:
    if state == "pending":
        return Task(task.name, irreversible=task.irreversible)
    if state in _BEGINS:
        return Task(task.name, state, started_at=at, irreversible=task.irreversible)
    return replace(
        task,
        state=state,
        progress={"success": 1.0, "reverted": 0.0}.get(state, task.progress),
        finished_at=at if state in _ENDS else None,
        error=error_of(task.name, failure) if failure else task.error,
        not_responding=None,
    )


def error_of(task: str | None, failure: Mapping[str, Any]) -> TaskError | None:
    """What a stored TaskFlow failure says; None for an interruption, which is no error."""
    names = failure["exc_type_names"]
    if CANCELLED_TYPES.intersection(names):
        return None
    return TaskError(task, names[0].removeprefix("builtins."), failure["exception_str"])


def began(tasks: Iterable[Task]) -> int:
    """How many tasks began: these are to be reverted."""
    return sum(task.state != "pending" for task in tasks)


def reverted(tasks: Iterable[Task]) -> int:
    """How many of them were reverted."""
    return sum(task.state == "reverted" for task in tasks)


def to_json(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """Tasks as the record stores them."""
    return [_json_of(task) for task in tasks]


def _json_of(task: Task) -> dict[str, Any]:
    # Not by `asdict`, which takes ten times as long: it is done for each task in each transaction.
    return {
        **vars(task),
        "detail": _plain(task.detail),
        "error": asdict(task.error) if task.error else None,
        "not_responding": asdict(task.not_responding) if task.not_responding else None,
    }


def _plain(detail: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a task reported, in words where it is not JSON: that must not keep the record from being written."""
    if detail is None:
        return None
    try:
        json.dumps(detail, allow_nan=False)
    except (TypeError, ValueError):
        return {str(name): str(value) for name, value in detail.items()}
    return detail


def from_json(stored: Iterable[Mapping[str, Any]]) -> tuple[Task, ...]:
    """Tasks as the record stored them."""
    return tuple(Task(**{**task, **_values(task)}) for task in stored)


def _values(stored: Mapping[str, Any]) -> dict[str, Any]:
    error, not_responding = stored["error"], stored.get("not_responding")
    return {
        "error": TaskError(**error) if error else None,
        "not_responding": NotResponding(**not_responding) if not_responding else None,
    }


def fault_of(stored: object) -> str | None:
    """Why `from_json` cannot read this, or what it would read makes no sense; None if nothing is wrong."""
    if not isinstance(stored, list):
        return "not a list of tasks"
    for number, task in enumerate(stored, 1):
        try:
            sound = isinstance(task, dict) and _is_sound(Task(**{**task, **_values(task)}))
        except (TypeError, KeyError, ValueError, AttributeError):
            sound = False
        if not sound:
            return f"its task {number} is none"
    return None


def _is_sound(task: Task) -> bool:
    stuck_since = task.not_responding.since if task.not_responding else None
    for moment in (task.started_at, task.finished_at, stuck_since):
        if moment is not None:
            datetime.fromisoformat(moment)
    return (
        isinstance(task.name, str)
        and task.state in _SEEN
        and isinstance(task.progress, int | float)
        and isinstance(task.detail, dict | None)
        and isinstance(task.irreversible, bool)
        and (task.error is None or is_error(asdict(task.error)))
        and (task.not_responding is None or isinstance(task.not_responding.stack, str))
    )


def is_error(stored: object) -> bool:
    """Whether this is a `TaskError` as it is stored."""
    if not isinstance(stored, dict) or stored.keys() != {"task", "type", "message"}:
        return False
    task, kind, message = stored["task"], stored["type"], stored["message"]
    return isinstance(task, str | None) and isinstance(kind, str) and isinstance(message, str)
