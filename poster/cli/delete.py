"""`poster delete` and `poster purge`."""

from __future__ import annotations

import click

from poster.cli import session
from poster.cli.exit_codes import DONE
from poster.cli.many import finish, on_each, told
from poster.cli.options import DURATION, jobs_argument


@jobs_argument()
@click.option("--force", is_flag=True, help="Also if a revert failed: its effects are given up. Wants --reason.")
@click.option("--reason", metavar="TEXT", help="Why.")
def delete(jobs: tuple[str, ...], force: bool, reason: str | None) -> int:  # noqa: FBT001, RUF100 - click's
    """Remove jobs with all that is stored of them.

    A job that runs is cancelled first, and goes when everything it did is reverted; if a revert fails, it stays
    and says so. Files and other results of completed jobs are left alone.

    \b
    Examples:
      poster delete 01hx5
      poster delete 01hx5 --force --reason "removed the files by hand"
      poster list --state cancelled -q | xargs poster delete
    """
    if force and not reason:
        raise click.UsageError("--force wants --reason TEXT: what became of the effects")
    out = session.output()
    with session.open_client() as client:
        results = told(out, on_each(client, jobs, lambda job: client.delete(job, reason, force=force)))
    return finish(out, results)


@click.option("--older-than", type=DURATION, required=True, metavar="D", help="Ended so long ago, as 30d or 12h.")
def purge(older_than: float) -> int:
    """Remove jobs that ended long ago.

    Completed, failed and cancelled ones, with all that is stored of them. Jobs whose revert failed, and failed
    ones that kept their results, stay. The setting COUNTERMAND_RETENTION has conductors do the same by themselves.

    \b
    Examples:
      poster purge --older-than 30d
    """
    out = session.output()
    with session.open_client() as client:
        removed = client.purge(older_than)
    if out.json:
        out.document({"purged": removed})
    else:
        out.line(f"{removed:,} job{'' if removed == 1 else 's'} removed")
    return DONE
