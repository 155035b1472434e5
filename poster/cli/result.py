"""`poster result`."""

from __future__ import annotations

from poster.cli import session, words
from poster.cli.exit_codes import DONE
from poster.cli.options import job_argument
from poster.cli.output import say


@job_argument
def result(job: str) -> int:
    """Show the results of a completed job.

    They are what its tasks provide, by name. Refused (5) while it is not completed.

    \b
    Examples:
      poster result 01hx5
      poster result 01hx5 --json | jq -r .archive
    """
    out = session.output()
    with session.open_client() as client:
        results = client.result(client.resolve(job))
    if out.json:
        out.document(results)
    elif results:
        out.fields({name: words.value(value) or '""' for name, value in results.items()})
    else:
        say("its tasks provide nothing")
    return DONE
