"""Frozen values that the jobboard gives out: a job, its tasks, its cancel, a line of its history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jobboard.states import State

JsonValue = Any
"""What `json.loads` can return."""

PRIORITIES: Final = ("very_high", "high", "normal", "low", "very_low")
"""TaskFlow's priorities, first served first; a record stores the index."""


def priority_name(index: object) -> str:
    """The name of a stored priority; the usual one for what is none: a malformed record is served, too."""
    return PRIORITIES[index] if isinstance(index, int) and index in range(len(PRIORITIES)) else "normal"


@dataclass(frozen=True)
class NewJob:
    """One job to post. Arguments are validated and JSON already."""

    flow: str
    arguments: dict[str, JsonValue]
    priority: str = "normal"
    due_at: datetime | None = None  # None: now
    key: str | None = None
    timeout_s: float | None = None
    max_retries: int = 0
    retry_interval_s: float = 60.0
    max_running: int | None = None
    on_failure: str = "revert"
    masked: tuple[str, ...] = ()  # names of arguments that no one is shown


@dataclass(frozen=True)
class TaskError:
    """Why a job failed."""

    task: str | None  # None: not the fault of a task
    type: str
    message: str

    def __str__(self) -> str:
        """`pack: OSError: no space left`."""
        said = f"{self.type}: {self.message}" if self.message else self.type
        return f"{self.task}: {said}" if self.task else said


@dataclass(frozen=True)
class NotResponding:
    """A task goes on though its job is to stop."""

    since: str  # ISO 8601, UTC: when it was asked to stop
    stack: str  # where it is, as in a traceback, the innermost line last


@dataclass(frozen=True)
class Task:
    """One step of the current attempt, in flow order."""

    name: str
    state: str = "pending"  # pending running success failure reverting reverted revert_failure
    progress: float = 0.0  # 0 to 1
    detail: dict[str, JsonValue] | None = None  # what the task reports, mostly {done, total}
    started_at: str | None = None  # ISO 8601, UTC
    finished_at: str | None = None
    error: TaskError | None = None
    irreversible: bool = False
    not_responding: NotResponding | None = None


@dataclass(frozen=True)
class Cancel:
    """The receipt of the current attempt's cancel."""

    requested_at: datetime
    by: str
    reason: str | None
    delivered_at: datetime | None  # the flag was raised in the conductor
    stopped_at: datetime | None  # the last running task had ended
    reverted: int  # tasks reverted so far
    total: int  # tasks that had begun, so are to be reverted


@dataclass(frozen=True)
class Job:
    """A record as read at one moment."""

    id: str
    flow: str
    arguments: dict[str, JsonValue]
    state: State
    progress: float
    attempt: int
    priority: str
    reason: str | None  # why it stands where it stands, in words; None when that is plain
    error: TaskError | None
    key: str | None
    posted_at: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    conductor: str | None
    cancel: Cancel | None
    results: dict[str, JsonValue] | None
    tasks: tuple[Task, ...]
    epoch: int = field(default=0, repr=False)
    begun: bool = field(default=False, repr=False)  # a conductor had it in this attempt
    kept: bool = field(default=False, repr=False)  # it failed, and its results are kept
    deleting: bool = field(default=False, repr=False)  # it is removed once it is cancelled
    max_running: int | None = field(default=None, repr=False)  # so many jobs of its flow at once


@dataclass(frozen=True)
class Page:
    """Jobs, newest first, and where the list goes on."""

    jobs: tuple[Job, ...]
    next: str | None  # the last job's id if there are more: it is the next page's cursor


@dataclass(frozen=True)
class HistoryLine:
    """One thing that happened to a job."""

    seq: int
    job: str
    attempt: int
    at: datetime
    kind: str  # state, task, log
    task: str | None
    state: str | None  # the state that was reached; the level, for a log line
    by: str | None
    message: str | None
    data: dict[str, JsonValue] | None


@dataclass(frozen=True)
class Hour:
    """How many jobs were posted in an hour, and how many ended in it."""

    begins_at: datetime  # a full hour, UTC
    posted: int
    completed: int
    failed: int
    cancelled: int
    revert_failed: int


@dataclass(frozen=True)
class ConductorRow:
    """A conductor as it last reported."""

    name: str
    owner: str  # host:pid:random, new for each process
    host: str
    pid: int
    slots: int
    flows: tuple[str, ...]
    started_at: datetime
    seen_at: datetime
    alive: bool
    jobs: tuple[str, ...]

    @property
    def busy(self) -> int:
        """How many slots are: of the jobs that it has, some may wait for one."""
        return min(len(self.jobs), self.slots)
