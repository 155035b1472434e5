"""`poster retry`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click

from poster.cli import session
from poster.cli.awaiting import await_ends
from poster.cli.many import finish, on_each, told
from poster.cli.options import jobs_argument, name_values, wait_options

if TYPE_CHECKING:
    from jobboard.models import Job
    from poster.client import Client


@jobs_argument()
@click.option("--set", "words", multiple=True, metavar="NAME=VALUE", help="Another argument. May be repeated.")
@click.option("--cleanup", is_flag=True, help="Run reverts that failed again, then those that never ran.")
@click.option("--force", is_flag=True, help="A new attempt though a revert failed. Wants --reason.")
@click.option("--reason", metavar="TEXT", help="With --force: what became of the effects.")
@wait_options
def retry(
    jobs: tuple[str, ...],
    words: tuple[str, ...],
    cleanup: bool,  # noqa: FBT001, RUF100 - click's
    force: bool,  # noqa: FBT001, RUF100 - click's
    reason: str | None,
    wait: bool,  # noqa: FBT001, RUF100 - click's
    wait_timeout: float | None,
) -> int:
    """Begin a new attempt of failed or cancelled jobs.

    The id stays the same. A failed job that kept its results goes on at the task that failed.

    A job whose revert failed is refused. --cleanup runs its reverts again, and it ends cancelled or failed, as it
    would have. Who has cleaned up by hand says so with --force.

    \b
    Examples:
      poster retry 01hx5 --wait
      poster retry 01hx5 --set level=9
      poster retry 01hx5 --cleanup
      poster retry 01hx5 --force --reason "removed the files by hand"
      poster list --state failed --since 1h -q | xargs poster retry
    """
    _check_usage(words, cleanup=cleanup, force=force, reason=reason)
    texts = name_values(words)
    out = session.output()
    with session.open_client() as client:
        act = _act(client, texts, cleanup=cleanup, reason=reason if force else None)
        results = told(out, on_each(client, jobs, act))
        if wait or wait_timeout is not None:
            results = await_ends(client, out, results, wait_timeout)
    return finish(out, results)


def _check_usage(words: tuple[str, ...], *, cleanup: bool, force: bool, reason: str | None) -> None:
    if cleanup and (force or words):
        raise click.UsageError("--cleanup ends the attempt as it is: --force and --set do not go with it")
    if force and not reason:
        raise click.UsageError("--force wants --reason TEXT: what became of the effects")
    if force and words:
        raise click.UsageError("--set does not go with --force: retry once more when the new attempt has ended")
    if reason and not force:
        raise click.UsageError("--reason goes with --force")


def _act(client: Client, texts: Mapping[str, str], *, cleanup: bool, reason: str | None) -> Callable[[str], Job]:
    if cleanup:
        return client.cleanup
    if reason is not None:
        return lambda job: client.force_retry(job, reason)
    if texts:
        return lambda job: client.retry(job, client.flow(client.get(job).flow).from_text(texts))
    return client.retry
