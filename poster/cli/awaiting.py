"""Waiting for jobs to end, as several commands do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from jobboard.states import ENDED, State
from poster.cli import exit_codes
from poster.cli.ends import of_ended
from poster.cli.many import Result, ended, tell
from poster.cli.output import Output, say
from poster.cli.receipt import Receipts
from poster.errors import WaitTimedOut

if TYPE_CHECKING:
    from jobboard.models import Job
    from poster.client import Client

_NAMED = 3
_FOLLOWED = 20  # of more jobs at once only the ends are told


@contextmanager
def left_alone(jobs: Sequence[str], *commands: str) -> Iterator[None]:
    """Ctrl-C inside leaves the jobs alone, says by which commands one comes back to them, and ends with 130."""
    try:
        yield
    except KeyboardInterrupt:
        left = f"job {jobs[0]} is" if len(jobs) == 1 else "the jobs are"
        say(f"interrupted; {left} left alone. {come_back(jobs, *commands)}")
        raise click.exceptions.Exit(exit_codes.INTERRUPTED) from None


def come_back(jobs: Sequence[str], *commands: str) -> str:
    """How to come back to jobs that one has left."""
    ids = " ".join(jobs) if len(jobs) <= _NAMED else "JOB…"
    return "Come back with: " + " or ".join(f"poster {command} {ids}" for command in commands)


def await_ends(
    client: Client,
    out: Output,
    results: Sequence[Result],
    timeout_s: float | None,
    code_of_end: Callable[[State], int] = of_ended,
    on_end: Callable[[Output, Result], None] = tell,
    *,
    tell_receipt: bool = False,
) -> list[Result]:
    """The same results; those that were accepted replaced by how their jobs ended, each told as it comes.

    After `timeout_s` the rest has timed out. `tell_receipt`: say how the cancels of a few jobs go on, too.
    """
    jobs = list(dict.fromkeys(result.id for result in results if result.ok))
    found: dict[str, Result] = {}
    with left_alone(jobs, "wait", "watch"):
        try:
            for job in _ends(client, jobs, timeout_s, tell_receipt=tell_receipt and not out.json):
                found[job.id] = ended(job, code_of_end(job.state))
                on_end(out, found[job.id])
        except WaitTimedOut as error:
            say(f"{error}, and left alone. {come_back(error.jobs, 'wait')}")
            found |= {job: _timed_out(client, job, error.timeout_s) for job in error.jobs}
    return [replace(found[result.id]) if result.ok else result for result in results]


def _ends(client: Client, jobs: Sequence[str], timeout_s: float | None, *, tell_receipt: bool) -> Iterator[Job]:
    """The jobs as they end."""
    if not jobs:
        return
    if not tell_receipt or len(jobs) > _FOLLOWED:
        yield from client.wait_each(jobs, timeout_s)
        return
    receipts = Receipts()
    for job in client.watch_each(jobs, timeout_s):
        receipts.tell(job)
        if job.state in ENDED:
            yield job


def _timed_out(client: Client, job: str, timeout_s: float) -> Result:
    error = f"not ended after {timeout_s:g} s"
    return Result(job, exit_codes.WAIT_TIMED_OUT, str(client.get(job).state), error)
