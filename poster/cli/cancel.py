"""`poster cancel`."""

from __future__ import annotations

import click

from poster.cli import session
from poster.cli.awaiting import await_ends
from poster.cli.ends import of_cancelled
from poster.cli.many import finish, on_each, told
from poster.cli.options import jobs_argument, wait_options


@jobs_argument
@click.option("--reason", metavar="TEXT", help="Why: the job's history will tell.")
@wait_options
def cancel(jobs: tuple[str, ...], reason: str | None, wait: bool, wait_timeout: float | None) -> int:  # noqa: FBT001, RUF100 - click's
    """Cancel jobs, and revert what they did.

    Running tasks are interrupted, and everything done so far is reverted. A job that has not begun is cancelled
    at once. An accepted cancel ends in cancelled, or in revert_failed, which names what was not reverted; a cancel
    that comes too late is refused (5).

    \b
    Examples:
      poster cancel 01hx5
      poster cancel 01hx5 --reason "wrong folder" --wait
      poster list --flow process_files --state pending -q | xargs poster cancel
    """
    out = session.output()
    with session.open_client() as client:
        results = told(out, on_each(client, jobs, lambda job: client.cancel(job, reason)))
        if wait or wait_timeout is not None:
            results = await_ends(client, out, results, wait_timeout, of_cancelled)
    return finish(out, results)
