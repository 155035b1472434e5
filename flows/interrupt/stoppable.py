"""Chooses the way in which a task's `execute` is run, so that it can be stopped."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol

from flows.cancel_token import CancelToken
from flows.errors import Interrupted
from flows.interrupt.child import Ears, run_in_child
from flows.interrupt.coroutine import run_coroutine
from flows.interrupt.injection import run_injectable
from flows.run_context import TaskReport, awaits

LOG = logging.getLogger(__name__)

Interrupt = Literal["checkpoint", "thread", "process"]

_AGAIN_S: Final = 0.1


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

    herald = _Herald(task)
    key = token.subscribe(herald.tell)
    try:
        result = _run(task, code, arguments, interrupting)
    except Interrupted:
        task.interrupted = True
        raise
    finally:
        token.unsubscribe(key)
        herald.finish()
    if herald.told:
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
    result = run_injectable(code, token, interrupting) if task.interrupt == "thread" else code()
    if not inspect.iscoroutine(result):
        return result
    awaits(result)
    return run_coroutine(result, token, interrupting)


def to_its_end(code: Callable[[], Any]) -> Any:
    """Run `code`, a task's own `revert`, whatever the flag says."""
    result = code()
    return run_coroutine(result, None) if inspect.iscoroutine(result) else result


class _Herald:
    """Calls the task's own `on_cancel`, if it has one, in a thread of its own: it is a user's code.

    Invariant: no call begins after `finish`, and none goes on.
    """

    def __init__(self, task: Stoppable) -> None:
        self._task = task
        self._own = getattr(task.on_cancel, "__func__", None) is not task.no_on_cancel
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def told(self) -> bool:
        """Whether it was called."""
        return self._thread is not None

    def tell(self) -> None:
        """The flag went up."""
        with self._lock:
            if self._own and not self._over.is_set():
                self._thread = threading.Thread(target=self._call, name="on-cancel", daemon=True)
                self._thread.start()

    def finish(self) -> None:
        """`execute` has ended. Blocks until a call that has begun returns."""
        with self._lock:
            self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _call(self) -> None:
        said = False
        while not self._try(quiet=said):
            said = True
            if self._over.wait(_AGAIN_S):
                return

    def _try(self, *, quiet: bool) -> bool:
        try:
            self._task.on_cancel()
        except BaseException:
            if not quiet:
                LOG.exception("task %s: its on_cancel failed, and is called again", self._task.name)
            return False
        return True


def _ears(task: Stoppable) -> Ears:
    def report(report: TaskReport) -> None:
        # The child was told to stop already: here nothing is to be interrupted.
        try:
            task.update_progress(report.progress, **(report.detail or {}))
        except Interrupted:
            task.interrupted = True

    return Ears(report, lambda level, name, message: logging.getLogger(name).log(level, "%s", message))
