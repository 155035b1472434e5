"""Chooses the way in which a task's `execute` is run, so that it can be stopped."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from flows.cancel_token import CancelToken
from flows.errors import Interrupted
from flows.interrupt.child import Ears, run_in_child
from flows.interrupt.coroutine import run_coroutine
from flows.interrupt.injection import run_injectable
from flows.run_context import TaskReport, awaits

LOG = logging.getLogger(__name__)

Interrupt = Literal["checkpoint", "thread", "process"]


class Stoppable(Protocol):
    """What is needed of a task."""

    name: str
    interrupt: Interrupt
    interrupted: bool
    kill_after: float

    @property
    def cancel_token(self) -> CancelToken:
        """The flag of its job."""

    no_on_cancel: Callable[..., None]  # what stands in for it in a task that has none

    def on_cancel(self) -> None:
        """Called when the flag goes up."""

    def update_progress(self, progress: float, **detail: Any) -> None:
        """Report how far it is."""


def stoppable(task: Stoppable, code: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
    """Run `code`, the task's own `execute` with these arguments, in the way that the task asks for.

    Blocks until nothing of it runs any more. Raises `Interrupted` when the flag was what ended it.
    """
    token = task.cancel_token

    def interrupting() -> None:
        task.interrupted = True

    told = threading.Event()
    key = token.subscribe(lambda: _tell(task, told))
    try:
        result = _run(task, code, arguments, interrupting)
    except Interrupted:
        task.interrupted = True
        raise
    finally:
        token.unsubscribe(key)
    if told.is_set():
        # Its work was taken away under it: what it returned may be half of it.
        task.interrupted = True
        raise Interrupted(token.cause)
    return result


def _run(
    task: Stoppable, code: Callable[[], Any], arguments: Mapping[str, Any], interrupting: Callable[[], None]
) -> Any:
    token = task.cancel_token
    if task.interrupt == "process":
        return run_in_child(task, arguments, token, _ears(task), task.kill_after, interrupting)
    if task.interrupt == "thread":
        return run_injectable(code, token, interrupting)
    result = code()
    if not inspect.iscoroutine(result):
        return result
    awaits(result)
    return run_coroutine(result, token, interrupting)


def to_its_end(code: Callable[[], Any]) -> Any:
    """Run `code`, a task's own `revert`, whatever the flag says."""
    result = code()
    return run_coroutine(result, None) if inspect.iscoroutine(result) else result


def _tell(task: Stoppable, told: threading.Event) -> None:
    """Call the task's own `on_cancel`, if it has one."""
    if getattr(task.on_cancel, "__func__", None) is task.no_on_cancel:
        return
    told.set()
    try:
        task.on_cancel()
    except Exception:
        LOG.exception("task %s: its on_cancel failed, and was ignored", task.name)


def _ears(task: Stoppable) -> Ears:
    def report(report: TaskReport) -> None:
        # The child was told to stop already: here nothing is to be interrupted.
        try:
            task.update_progress(report.progress, **(report.detail or {}))
        except Interrupted:
            task.interrupted = True

    return Ears(report, lambda level, name, message: logging.getLogger(name).log(level, "%s", message))
