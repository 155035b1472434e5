"""Live pictures on a terminal: a bar for each task of a job, or a line for each job. Drawn by rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from poster.cli import words

if TYPE_CHECKING:
    from jobboard.models import Job, Task

_BAR: Final = 28
_EXECUTE: Final = "cyan"
_DONE: Final = "green"
_REVERT: Final = "yellow"
_FAILED: Final = "red"
_BAR_COLOURS: Final = {
    "success": _DONE,
    "failure": _FAILED,
    "revert_failure": _FAILED,
    "reverting": _REVERT,
    "reverted": _REVERT,
}
_FRAMES_A_SECOND: Final = 8


class Picture:
    """What is on the screen. `draw` changes it; ages go on by themselves."""

    def __init__(self, draw_job: bool) -> None:
        self._one = draw_job
        self._jobs: tuple[Job, ...] = ()

    def draw(self, jobs: Iterable[Job]) -> None:
        """Show these from now on."""
        self._jobs = tuple(jobs)

    def __rich__(self) -> RenderableType:
        now = words.utc_now()
        if self._one:
            return job_picture(self._jobs[0], now) if self._jobs else Text("")
        return jobs_picture(self._jobs, now)


@contextmanager
def picture(*, of_one: bool, colour: bool) -> Iterator[Picture]:
    """A picture on the terminal, which stays as it was last when the block ends."""
    drawn = Picture(of_one)
    console = Console(no_color=not colour, highlight=False, markup=False, emoji=False)
    with Live(drawn, console=console, refresh_per_second=_FRAMES_A_SECOND, redirect_stderr=False):
        yield drawn


def job_picture(job: Job, now: datetime) -> RenderableType:
    """A job: a head, a bar for each task, and what is to be said."""
    parts: list[RenderableType] = [_head(job, now)]
    if job.tasks:
        parts.append(_tasks(job.tasks, now))
    said = words.end_of(job)
    if said:
        parts.append(Text(f"  {words.clean(said)}", style=words.COLOURS.get(job.state, "")))
    return Group(*parts)


def jobs_picture(jobs: Iterable[Job], now: datetime) -> RenderableType:
    """Jobs: a line each."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for job in jobs:
        running = ", ".join(_at_work(task) for task in job.tasks if task.state in ("running", "reverting"))
        table.add_row(
            Text(job.id),
            _state(job.state),
            Text(words.clean(job.flow)),
            _bar(job.progress, _colour_of_job(job)),
            Text(f"{words.percent(job.progress):>5}"),
            Text(words.age(job.started_at, now), style="dim"),
            Text(words.clean(words.end_of(job) or running), style="dim", overflow="ellipsis", no_wrap=True),
        )
    return table if table.row_count else Text("nothing runs now", style="dim")


def _at_work(task: Task) -> str:
    return f"{task.name} (not responding)" if task.not_responding else task.name


def _head(job: Job, now: datetime) -> Text:
    attempt = f"attempt {job.attempt}" if job.attempt > 1 else ""
    elapsed = words.took(((job.finished_at or now) - job.started_at).total_seconds()) if job.started_at else ""
    head = Text.assemble((job.id, "bold"), "  ", words.clean(job.flow), "  ", _state(job.state))
    for part in (words.percent(job.progress), elapsed, attempt):
        if part:
            head.append(f"  {part}", style="dim")
    return head


def _tasks(tasks: Iterable[Task], now: datetime) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for task in tasks:
        table.add_row(
            Text(f"  {words.clean(task.name)}"),
            _state(task.state),
            _task_bar(task),
            Text(_far(task), justify="right"),
            Text(words.task_took(task, now), style="dim", justify="right"),
            _said(task, now),
        )
    return table


def _said(task: Task, now: datetime) -> Text:
    stuck = words.not_responding(task, now)
    style = words.COLOURS["not_responding"] if stuck else "dim"
    return Text(words.clean(stuck or words.detail(task.detail)), style=style, overflow="ellipsis", no_wrap=True)


def _far(task: Task) -> str:
    return "" if task.state in ("pending", "reverted") else words.percent(_left(task))


def _left(task: Task) -> float:
    """How much of a task's work stands: all that it did, less what its revert has undone."""
    if task.state != "reverting" or not task.detail:
        return task.progress
    done, total = task.detail.get("done"), task.detail.get("total")
    undone = done / total if isinstance(done, int | float) and isinstance(total, int | float) and total else 0.0
    return task.progress * (1 - min(1.0, undone))


def _task_bar(task: Task) -> RenderableType:
    return _bar(
        _left(task), _BAR_COLOURS.get(task.state, _EXECUTE), pulse=task.state == "reverting" and not _left(task)
    )


def _bar(progress: float, colour: str, *, pulse: bool = False) -> RenderableType:
    return ProgressBar(
        total=1.0,
        completed=progress,
        width=_BAR,
        pulse=pulse,
        style="bright_black",
        complete_style=colour,
        finished_style=colour,
        pulse_style=colour,
    )


def _colour_of_job(job: Job) -> str:
    return words.COLOURS.get(job.state, _EXECUTE)


def _state(state: str) -> Text:
    return Text(f"{words.ICONS.get(state, ' ')} {state}", style=words.COLOURS.get(state, "dim"))
