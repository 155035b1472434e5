"""`poster conductors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poster.cli import session, words
from poster.cli.exit_codes import DONE
from poster.cli.output import Part, Styled, dim, say

if TYPE_CHECKING:
    from datetime import datetime

    from jobboard.models import ConductorRow


def conductors() -> int:
    """Show the conductors and what they run.

    Those that were not heard of any more stay in the list for a day.

    \b
    Examples:
      poster conductors
      poster conductors --json
    """
    from poster.job_json import conductor_document

    out = session.output()
    with session.open_client() as client:
        rows = client.conductors()
    if out.json:
        out.document([conductor_document(row) for row in rows])
    elif rows:
        now = words.utc_now()
        head = ("NAME", "ALIVE", "BUSY", "SEEN", "UP", "FLOWS")
        out.table(head, [_row(row, now) for row in rows])
    else:
        say("none is or was there: start one with `conductor run`")
    return DONE


def _row(row: ConductorRow, now: datetime) -> tuple[Part, ...]:
    alive = Styled("alive", "green") if row.alive else Styled("dead", "red")
    busy = f"{row.busy} of {row.slots}"
    seen = f"{words.age(row.seen_at, now)} ago"
    return row.name, alive, busy, seen, words.age(row.started_at, now), dim(", ".join(row.flows))
