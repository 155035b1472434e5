"""`poster show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jobboard.states import State
from poster.cli import session, words
from poster.cli.exit_codes import DONE
from poster.cli.options import job_argument
from poster.cli.output import GAP, Output, Part, Styled, bold, dim

if TYPE_CHECKING:
    from datetime import datetime

    from jobboard.models import Cancel, Job, Task


@job_argument
def show(job: str) -> int:
    """Show a job: error, state, tasks, what to do next.

    Also what it waits for, what became of its cancel, its arguments and results.

    \b
    Examples:
      poster show 01hx5
      poster show 01hx5 --json
    """
    from poster.job_json import job_document

    out = session.output()
    with session.open_client() as client:
        found = client.show(client.resolve(job))
    if out.json:
        out.document(job_document(found))
    else:
        _print(out, found, words.utc_now())
    return DONE


def _print(out: Output, job: Job, now: datetime) -> None:
    if job.error:
        out.line(Styled(f"error  {words.error(job.error)}", "red", bold=True))
        out.line()
    out.line(bold(job.id), GAP, job.flow, GAP, out.state(job.state), GAP, _how_far(job))
    if job.reason:
        out.line("  ", job.reason)
    out.line()
    out.fields(_facts(job, now), indent="  ")
    _print_tasks(out, job, now)
    _print_values(out, "arguments", job.arguments)
    _print_values(out, "results", job.results or {})
    _print_hints(out, job)


def _how_far(job: Job) -> Styled:
    attempt = f", attempt {job.attempt}" if job.attempt > 1 else ""
    return dim(f"{words.percent(job.progress)}{attempt}")


def _facts(job: Job, now: datetime) -> dict[str, Part | None]:
    return {
        "posted": _ago(job.posted_at, now),
        "due": words.moment(job.due_at) if job.due_at > now and job.state is State.PENDING else None,
        "started": _ago(job.started_at, now),
        "finished": _finished(job, now),
        "conductor": job.conductor,
        "priority": job.priority if job.priority != "normal" else None,
        "key": job.key,
        "cancel": _receipt(job.cancel) if job.cancel else None,
    }


def _ago(value: datetime | None, now: datetime) -> str | None:
    return f"{words.moment(value)}  ({words.age(value, now)} ago)" if value else None


def _finished(job: Job, now: datetime) -> str | None:
    if job.finished_at is None or job.started_at is None:
        return _ago(job.finished_at, now)
    return f"{_ago(job.finished_at, now)} after {words.took((job.finished_at - job.started_at).total_seconds())}"


def _receipt(cancel: Cancel) -> str:
    """What became of a cancel, and how fast."""
    said = [f"asked for by {cancel.by} {words.moment(cancel.requested_at)}"]
    if cancel.reason:
        said[0] += f": {cancel.reason}"
    for what, at in (("delivered", cancel.delivered_at), ("stopped", cancel.stopped_at)):
        if at is not None:
            said.append(f"{what} after {words.took((at - cancel.requested_at).total_seconds())}")
    if cancel.total:
        said.append(f"{cancel.reverted} of {cancel.total} reverted")
    return "; ".join(said)


def _print_tasks(out: Output, job: Job, now: datetime) -> None:
    if not job.tasks:
        return
    out.line()
    out.line(bold("tasks"))
    stacks = {number: task.not_responding.stack for number, task in enumerate(job.tasks) if task.not_responding}
    out.table((), [_task_row(out, task, now) for task in job.tasks], indent="  ", under=stacks)
    for task in job.tasks:
        if task.error:
            out.line("  ", Styled(words.error(task.error), "red"))


def _task_row(out: Output, task: Task, now: datetime) -> tuple[Part, ...]:
    at = " - ".join(words.clock(_parsed(time)) for time in (task.started_at, task.finished_at) if time)
    far = words.percent(task.progress) if task.state in ("running", "failure") else ""
    stuck = words.not_responding(task, now)
    said = (stuck, words.detail(task.detail), "irreversible" * task.irreversible)
    marks = "  ".join(word for word in said if word)
    shown = Styled(marks, words.COLOURS["not_responding"]) if stuck else dim(marks)
    return task.name, out.state(task.state), dim(at), f"{words.task_took(task, now):>10}", f"{far:>5}", shown


def _parsed(text: str) -> datetime:
    from datetime import datetime

    return datetime.fromisoformat(text)


def _print_values(out: Output, title: str, values: dict[str, object]) -> None:
    if values:
        out.line()
        out.line(bold(title))
        out.fields({name: words.value(value) or '""' for name, value in values.items()}, indent="  ")


def _print_hints(out: Output, job: Job) -> None:
    hints = _KEPT if job.kept and job.state is State.FAILED else _HINTS[job.state]
    if hints:
        out.line()
        out.line(bold("next"))
        out.table((), [(f"poster {command} {job.id}", dim(what)) for command, what in hints], indent="  ")


_WATCH: Final = ("watch", "see it go on")
_CANCEL: Final = ("cancel", "stop it and revert what it did")
_RETRY: Final = ("retry", "begin a new attempt")
_HISTORY: Final = ("history", "what happened, line by line")

_HINTS: Final[dict[State, tuple[tuple[str, str], ...]]] = {
    State.PENDING: (_WATCH, ("cancel", "take it back")),
    State.RUNNING: (_WATCH, _CANCEL),
    State.PAUSING: (_WATCH, _CANCEL),
    State.PAUSED: (("resume", "go on at the next task"), _CANCEL),
    State.CANCELLING: (_WATCH,),
    State.REVERTING: (_WATCH, ("cancel", "let no automatic retry follow")),
    State.COMPLETED: (("result", "what its tasks provide"), _HISTORY),
    State.FAILED: (_RETRY, _HISTORY),
    State.CANCELLED: (_RETRY, _HISTORY),
    State.REVERT_FAILED: (
        _HISTORY,
        ("retry --cleanup", "run the failed reverts again, then those that never ran"),
        ("retry --force --reason T", "cleaned up by hand: begin a new attempt"),
        ("delete --force --reason T", "cleaned up by hand: remove it"),
    ),
}
_KEPT: Final = (
    ("retry", "go on at the task that failed"),
    ("cancel", "revert what it kept"),
    _HISTORY,
)
