"""`poster wait`."""

from __future__ import annotations

from dataclasses import replace

import click

from poster.cli import session
from poster.cli.awaiting import await_ends
from poster.cli.many import finish, on_each, told
from poster.cli.options import DURATION, jobs_argument


@jobs_argument()
@click.option("--timeout", type=DURATION, metavar="D", help="Wait no longer than this; then 124.")
def wait(jobs: tuple[str, ...], timeout: float | None) -> int:
    """Wait until jobs have ended.

    Says how each did, and ends with 0 when all completed, 1 when one failed, 6 when one was cancelled, 124 when
    the time is over. A failed attempt that is followed by an automatic retry is no end. Ctrl-C leaves the jobs
    alone.

    \b
    Examples:
      poster wait 01hx5 && echo done
      poster wait 01hx5 01hx6 --timeout 10m
    """
    out = session.output()
    with session.open_client() as client:
        found = told(replace(out, json=True), on_each(client, jobs, client.get))  # what is wrong is said at once
        results = await_ends(client, out, found, timeout)
    return finish(out, results)
