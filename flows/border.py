"""The border between a task's own code and TaskFlow: what passes, and in which form.

TaskFlow reverts a task only for an `Exception` that it can store. So nothing else leaves `execute`: an
interruption leaves as `JobCancelled`, any other BaseException as a `TaskError` that says the same, a
result that is not JSON as `Unstorable`; all of them without a chain that TaskFlow could not take.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, Protocol

from taskflow.types.failure import Failure

from flows.errors import Interrupted, JobCancelled, NotStarted
from flows.run_context import RunContext, running
from flows.storable import check_result, storable

LOG = logging.getLogger(__name__)


Phase = Literal["execute", "revert"]


class AtBorder(Protocol):
    """What the border needs of a task, beside its code."""

    name: str
    phase: Phase | None  # what runs now; nothing interrupts a task but inside execute
    interrupted: bool  # it was interrupted in this run of execute


def execute(task: AtBorder, context: RunContext, code: Callable[[], Any]) -> Any:
    """Run `code`, the task's own `execute`, and give its result as plain JSON data.

    Raises `NotStarted` if the flag is up already, `JobCancelled` if it goes up meanwhile, else what the
    code raised, storable.
    """
    if context.token.is_set:
        raise _not_started(task, context)
    task.interrupted = False
    task.phase = "execute"
    result: Any = None
    error: BaseException | None = None
    with running(task, context, reverting=False):
        try:
            result = check_result(task.name, code(), context.max_result_bytes)
        except BaseException as raised:  # noqa: BLE001 - the border: it goes on as an Exception below
            error = raised
        finally:
            task.phase = None
    try:
        error = _verdict(task, context, error)
        if error is not None:
            # Outside of the except block, so that what was caught does not become its context.
            raise storable(error) from None if isinstance(error, JobCancelled) else error.__cause__
    finally:
        del error
    return result


def _verdict(task: AtBorder, context: RunContext, error: BaseException | None) -> BaseException | None:
    if not context.token.is_set:
        return error
    if isinstance(error, JobCancelled):
        return error
    if isinstance(error, Interrupted):
        return _cancelled(JobCancelled, context)
    if error is not None:
        LOG.info("task %s failed while it was being cancelled: %r", task.name, error)
        return _cancelled(JobCancelled, context)
    if task.interrupted and context.swallowed is not None:
        context.swallowed(task.name)
    if context.sealed and not task.interrupted:
        # It finished in time: its revert may need the result. The next task, or the seal, stops the job.
        return None
    return _cancelled(JobCancelled, context)


def _not_started(task: AtBorder, context: RunContext) -> JobCancelled:
    # A task that an earlier conductor had begun may have effects: its revert must not be skipped.
    return _cancelled(JobCancelled if task.name in context.in_flight else NotStarted, context)


def _cancelled(kind: type[JobCancelled], context: RunContext) -> JobCancelled:
    cause = context.token.cause
    return kind(cause.reason, cause.by) if cause else kind()


def revert(task: AtBorder, context: RunContext, code: Callable[[], Any], result: object) -> Any:
    """Run `code`, the task's own `revert`, shielded: nothing in it is interrupted by the flag.

    It is not run for a task that never began: what it would remove is not this job's.
    """
    if isinstance(result, Failure) and result.check(NotStarted):
        return None
    error: BaseException | None = None
    task.phase = "revert"
    with running(task, context, reverting=True):
        try:
            return check_result(task.name, code(), context.max_result_bytes)
        except BaseException as raised:  # noqa: BLE001 - the border: it goes on as an Exception below
            error = raised
        finally:
            task.phase = None
    try:
        raise storable(error) from error.__cause__
    finally:
        del error


def hook(name: str, code: Callable[[], Any]) -> None:
    """Run one of TaskFlow's hooks round a task. One that raises would leave the task half done: it is logged."""
    try:
        code()
    except Exception:
        LOG.exception("%s of a task failed, and was ignored", name)
