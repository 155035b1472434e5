"""`CancelableTask`: a TaskFlow task that stops when its job is cancelled, and then reverts."""

from __future__ import annotations

import contextvars
import functools
import inspect
import logging
import operator
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from taskflow import task as taskflow_task

from flows import border
from flows.cancel_token import CancelToken
from flows.errors import Interrupted, InvalidFlow
from flows.interrupt.command import KILL_AFTER_S, Completed, run_command
from flows.interrupt.injection import sheltered
from flows.interrupt.stoppable import Interrupt, stoppable, to_its_end
from flows.run_context import NOWHERE, RunContext, TaskReport
from flows.storable import plain_detail

LOG = logging.getLogger(__name__)

Item = TypeVar("Item")

_EVERY_S = 0.1  # track looks at the clock at each turn, and reports so often
_MARK = "__countermand__"  # where a wrapped method holds itself: a copy, in a decorator round it, says nothing


class CancelableTask(taskflow_task.Task):
    """A task whose `execute` can be interrupted, and whose effects are then undone by `revert`.

    Write `execute` and `revert` as for any TaskFlow task. In `execute`, call `checkpoint()` (or `track`,
    `sleep`, `update_progress`, which do) wherever the work may stop. When the job is cancelled they raise
    an interruption that `except Exception` does not catch, `finally` and `with` blocks run, TaskFlow calls
    `revert` of this task and of those before it, and the job can be retried.

    `revert` owes three things. It must undo work that stopped half way: then `result` is a
    `taskflow.types.failure.Failure` and not what `execute` returns. It must be idempotent: after a crash it
    may run twice. It must touch only what this job made. Nothing interrupts it; the helpers work in it too.

    Without a name the task is named for its class, in snake_case.
    """

    irreversible: ClassVar[bool] = False
    """Its effect cannot be undone: people are told so before they cancel."""

    interrupt: Interrupt = "checkpoint"
    """How `execute` is stopped if it does not look at the flag by itself.

    "checkpoint": not at all. "thread": the interruption is raised inside of pure Python code, wherever it is;
    a C call has to return first. "process": `execute` runs in a child process, which is terminated and, after
    `kill_after` seconds, killed, whatever it does; the task, its arguments and its result must be picklable. An
    `async def execute` is always cancelled at its `await`.
    """

    kill_after: float = KILL_AFTER_S
    """Seconds between asking a child process to end and killing it."""

    phase: border.Phase | None = None
    interrupted = False
    _context: RunContext = NOWHERE
    _token: CancelToken = NOWHERE.token

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and args[0] is None:
            args = (snake_case(type(self).__name__), *args[1:])
        elif not args and kwargs.get("name") is None:
            kwargs["name"] = snake_case(type(self).__name__)
        if not _is_wrapped(type(self).execute):
            _wrap_all(type(self))  # another base class kept __init_subclass__ to itself
        super().__init__(*args, **kwargs)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _wrap_all(cls)

    @property
    def cancel_token(self) -> CancelToken:
        """The flag of the job this task belongs to."""
        return self._token

    @property
    def job(self) -> str:
        """The id of the job this task belongs to, the same in all its attempts. "" in a plain TaskFlow engine."""
        return self._context.job

    def bind(self, context: RunContext) -> None:
        """Put the task into a job. Conductors do; in a plain TaskFlow engine bind a token of your own.

        A task belongs to one run at a time: make it anew for each flow that runs beside another.
        """
        self._context = context
        self._token = context.token

    def checkpoint(self) -> None:
        """Raise the interruption if the job is to stop. Costs some 50 ns; does nothing inside `revert`."""
        if self._token.is_set:
            self._stop()

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the job is to stop; then raise as `checkpoint` does."""
        if self.phase == "revert":
            time.sleep(seconds)
            return
        with sheltered():  # the flag has a lock, which all tasks of the job share
            stop = self._token.wait(seconds)
        if stop:
            self._stop()

    def track(self, items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
        """Iterate over `items` with a checkpoint at each turn, and report how many are done.

        `total` is how many there are; asked of `items` if it is not given. When it cannot be known,
        only the count is reported.
        """
        expected = total if total is not None else operator.length_hint(items, 0)
        done = 0
        reported = time.monotonic()
        self._report_count(0, expected)
        for item in items:
            self.checkpoint()
            yield item
            done += 1
            now = time.monotonic()
            if now - reported >= _EVERY_S:
                reported = now
                self._report_count(done, expected)
        self._report_count(done, max(done, expected))

    def update_progress(self, progress: float, **detail: Any) -> None:
        """Report how far the task is, from 0 to 1, and a `detail` for people, mostly `done` and `total`.

        A checkpoint too. Cheap enough for tight loops under a conductor, which stores the newest report a
        few times a second; in a plain TaskFlow engine each call is an event of TaskFlow's own. What is not
        plain data in `detail` is shown as text.
        """
        self.checkpoint()
        within = min(1.0, max(0.0, progress))
        detail = self._context.secrets.plain(plain_detail(detail))
        if self._context.report is not None and self.phase is not None:
            self._context.report(TaskReport(self.name, within, detail or None))
        else:
            self.notifier.notify(taskflow_task.EVENT_UPDATE_PROGRESS, {"progress": within, **detail})

    def run(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        check: bool = True,
        kill_after: float = KILL_AFTER_S,
    ) -> Completed:
        """Run a command, without a shell, and have each line it writes in the job's log.

        Blocks until it has ended. When the job is to stop, the command and all that it started are terminated,
        and killed `kill_after` seconds later; then the interruption is raised. Inside `revert` it runs to its
        end. Raises `CommandFailed` for a code other than 0 unless `check` is False, and `OSError` if it cannot
        be started. `output` of what it returns holds the last 1,000 lines.
        """
        mine = contextvars.copy_context()  # the lines come in another thread, and belong to this task
        try:
            with sheltered():
                return run_command(
                    args,
                    token=None if self.phase == "revert" else self._token,
                    on_line=lambda line: mine.run(LOG.info, "%s", line),
                    cwd=cwd,
                    env=env,
                    stdin=stdin,
                    check=check,
                    kill_after_s=kill_after,
                )
        except Interrupted:
            self.interrupted = True
            raise

    def on_cancel(self) -> None:
        """Called in a thread of its own when the job is to stop while `execute` runs; does nothing by itself.

        For work that never looks at the flag but ends when something is taken away from it: close the socket,
        abort the request, stop the device. It may come before `execute` has made what is to be taken away: one
        that raises is called again, until it succeeds or `execute` has ended. The job waits for it to return.
        What `execute` then raises counts as the interruption.
        """

    no_on_cancel = staticmethod(on_cancel)

    def _report_count(self, done: int, expected: int) -> None:
        total = max(done, expected) if expected else None
        self.update_progress(done / total if total else 0.0, done=done, total=total)

    def _stop(self) -> None:
        # TaskFlow itself calls update_progress round execute and revert: nothing may be raised there.
        if self.phase == "execute":
            self.interrupted = True
            raise Interrupted(self._token.cause)


def bind(atom: Any, context: RunContext) -> None:
    """Put any TaskFlow task into a job.

    A task that is no `CancelableTask` can be stopped only before it starts; its results and errors pass
    the same border.
    """
    if isinstance(atom, CancelableTask):
        atom.bind(context)
        return
    guest = _Guest(atom.name, context)
    for name, around in _AROUND.items():
        raw = getattr(atom, name)
        setattr(atom, name, _at_guest(guest, around, getattr(raw, _MARK, raw)))


@dataclass
class _Guest:
    """What the border keeps of a task that is none of ours: its own attributes are its own."""

    name: str
    _context: RunContext
    phase: border.Phase | None = None
    interrupted: bool = False


def _at_guest(guest: _Guest, around: Around, raw: Callable[..., Any]) -> Callable[..., Any]:
    def method(*args: Any, **kwargs: Any) -> Any:
        return around(guest, functools.partial(raw, *args, **kwargs), kwargs)

    setattr(method, _MARK, raw)
    return method


def snake_case(name: str) -> str:
    """`PackFiles` as `pack_files`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


# What stands round each method that TaskFlow calls


def _at_execute(task: _Bound, code: Callable[[], Any], arguments: dict[str, Any]) -> Any:
    def run(code: Callable[[], Any]) -> Any:
        return stoppable(task, code, arguments) if isinstance(task, CancelableTask) else code()

    return border.execute(task, task._context, code, run)  # noqa: SLF001 - the wrapper is part of the class


def _at_revert(task: _Bound, code: Callable[[], Any], arguments: dict[str, Any]) -> Any:
    return border.revert(task, task._context, code, arguments.get("result"), to_its_end)  # noqa: SLF001


def _before(task: _Bound, code: Callable[[], Any], _arguments: dict[str, Any]) -> Any:
    return border.guard(code, task._context.secrets)  # noqa: SLF001


def _after(hook: str, task: _Bound, code: Callable[[], Any], _arguments: dict[str, Any]) -> None:
    border.after(task.name, hook, code)


_Bound = CancelableTask | _Guest
Around = Callable[[_Bound, Callable[[], Any], dict[str, Any]], Any]

_AROUND: Final[dict[str, Around]] = {
    "execute": _at_execute,
    "revert": _at_revert,
    "pre_execute": _before,
    "post_execute": functools.partial(_after, "post_execute"),
    "pre_revert": _before,
    "post_revert": functools.partial(_after, "post_revert"),
}
_EMPTY_HOOKS: Final = [inspect.getattr_static(taskflow_task.Task, name) for name in _AROUND if "_" in name]


def _is_wrapped(method: object) -> bool:
    return method is not None and getattr(method, _MARK, None) is method


def _wrap_all(cls: type[CancelableTask]) -> None:
    for name, around in _AROUND.items():
        _wrap(cls, name, around)


def _wrap(cls: type[CancelableTask], name: str, around: Around) -> None:
    """Put `around` round the method `name` that `cls` ends up with, once, wherever in its MRO it comes from."""
    raw = inspect.getattr_static(cls, name)
    if getattr(raw, "__isabstractmethod__", False) or _is_wrapped(raw) or raw in _EMPTY_HOOKS:
        return
    function = raw.__func__ if isinstance(raw, staticmethod | classmethod) else raw
    _refuse_what_hides_its_result(cls, name, function)
    if name == "revert":
        _refuse_what_takes_no_result(cls, raw)

    @functools.wraps(function)
    def method(self: CancelableTask, *args: Any, **kwargs: Any) -> Any:
        return around(self, functools.partial(raw.__get__(self, type(self)), *args, **kwargs), kwargs)

    signature = inspect.signature(function)
    if isinstance(raw, staticmethod):
        # TaskFlow reads the bound signature: without one more parameter it would take the first for `self`.
        me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        signature = signature.replace(parameters=[me, *signature.parameters.values()])
    # Kept: it would be worked out several times for each task of each job.
    method.__signature__ = signature  # type: ignore[attr-defined]
    setattr(method, _MARK, method)
    setattr(cls, name, method)


def _refuse_what_hides_its_result(cls: type, name: str, function: object) -> None:
    if not inspect.isfunction(function):
        raise InvalidFlow(f"{cls.__name__}.{name} is a {type(function).__name__}: write it as a plain method")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidFlow(f"{cls.__name__}.{name} is a generator: return a value instead of yielding")
    if inspect.iscoroutinefunction(function) and name not in ("execute", "revert"):
        raise InvalidFlow(f"{cls.__name__}.{name} is a coroutine function: only execute and revert can be")


def _refuse_what_takes_no_result(cls: type, raw: Any) -> None:
    try:
        inspect.signature(raw.__get__(cls, cls)).bind_partial(result=None, flow_failures=None)
    except TypeError:
        raise InvalidFlow(
            f"{cls.__name__}.revert must take `result` and `flow_failures`, or **kwargs: TaskFlow hands it both"
        ) from None
