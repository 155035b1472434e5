"""What stands in the live pictures of `poster watch`."""

from __future__ import annotations

import io
from datetime import timedelta

from rich.console import Console, RenderableType

from jobboard.models import NotResponding, Task
from jobboard.states import State
from poster.cli.live import job_picture, jobs_picture
from tests.jobs import AT, a_job


def drawn(picture: RenderableType) -> str:
    screen = io.StringIO()
    Console(width=100, file=screen, color_system=None).print(picture)
    return screen.getvalue()


def test_a_task_that_does_not_respond() -> None:
    stuck = NotResponding((AT + timedelta(seconds=48)).isoformat(), "here")
    task = Task("pack", "running", 0.5, {"done": 1}, AT.isoformat(), not_responding=stuck)
    job, now = a_job(State.CANCELLING, tasks=(task,)), AT + timedelta(seconds=60)
    assert "not responding for 12.0 s" in drawn(job_picture(job, now))
    assert "pack (not responding)" in drawn(jobs_picture([job], now))
