"""`poster retry`."""

from __future__ import annotations

from poster.cli import session
from poster.cli.awaiting import await_ends
from poster.cli.many import finish, on_each, told
from poster.cli.options import jobs_argument, wait_options


@jobs_argument
@wait_options
def retry(jobs: tuple[str, ...], wait: bool, wait_timeout: float | None) -> int:  # noqa: FBT001, RUF100 - click's
    """Begin a new attempt of failed or cancelled jobs.

    The id stays the same.

    \b
    Examples:
      poster retry 01hx5
      poster retry 01hx5 --wait
      poster list --state failed --since 1h -q | xargs poster retry
    """
    out = session.output()
    with session.open_client() as client:
        results = told(out, on_each(client, jobs, client.retry))
        if wait or wait_timeout is not None:
            results = await_ends(client, out, results, wait_timeout)
    return finish(out, results)
