"""What a task knows of the job it runs in. A conductor binds one to each task of a compiled flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flows.cancel_token import CancelToken
from flows.executing import Executing
from flows.secrets import NONE, Secrets
from flows.storable import MAX_DEPTH

MAX_RESULT_BYTES: Final = 1_000_000


@dataclass(frozen=True)
class TaskReport:
    """A task's own word on how far it is."""

    task: str
    progress: float  # 0 to 1
    detail: dict[str, Any] | None  # mostly {done, total}


@dataclass(frozen=True)
class RunContext:
    """The job around a task: its flag, and where the task's reports go."""

    token: CancelToken = field(default_factory=CancelToken)
    report: Callable[[TaskReport], None] | None = None  # None: TaskFlow's own progress event
    swallowed: Callable[[str], None] | None = None  # told of a task that went on though it was interrupted
    in_flight: frozenset[str] = frozenset()  # tasks that a conductor before this one had begun
    job: str = ""  # its id, the same over all attempts and conductors; "" in a plain TaskFlow engine
    flow: str = ""  # the name it is registered by
    attempt: int = 0
    sealed: bool = False  # a Seal ends the flow, so a task that finished in time may keep its result
    max_result_bytes: int = MAX_RESULT_BYTES
    max_depth: int = MAX_DEPTH  # of lists and objects in a result
    executing: Executing | None = None  # told which thread is inside of which task's `execute`
    secrets: Secrets = NONE  # replaced in whatever leaves the task


NOWHERE: Final = RunContext()
"""The context of a task that no one bound: its flag is never raised."""


class Closes(Protocol):
    """What is closed when a task ends."""

    def close(self) -> None:
        """Called once, in the task's thread, while the task is still marked as running there."""


@dataclass(frozen=True)
class Running:
    """A task that runs here and now."""

    task: str
    owner: object  # the task itself
    context: RunContext
    reverting: bool
    closing: dict[object, Closes] = field(default_factory=dict, repr=False, compare=False)  # what ends with it


_running: ContextVar[Running | None] = ContextVar("countermand_running", default=None)


def running_task() -> Running | None:
    """The task whose `execute` or `revert` this code belongs to, or None."""
    return _running.get()


@contextmanager
def running(task: Any, context: RunContext, *, reverting: bool) -> Iterator[None]:
    """Mark this thread, and what is started from it with its context, as running `task`."""
    executing = None if reverting else context.executing
    mark = Running(task.name, task, context, reverting)
    reset = _running.set(mark)
    try:
        with executing.inside(task.name) if executing is not None else nullcontext():
            yield
    finally:
        try:
            for left in tuple(mark.closing.values()):
                left.close()
        finally:
            _running.reset(reset)


def awaits(coroutine: Any) -> None:
    """Say that the work of the task that runs here is this coroutine."""
    mark = running_task()
    if mark is not None and mark.context.executing is not None and not mark.reverting:
        mark.context.executing.awaits(mark.task, coroutine)
