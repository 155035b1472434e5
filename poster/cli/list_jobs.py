"""`poster list`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from jobboard.states import State
from poster.cli import completion, session, words
from poster.cli.exit_codes import DONE
from poster.cli.options import SINCE
from poster.cli.output import Output, Part, say

if TYPE_CHECKING:
    from jobboard.models import Job


@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in State]),
    metavar="STATE",
    help=f"Only these: {', '.join(State)}. May be repeated.",
)
@click.option("--flow", metavar="FLOW", help="Only jobs of this flow.", shell_complete=completion.flows)
@click.option("--since", type=SINCE, metavar="D", help="Posted in the last 2h, or since 2025-01-31.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="No more than this.")
@click.option("--after", metavar="ID", help="Only what comes after this job: the last one of the page before.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids, one a line.")
def list_jobs(
    states: tuple[str, ...],
    flow: str | None,
    since: datetime | None,
    limit: int,
    after: str | None,
    quiet: bool,  # noqa: FBT001, RUF100 - click's
) -> int:
    """List jobs, newest first.

    Long lists are read a page at a time: --after goes on behind the last job of the page before, and however far
    that is, a page takes the same time.

    \b
    Examples:
      poster list
      poster list --state running --state cancelling
      poster list --flow process_files --since 1h --json
      poster list --limit 1000 --after 01hx5
    """
    if after is not None and not after.isalnum():
        raise click.UsageError(f"--after {after!r}: no job has such an id")
    out = session.output()
    with session.open_client() as client:
        wanted = [State(state) for state in states]
        page = client.page(states=wanted, flow=flow, since=since, cursor=after, limit=limit)
        jobs = list(page.jobs) if quiet or out.json else client.explained(page.jobs)
    _print(out, jobs, quiet=quiet)
    if page.next and not (quiet or out.json):
        say(f"there are more: --after {page.next} shows those that follow, --limit more at once")
    return DONE


def _print(out: Output, jobs: list[Job], *, quiet: bool) -> None:
    from poster.job_json import job_document

    if out.json:
        out.document([job.id if quiet else job_document(job) for job in jobs])
    elif quiet:
        for job in jobs:
            out.line(job.id)
    elif jobs:
        now = words.utc_now()
        out.table(
            ("ID", "STATE", "FLOW", "DONE", "AGE", "CONDUCTOR / REASON"), [row(out, job, now) for job in jobs]
        )
    else:
        say("no such jobs")


def row(out: Output, job: Job, now: datetime) -> tuple[Part, ...]:
    """A job on a line."""
    done = words.percent(job.progress)
    who = words.end_of(job) or job.conductor or ""
    return job.id, out.state(job.state), job.flow, f"{done:>5}", words.age(job.posted_at, now), who
