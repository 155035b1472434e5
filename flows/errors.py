"""What can go wrong in a flow, from its definition to the end of its tasks.

FlowsError
├── NoSuchFlow          no flow of this name is registered; the nearest name is suggested
├── InvalidArguments    arguments do not fit the flow's parameters: all of them are named at once
├── InvalidFlow         a flow or task is defined wrongly
├── GraphNotKnown       a flow's function cannot make its flow here, so its graph is not known
│   └── ArgumentNeeded  it looks at an argument that is not known
├── FlowsNotFound       a module or file with flows cannot be imported
└── TaskError           a task failed in a way that TaskFlow could not have stored
    └── Unstorable      its result is not JSON, or too large
JobCancelled            what TaskFlow sees of a task that was interrupted
└── NotStarted          the same, before the task did anything
Interrupted             what interrupts a task: a BaseException, so that `except Exception` lets it pass
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class FlowsError(Exception):
    """Base of all errors of this package but the interruption itself."""


class NoSuchFlow(FlowsError):
    """No flow of this name is registered."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(names) or 'none'}"
        super().__init__(f"no such flow: {name} ({hint})")
        self.name = name
        self.nearest = near[0] if near else None


@dataclass(frozen=True)
class ArgumentProblem:
    """One argument that does not fit."""

    parameter: str
    message: str


class InvalidArguments(FlowsError):
    """Arguments do not fit the flow's parameters."""

    def __init__(self, flow: str, problems: Iterable[ArgumentProblem]) -> None:
        self.flow = flow
        self.problems = tuple(problems)
        lines = "".join(f"\n  {problem.parameter}: {problem.message}" for problem in self.problems)
        super().__init__(f"flow {flow}: {len(self.problems)} wrong argument(s):{lines}")


class InvalidFlow(FlowsError):
    """A flow or task is defined wrongly. The message says which and how to mend it."""


class GraphNotKnown(FlowsError):
    """A flow's function cannot make its flow here, so its graph is not known. The message says why."""


class ArgumentNeeded(GraphNotKnown):
    """A flow's function looks at an argument that is not known: what it makes depends on it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it depends on the argument {name}")
        self.name = name


class FlowsNotFound(FlowsError):
    """A module or file with flows cannot be imported."""


class TaskError(FlowsError):
    """A task failed with something that TaskFlow cannot store; this says the same in words."""


class Unstorable(TaskError):
    """A task's result is not JSON, or too large."""


class JobCancelled(Exception):
    """A task was interrupted because its job is being cancelled, timed out, or lost its conductor."""

    def __init__(self, reason: str = "", by: str = "") -> None:
        super().__init__(reason, by)
        self.reason = reason
        self.by = by

    def __str__(self) -> str:
        said = f"cancelled by {self.by}" if self.by else "cancelled"
        return f"{said}: {self.reason}" if self.reason else said


class NotStarted(JobCancelled):
    """The flag was up before the task did anything: it has no effect that a revert could undo."""


class Interrupted(BaseException):
    """Raised inside `execute` when the cancel flag is up. Let it pass; `finally` and `with` blocks run."""
