"""`poster stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poster.cli import session, words
from poster.cli.exit_codes import DONE
from poster.cli.output import Output, Part, bold

if TYPE_CHECKING:
    from poster.stats import Stats


def stats() -> int:
    """Count jobs by state and flow.

    Also how long the next one has been waiting, and how busy the conductors are.

    \b
    Examples:
      poster stats
      poster stats --json
    """
    from poster.job_json import stats_document

    out = session.output()
    with session.open_client() as client:
        found = client.stats()
    if out.json:
        out.document(stats_document(found))
    else:
        _print(out, found)
    return DONE


def _print(out: Output, found: Stats) -> None:
    waiting = "" if found.oldest_waiting_s is None else words.took(found.oldest_waiting_s)
    out.fields(
        {
            "jobs": bold(words.number(found.total)),
            "longest waiting": waiting or "none waits",
            "conductors": f"{found.conductors} alive, {found.busy} of {found.slots} slots busy",
        }
    )
    states = [state for state, number in found.states.items() if number]
    if not states:
        return
    out.line()
    rows: list[list[Part]] = [
        [flow, *(_count(counted.get(state, 0), state) for state in states)]
        for flow, counted in found.flows.items()
    ]
    if len(rows) > 1:
        rows.append(["all", *(_count(found.states[state], state) for state in states)])
    out.table(["FLOW", *(state.upper() for state in states)], rows)


def _count(number: int, state: str) -> str:
    return words.number(number).rjust(len(state)) if number else "-".rjust(len(state))
