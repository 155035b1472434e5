"""`poster watch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from poster.cli import completion, exit_codes, session, words
from poster.cli.awaiting import left_alone
from poster.cli.changes import JOB, Change, changes
from poster.cli.ends import of_ended
from poster.cli.output import GAP, Output, Part, dim, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobboard.models import Job
    from poster.client import Client


@click.argument("job", required=False, shell_complete=completion.jobs)
def watch(job: str | None) -> int:
    """Watch a job until it ends, or all jobs that run.

    Without JOB it goes on until Ctrl-C, which leaves jobs alone. On a terminal each task has a bar, which tells
    execute and revert apart; elsewhere each change is a line, with --json the job as it then is. Ends like
    `poster wait`.

    \b
    Examples:
      poster watch 01hx5
      poster watch
      poster watch 01hx5 --json | jq -r .progress
    """
    out = session.output()
    with session.open_client() as client:
        if job is None:
            return _watch_all(out, client)
        return _watch_one(out, client, client.resolve(job))


def _watch_one(out: Output, client: Client, job: str) -> int:
    with left_alone([job], "watch", "wait"):
        looks = client.watch(job)
        last = _draw_one(out, looks) if out.live else _print_one(out, looks)
    return of_ended(last.state)


def _draw_one(out: Output, looks: Iterator[Job]) -> Job:
    from poster.cli.live import picture

    with picture(of_one=True, colour=out.colour) as drawn:
        for found in looks:
            drawn.draw([found])
    return found


def _print_one(out: Output, looks: Iterator[Job]) -> Job:
    before: Job | None = None
    for found in looks:
        if out.json:
            _json_line(out, found)
        else:
            for change in changes(before, found, words.utc_now()):
                out.line(*_parts(out, change))
        before = found
    if before is None:
        raise RuntimeError("a watch gives the job as it is at least once")
    return before


def _watch_all(out: Output, client: Client) -> int:
    looks = client.watch_all()
    try:
        if out.live:
            _draw_all(out, looks)
        else:
            _print_all(out, looks)
    except KeyboardInterrupt:
        say("interrupted; the jobs are left alone. Come back with: poster watch")
    return exit_codes.INTERRUPTED


def _draw_all(out: Output, looks: Iterator[list[Job]]) -> None:
    from poster.cli.live import picture

    shown: dict[str, Job] = {}
    with picture(of_one=False, colour=out.colour) as drawn:
        for changed in looks:
            shown = _newest(shown, changed, room=max(5, out.height - 2))
            drawn.draw(shown.values())


def _newest(shown: dict[str, Job], changed: list[Job], room: int) -> dict[str, Job]:
    """What fits on the screen: what runs, and before it what ended last."""
    from jobboard.states import ENDED

    merged = shown | {job.id: job for job in changed}
    ended = [job for job in merged.values() if job.state in ENDED]
    runs = [job for job in merged.values() if job.state not in ENDED]
    kept = ended[-max(0, room - len(runs)) :] if room > len(runs) else []
    return {job.id: job for job in [*kept, *runs[:room]]}


def _print_all(out: Output, looks: Iterator[list[Job]]) -> None:
    seen: dict[str, Job] = {}
    for changed in looks:
        for job in changed:
            if out.json:
                _json_line(out, job)
            else:
                for change in changes(seen.get(job.id), job, words.utc_now()):
                    out.line(*_parts(out, change, job))
        seen |= {job.id: job for job in changed}


def _json_line(out: Output, job: Job) -> None:
    from poster.job_json import job_document

    out.json_line(job_document(job))


def _parts(out: Output, change: Change, job: Job | None = None) -> tuple[Part, ...]:
    which = (job.id, GAP, f"{job.flow}", GAP) if job else ()
    what = dim(f"{change.what:<12}") if change.what == JOB else f"{change.what:<12}"
    return (
        dim(words.clock(change.at)),
        GAP,
        *which,
        what,
        GAP,
        out.state(f"{change.state:<13}"),
        GAP,
        change.said,
    )
