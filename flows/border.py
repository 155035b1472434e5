"""The border between a task's own code and TaskFlow: what passes, and in which form.

TaskFlow reverts a task only for an `Exception` that it can store. So nothing else leaves `execute`: an
interruption leaves as `JobCancelled`, any other BaseException as a `TaskError` that says the same, a
result that is not JSON as `Unstorable`; all of them without a chain that TaskFlow could not take, and without
the secrets of the job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from taskflow.types.failure import Failure

from flows.errors import Interrupted, JobCancelled, NotStarted, Unstorable
from flows.run_context import RunContext, running, running_task
from flows.secrets import Secrets
from flows.storable import cause_of, check_result, said_of, storable

LOG = logging.getLogger(__name__)


Phase = Literal["execute", "revert"]


Run = Callable[[Callable[[], Any]], Any]
"""The way in which a task's own code is run, so that it can be stopped."""


class AtBorder(Protocol):
    """What the border needs of a task, beside its code."""

    name: str
    phase: Phase | None  # what runs now; nothing interrupts a task but inside execute
    interrupted: bool  # it was interrupted in this run of execute


def execute(task: AtBorder, context: RunContext, code: Callable[[], Any], run: Run) -> Any:
    """Have `run` run `code`, the task's own `execute`, and give its result as plain JSON data.

    Raises `NotStarted` if the flag is up already, `JobCancelled` if it goes up meanwhile, else what the
    code raised, storable. A call from inside of the task itself, such as `super().execute()`, just runs.
    """
    if _is_inside(task):
        return code()
    if context.token.is_set:
        raise _not_started(task, context) from None
    task.interrupted = False
    with _in_phase(task, context, "execute"):
        result, error = _outcome(lambda: _checked(task, context, run(code)))
    error = _verdict(task, context, error)
    return _passed(result, error, context.secrets)


def revert(task: AtBorder, context: RunContext, code: Callable[[], Any], result: object, run: Run) -> Any:
    """Have `run` run `code`, the task's own `revert`, shielded: nothing in it is interrupted by the flag.

    It is not run for a task that never began: what it would remove is not this job's.
    """
    if isinstance(result, Failure) and result.check(NotStarted):
        return None
    if _is_inside(task) and task.phase == "revert":
        return code()
    with _in_phase(task, context, "revert"):
        returned, error = _outcome(lambda: run(code))
        if error is not None:
            LOG.error("its revert failed: %s", said_of(error), exc_info=error)
    _passed(returned, error, context.secrets)
    try:
        return _checked(task, context, returned)
    except Unstorable as problem:
        # What counts is what it has undone.
        LOG.warning("what the revert returned is not stored: %s", problem)
        return None


def guard(code: Callable[[], Any], secrets: Secrets) -> Any:
    """Run `code`, and let nothing out of it but an `Exception` that TaskFlow can store, without `secrets`."""
    return _passed(*_outcome(code), secrets)


def after(task: str, hook: str, code: Callable[[], Any]) -> None:
    """Run one of TaskFlow's hooks after a task. One that raises would leave the task half done: it is logged."""
    try:
        code()
    except BaseException:
        LOG.exception("task %s: %s failed, and was ignored", task, hook)


def _outcome(code: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return code(), None
    except BaseException as raised:  # noqa: BLE001 - the border: it goes on as an Exception
        return None, raised


def _checked(task: AtBorder, context: RunContext, result: object) -> Any:
    return context.secrets.plain(check_result(task.name, result, context.max_result_bytes, context.max_depth))


def _passed(result: Any, error: BaseException | None, secrets: Secrets) -> Any:
    if error is None:
        return result
    # Outside of any except block, so that what was caught does not become its context.
    kept = secrets.error(storable(error))
    try:
        raise kept from cause_of(kept)
    finally:
        del kept, error


@contextmanager
def _in_phase(task: AtBorder, context: RunContext, phase: Phase) -> Iterator[None]:
    # A task that calls its own revert to clean up goes on with its execute after it.
    before = task.phase if running_task() is not None else None
    task.phase = phase
    try:
        with running(task, context, reverting=phase == "revert"):
            yield
    finally:
        task.phase = before


def _is_inside(task: AtBorder) -> bool:
    mark = running_task()
    return mark is not None and mark.owner is task


def _verdict(task: AtBorder, context: RunContext, error: BaseException | None) -> BaseException | None:
    if isinstance(error, NotStarted):
        # Of another task, which this one called: this one has begun, and is to be reverted.
        error = JobCancelled(error.reason, error.by)
    if not context.token.is_set or isinstance(error, JobCancelled):
        return error
    if error is not None:
        if not _is_interruption(error):
            LOG.info("task %s failed while it was being cancelled: %s", task.name, said_of(error))
        return _cancelled(JobCancelled, context)
    if task.interrupted and context.swallowed is not None:
        _tell(task, context.swallowed)
    if context.sealed and not task.interrupted:
        # It finished in time: its revert may need the result. The next task, or the seal, stops the job.
        return None
    return _cancelled(JobCancelled, context)


def _is_interruption(error: BaseException) -> bool:
    """Whether it is nothing else; of several coroutines, each may have been interrupted by itself."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_interruption, error.exceptions))
    return isinstance(error, Interrupted)


def _tell(task: AtBorder, swallowed: Callable[[str], None]) -> None:
    try:
        swallowed(task.name)
    except Exception:
        LOG.exception("task %s swallowed its interruption, which could not be told", task.name)


def _not_started(task: AtBorder, context: RunContext) -> JobCancelled:
    # A task that an earlier conductor had begun may have effects: its revert must not be skipped.
    return _cancelled(JobCancelled if task.name in context.in_flight else NotStarted, context)


def _cancelled(kind: type[JobCancelled], context: RunContext) -> JobCancelled:
    cause = context.token.cause
    made = kind(cause.reason, cause.by) if cause else kind()
    # Its type is what revert looks at, so it must not become words.
    return made if storable(made) is made else kind()
