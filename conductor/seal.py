"""The last task of every flow: it moves the record to completed, or stops the job at the last moment."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from taskflow import task

from flows.errors import JobCancelled
from jobboard.states import State
from jobboard.task_view import SEAL


class Seal(task.Task):
    """Completes the job by compare-and-set. If a cancel was accepted before, TaskFlow reverts everything.

    A flow that TaskFlow calls a success cannot be reverted any more; so the question which was first, the
    cancel or the end, is answered inside of the flow, by one UPDATE.
    """

    def __init__(self, complete: Callable[[], State]) -> None:
        super().__init__(name=SEAL)
        self._complete = complete

    def execute(self) -> None:
        """Complete the job. Raises `JobCancelled` if its state does not allow that any more."""
        state = self._complete()
        if state is not State.COMPLETED:
            raise JobCancelled(f"the job was {state} when its last task had ended")

    def revert(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing is to be undone: a seal that did not hold changed nothing."""


for _method in (Seal.execute, Seal.revert):  # kept: TaskFlow would work it out several times for each job
    _method.__signature__ = inspect.signature(_method)  # type: ignore[attr-defined]
