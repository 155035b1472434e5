"""What each request does to a record: the decision, the columns that go with it, and the history's words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from jobboard import decisions
from jobboard.decisions import Accept, Decision, Refuse
from jobboard.schema import Row, Values
from jobboard.states import State

_ARGUMENTS_STAND = "its results are kept, and its arguments with them: cancel it first, then retry with --set"

FLOW_CHANGED = "FlowChanged"
"""The type of the error of a job whose flow has another structure than when the attempt began."""


@dataclass(frozen=True)
class Change:
    """What a request means for one record."""

    decision: Decision
    columns: Values = field(default_factory=dict)
    message: str = ""
    data: dict[str, Any] | None = None


Request = Callable[[Row, datetime], Change]
"""Asked with the record as it is and the time, it says what is to become of it."""


def cancel(by: str, reason: str | None) -> Request:
    """Interrupt and revert."""

    def decide(row: Row, now: datetime) -> Change:
        decision = decisions.on_cancel(State(row["state"]), begun=row["begun"], kept=row["kept"])
        return Change(decision, _cancelled(row, now, by, reason, decision), said_of_cancel(by, reason))

    return decide


def delete(by: str, reason: str | None, *, force: bool) -> Request:
    """Remove; cancel first what has something to revert."""

    def decide(row: Row, now: datetime) -> Change:
        decision = decisions.on_delete(State(row["state"]), begun=row["begun"], kept=row["kept"], force=force)
        columns: Values = {"deleting": True}
        if isinstance(decision, Accept):
            columns |= _cancelled(row, now, by, reason, decision)
        return Change(decision, columns, f"deleted by {by}: {reason}" if reason else f"deleted by {by}")

    return decide


def retry(*, on_board: bool, arguments: Mapping[str, Any] | None, changed: Mapping[str, Any]) -> Request:
    """A new attempt, with other `arguments` if they are given; or on at the failed task, if results were kept.

    `changed` are those that differ, as they may be shown.
    """

    def decide(row: Row, now: datetime) -> Change:
        decision = decisions.on_retry(State(row["state"]))
        goes_on = row["kept"] and State(row["state"]) is State.FAILED
        if goes_on and arguments is not None:
            return Change(Refuse(_ARGUMENTS_STAND))
        columns = _again(row) if goes_on else next_attempt(row["attempt"], row["epoch"])
        columns |= _waits(row, now, on_board=on_board) | {"retries_left": row["max_retries"]}
        if arguments is not None:
            columns["arguments"] = dict(arguments)
        said = "retried by hand"
        if goes_on:
            said += ", on at the failed task"
        if changed:
            said += " with " + ", ".join(_said_of_change(row, name, value) for name, value in changed.items())
        return Change(decision, columns, said, {"changed": dict(changed)} if changed else None)

    return decide


def cleanup(by: str, *, on_board: bool) -> Request:
    """Run the reverts that failed again, and those that never ran because of them."""

    def decide(row: Row, now: datetime) -> Change:
        changed = row["error"] is not None and row["error"]["type"] == FLOW_CHANGED
        decision = decisions.on_cleanup(
            State(row["state"]), cancelled=row["cancel_requested_at"] is not None, changed=changed
        )
        columns = _waits(row, now, on_board=on_board) | {"cleanup": True, "claims": 0, "retries_left": 0}
        columns |= {"finished_at": None, "reason": None}
        if _is_of_a_revert(row):
            columns["error"] = None  # if it fails again, it is told again
        return Change(decision, columns, f"cleanup asked for by {by}")

    return decide


def _is_of_a_revert(row: Row) -> bool:
    """Whether the record's error is a revert's own: nothing else was wrong, a cancel had asked for it."""
    failed = [task["error"] for task in row["tasks"] if task["state"] == "revert_failure"]
    return row["error"] is not None and row["error"] in failed


def force(by: str, reason: str, *, on_board: bool) -> Request:
    """Give the effects of failed reverts up, and begin a new attempt."""

    def decide(row: Row, now: datetime) -> Change:
        columns = next_attempt(row["attempt"], row["epoch"]) | _waits(row, now, on_board=on_board)
        columns["retries_left"] = row["max_retries"]
        return Change(decisions.on_force(State(row["state"])), columns, f"effects given up by {by}: {reason}")

    return decide


def pause(by: str) -> Request:
    """Stop between two tasks."""

    def decide(row: Row, _now: datetime) -> Change:
        decision = decisions.on_pause(State(row["state"]))
        rests = isinstance(decision, Accept) and decision.target is State.PAUSED
        return Change(decision, {"posting": None} if rests else {}, f"paused by {by}")

    return decide


def resume(by: str, *, on_board: bool) -> Request:
    """Go on."""

    def decide(row: Row, now: datetime) -> Change:
        decision = decisions.on_resume(State(row["state"]))
        waits = isinstance(decision, Accept) and decision.target is State.PENDING
        return Change(decision, _waits(row, now, on_board=on_board) if waits else {}, f"resumed by {by}")

    return decide


def next_attempt(attempt: int, epoch: int) -> Values:
    """The columns of a record as the attempt after `attempt` begins with them.

    The epoch is raised, as by a claim: who had the last attempt, and was perhaps not told how it ended, writes
    nothing into this one.
    """
    return dict.fromkeys(_PER_ATTEMPT) | {
        "attempt": attempt + 1,
        "epoch": epoch + 1,
        "begun": False,
        "kept": False,
        "cleanup": False,
        "ran_s": 0.0,
        "progress": 0.0,
        "claims": 0,
        "tasks": [],
    }


_PER_ATTEMPT = (
    "reason",
    "error",
    "started_at",
    "finished_at",
    "conductor",
    "owner",
    "posting",
    "cancel_requested_at",
    "cancel_by",
    "cancel_reason",
    "cancel_delivered_at",
    "cancel_stopped_at",
    "results",
)


def said_of_cancel(by: str, reason: str | None) -> str:
    """A cancel in words."""
    return f"cancelled by {by}: {reason}" if reason else f"cancelled by {by}"


def _said_of_change(row: Row, name: str, value: Any) -> str:
    before = row["arguments"].get(name)
    return f"{name}={value}" if name in row["masked"] or before is None else f"{name}={value} (was {before})"


def _cancelled(row: Row, now: datetime, by: str, reason: str | None, decision: Decision) -> Values:
    columns: Values = {"cancel_requested_at": now, "cancel_by": by, "cancel_reason": reason}
    if isinstance(decision, Accept) and decision.target is State.CANCELLED:
        return columns | {
            "cancel_delivered_at": now,
            "cancel_stopped_at": now,
            "finished_at": now,
            "posting": None,
            "reason": said_of_cancel(by, reason),
        }
    if row["posting"] is None:
        columns["due_at"] = now  # a conductor is wanted now, whatever the job waited for
    return columns | {"finished_at": None, "kept": False, "reason": None}


def _again(row: Row) -> Values:
    """The columns of a record whose attempt goes on with what it kept: its conductor asks for `kept`."""
    return {"reason": None, "error": None, "finished_at": None, "claims": 0, "kept": row["kept"]}


def _waits(row: Row, now: datetime, *, on_board: bool) -> Values:
    """Due now; on the board at once, where nothing has to be counted first."""
    return {"due_at": now, "posting": str(uuid4()) if on_board and row["max_running"] is None else None}
