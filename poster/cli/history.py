"""`poster history` and `poster logs`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click

from poster.cli import session, words
from poster.cli.awaiting import left_alone
from poster.cli.exit_codes import DONE
from poster.cli.options import job_argument
from poster.cli.output import GAP, Output, Part, Styled, dim, say

if TYPE_CHECKING:
    from jobboard.models import HistoryLine

_LEVELS: Final = {"warning": "yellow", "error": "red", "critical": "red"}


@job_argument
def history(job: str) -> int:
    """Show what happened to a job, line by line.

    When, what, who and why, over all its attempts.

    \b
    Examples:
      poster history 01hx5
      poster history 01hx5 --json | jq -c '.[] | select(.kind == "task")'
    """
    from poster.job_json import history_document

    out = session.output()
    with session.open_client() as client:
        lines = client.history(client.resolve(job))
    if out.json:
        out.document([history_document(line) for line in lines])
    else:
        head = ("TIME", "ATTEMPT", "WHAT", "STATE", "WHO", "WHY")
        out.table(head, [_row(out, line) for line in lines], under=_stacks(lines))
    return DONE


@job_argument
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
def logs(job: str, follow: bool) -> int:  # noqa: FBT001, RUF100 - click's
    """Show what a job's tasks logged.

    \b
    Examples:
      poster logs 01hx5
      poster logs 01hx5 -f
    """
    out = session.output()
    with session.open_client() as client:
        found = client.resolve(job)
        if follow:
            with left_alone([found], "logs -f", "watch"):
                _follow(out, client.follow_logs(found))
            return DONE
        lines = client.logs(found)
    _print(out, lines)
    return DONE


def _row(out: Output, line: HistoryLine) -> tuple[Part, ...]:
    what: Part = line.task if line.kind == "task" and line.task else dim("job")
    why = line.message or ""
    return dim(words.moment_ms(line.at)), f"{line.attempt}", what, out.state(line.state or ""), line.by or "", why


def _stacks(lines: Iterable[HistoryLine]) -> dict[int, str]:
    """Where tasks were that did not respond, by the numbers of the lines that say so."""
    return {
        number: str(line.data["stack"]) for number, line in enumerate(lines) if line.data and "stack" in line.data
    }


def _print(out: Output, lines: Iterable[HistoryLine]) -> None:
    from poster.job_json import log_document

    found = list(lines)
    if out.json:
        out.document([log_document(line) for line in found])
    elif found:
        out.table((), [_log_row(line) for line in found])
    else:
        say("nothing is logged")


def _follow(out: Output, lines: Iterable[HistoryLine]) -> None:
    from poster.job_json import log_document

    for line in lines:
        if out.json:
            out.json_line(log_document(line))
        else:
            at, level, task, message = _log_row(line)
            out.line(at, GAP, level, GAP, task, GAP, message)


def _log_row(line: HistoryLine) -> tuple[Part, ...]:
    level = (line.state or "info").lower()
    return (
        dim(words.moment_ms(line.at)),
        Styled(f"{level:<8}", _LEVELS.get(level)),
        line.task or "-",
        line.message or "",
    )
