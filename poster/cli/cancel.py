"""`poster cancel`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from jobboard.errors import JobboardError
from jobboard.ids import ID_LENGTH
from jobboard.states import ENDED, State
from poster.cli import completion, exit_codes, session
from poster.cli.awaiting import await_ends
from poster.cli.ends import of_cancelled
from poster.cli.failures import code_of
from poster.cli.many import Result, answered, finish, refused, told
from poster.cli.options import jobs_argument, wait_options
from poster.cli.output import GAP, Output, dim, say
from poster.job_json import answer_document, plan_document

if TYPE_CHECKING:
    from poster.cancel_plan import CancelPlan
    from poster.client import Client
    from poster.documents import AnswerDocument, PlanDocument

_OPEN = tuple(state for state in State if state not in ENDED)


@jobs_argument(required=False)
@click.option("--all", "every", is_flag=True, help="All that have not ended, or that --flow and --state name.")
@click.option("--flow", metavar="FLOW", help="With --all: only of this flow.", shell_complete=completion.flows)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([str(state) for state in _OPEN]),
    metavar="STATE",
    help=f"With --all: only these, {', '.join(_OPEN)}. May be repeated.",
)
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@click.option("--reason", metavar="TEXT", help="Why: the job's history will tell.")
@click.option("--dry-run", is_flag=True, help="Only say what would be reverted, and what cannot be.")
@wait_options
def cancel(
    jobs: tuple[str, ...],
    every: bool,  # noqa: FBT001, RUF100 - click's
    flow: str | None,
    states: tuple[str, ...],
    yes: bool,  # noqa: FBT001, RUF100 - click's
    reason: str | None,
    dry_run: bool,  # noqa: FBT001, RUF100 - click's
    wait: bool,  # noqa: FBT001, RUF100 - click's
    wait_timeout: float | None,
) -> int:
    """Cancel jobs, and revert what they did.

    Running tasks are interrupted, and everything done so far is reverted. A job that has not begun is cancelled
    at once. An accepted cancel ends in cancelled, or in revert_failed, which names what was not reverted; a cancel
    that comes too late is refused (5).

    With --all the jobs are those that there are when it is asked for; it asks first on a terminal, and wants --yes
    elsewhere.

    \b
    Examples:
      poster cancel 01hx5
      poster cancel 01hx5 --reason "wrong folder" --wait
      poster cancel 01hx5 --dry-run
      poster cancel --all --flow process_files --state pending --yes
    """
    _check_usage(jobs, flow, states, every=every)
    out = session.output()
    with session.open_client() as client:
        wanted: Iterable[str] = _matching(client, flow, states) if every else jobs
        if dry_run:
            return _tell_plans(out, client, wanted)
        if every and not yes:
            _ask(wanted := list(wanted))
        results = told(out, _cancel(client, wanted, reason))
        if wait or wait_timeout is not None:
            results = await_ends(client, out, results, wait_timeout, of_cancelled, tell_receipt=True)
    return finish(out, results)


def _check_usage(jobs: Sequence[str], flow: str | None, states: Sequence[str], *, every: bool) -> None:
    if every and jobs:
        raise click.UsageError("either JOB... or --all")
    if not every and not jobs:
        raise click.UsageError("which JOB? `poster list` shows them; or --all")
    if not every and (flow or states):
        raise click.UsageError("--flow and --state go with --all")


def _matching(client: Client, flow: str | None, states: Sequence[str]) -> Iterator[str]:
    return client.matching(states=[State(state) for state in states] or _OPEN, flow=flow)


def _ask(jobs: Sequence[str]) -> None:
    if not jobs:
        return
    many = f"{len(jobs):,} job{'' if len(jobs) == 1 else 's'}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{many} would be cancelled: say so with --yes")
    if not click.confirm(f"Cancel {many}, and revert what they did?", err=True):
        raise click.Abort


def _cancel(client: Client, given: Iterable[str], reason: str | None) -> Iterator[Result]:
    """Cancel them, many at once, without having all in memory."""
    left = iter(given)
    while batch := list(itertools.islice(left, _AT_ONCE)):
        yield from _cancel_batch(client, batch, reason)


def _cancel_batch(client: Client, given: Sequence[str], reason: str | None) -> Iterator[Result]:
    """Cancel them at once; those that are no job's id are told in their places."""
    found: dict[str, str] = {}
    unknown: dict[str, Result] = {}
    for one in given:
        try:
            found[one] = one if len(given) > _FEW and _is_id(one) else client.resolve(one)
        except JobboardError as error:
            unknown[one] = refused(one, error)
    ids = list(dict.fromkeys(found.values()))
    answers = dict(zip(ids, client.cancel_many(ids, reason), strict=True)) if ids else {}
    for one in given:
        yield unknown[one] if one in unknown else answered(one, answers[found[one]])


def _tell_plans(out: Output, client: Client, jobs: Iterable[str]) -> int:
    documents: list[AnswerDocument | PlanDocument] = []
    codes: list[int] = []
    for one in jobs:
        try:
            plan = client.plan_cancel(client.resolve(one))
        except JobboardError as error:
            codes.append(code_of(error) or exit_codes.UNREACHABLE)
            documents.append(answer_document(one, error))
            say(str(error))
            continue
        codes.append(exit_codes.DONE)
        documents.append(plan_document(plan.job, plan))
        if not out.json:
            _tell_plan(out, plan)
    if out.json:
        out.document(documents)
    return exit_codes.worst(codes)


def _tell_plan(out: Output, plan: CancelPlan) -> None:
    out.line(plan.job, GAP, out.state(plan.state), GAP, dim(f"a cancel would make it {plan.target}"))
    out.fields(
        {
            "would be reverted": ", ".join(plan.reverted) or "nothing",
            "cannot be undone": ", ".join(plan.irreversible) or None,
            "never started": ", ".join(plan.not_started) or None,
        },
        indent="  ",
    )


_AT_ONCE = 1000
_FEW = 100  # of so many, prefixes are looked up one by one


def _is_id(word: str) -> bool:
    return len(word) == ID_LENGTH and word.isalnum()
