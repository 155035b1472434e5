"""`poster pause` and `poster resume`."""

from __future__ import annotations

from poster.cli import session
from poster.cli.many import finish, on_each, told
from poster.cli.options import jobs_argument


@jobs_argument()
def pause(jobs: tuple[str, ...]) -> int:
    """Stop jobs between two tasks, results kept.

    A task that runs goes on to its end; then the job is paused, and survives everything stopping. A pending job
    is paused at once. It can be resumed, or cancelled: then what it did is reverted.

    \b
    Examples:
      poster pause 01hx5
      poster list --flow process_files --state pending -q | xargs poster pause
    """
    out = session.output()
    with session.open_client() as client:
        results = told(out, on_each(client, jobs, client.pause))
    return finish(out, results)


@jobs_argument()
def resume(jobs: tuple[str, ...]) -> int:
    """Let paused jobs go on at their next task.

    \b
    Examples:
      poster resume 01hx5
      poster list --state paused -q | xargs poster resume
    """
    out = session.output()
    with session.open_client() as client:
        results = told(out, on_each(client, jobs, client.resume))
    return finish(out, results)
