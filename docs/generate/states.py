"""The states, what may be asked for in each, and every way from one to another: from the code's own tables."""

from __future__ import annotations

from collections.abc import Callable

from docs.generate.markdown import page, prose, table
from jobboard.decisions import (
    Accept,
    Decision,
    Mark,
    NoChange,
    Refuse,
    Remove,
    on_cancel,
    on_cleanup,
    on_delete,
    on_force,
    on_pause,
    on_resume,
    on_retry,
)
from jobboard.states import AT_REST, CURRENT, ENDED, TRANSITIONS, UNDOING, State

# A row of the table of requests: a state, and what else decides.
_CASES: tuple[tuple[str, State, bool, bool], ...] = (
    ("pending", State.PENDING, False, False),
    ("pending, begun before", State.PENDING, True, False),
    *((str(state), state, True, False) for state in State if state not in (State.PENDING, State.FAILED)),
    ("failed", State.FAILED, True, False),
    ("failed, results kept", State.FAILED, True, True),
)
_REQUESTS: dict[str, Callable[[State, bool, bool], Decision]] = {
    "cancel": lambda state, begun, kept: on_cancel(state, begun=begun, kept=kept),
    "retry": lambda state, *_: on_retry(state),
    "pause": lambda state, *_: on_pause(state),
    "resume": lambda state, *_: on_resume(state),
    "delete": lambda state, begun, kept: on_delete(state, begun=begun, kept=kept, force=False),
}

_REQUESTED = """\
A request moves the job along a way of the table below, changes nothing because it is served already, or is
refused. `delete` of a job that has something to revert cancels it first."""
_REVERT_FAILED = """\
A job whose revert failed takes two requests more: `retry --cleanup` runs the failed reverts again, and
`retry --force` or `delete --force` gives their effects up."""
_WAYS = """\
A change that is not in this table cannot be written. Each is one UPDATE whose WHERE asks for what was read when it
was decided on, in one transaction with its line in the job's history."""


def states() -> str:
    """The picture, and three tables."""
    return page(
        "States",
        "![The states of a job and the ways between them](../states.svg)",
        table(
            ("state", "a conductor works on it", "it only reverts", "at rest: not on the board", "ended"), _kinds()
        ),
        "## What may be asked for",
        _REQUESTED,
        table(("state", *_REQUESTS), map(_answers, _CASES)),
        _REVERT_FAILED,
        "## Why a request is refused",
        table(("state", "request", "what is said"), _refusals()),
        "## Every way",
        _WAYS,
        table(
            ("from", "by", "to", "why"),
            [
                (f"`{way.source}`", str(way.cause).replace("_", " "), f"`{way.target}`", prose(way.reason))
                for way in TRANSITIONS
            ],
        ),
    )


def _kinds() -> list[tuple[str, ...]]:
    return [
        (f"`{state}`", *("yes" if state in kind else "" for kind in (CURRENT, UNDOING, AT_REST, ENDED)))
        for state in State
    ]


def _answers(case: tuple[str, State, bool, bool]) -> tuple[str, ...]:
    name, state, begun, kept = case
    return (name.replace("_", " "), *(_shown(ask(state, begun, kept)) for ask in _REQUESTS.values()))


def _shown(decision: Decision) -> str:
    match decision:
        case Accept(target=target):
            return f"to `{target}`"
        case NoChange():
            return "no change"
        case Mark():
            return "when it has ended"
        case Remove():
            return "removed"
        case Refuse():
            return "refused"


def _refusals() -> list[tuple[str, str, str]]:
    said = [
        (str(state), request, ask(state, True, False)) for request, ask in _REQUESTS.items() for state in State
    ]
    said += [(str(State.FAILED), "retry --cleanup", on_cleanup(State.FAILED, cancelled=False, changed=False))]
    changed = on_cleanup(State.REVERT_FAILED, cancelled=True, changed=True)
    said += [(f"{State.REVERT_FAILED}, the flow has changed", "retry --cleanup", changed)]
    said += [(str(State.FAILED), "retry --force", on_force(State.FAILED))]
    return [(where.replace("_", " "), what, prose(no.why)) for where, what, no in said if isinstance(no, Refuse)]
