"""What a request means in a job's state: to accept it, to change nothing, or to refuse it and say why.

Pure: a decision is made from what was read, and written only if that is still so.
"""

from __future__ import annotations

from dataclasses import dataclass

from jobboard.states import Cause, State

S = State


@dataclass(frozen=True)
class Accept:
    """Move the job along an edge of the table."""

    cause: Cause
    target: State


@dataclass(frozen=True)
class NoChange:
    """The request is served already."""


@dataclass(frozen=True)
class Refuse:
    """The state does not allow it. `why` is for people, and says what to do."""

    why: str


Decision = Accept | NoChange | Refuse


def on_cancel(state: State, *, begun: bool, kept: bool) -> Decision:
    """Cancel a job. `begun`: a conductor had it in this attempt. `kept`: it failed and kept its results."""
    if state in (S.CANCELLING, S.CANCELLED):
        return NoChange()
    if state is S.PENDING:
        return Accept(Cause.CANCEL, S.CANCELLING if begun else S.CANCELLED)
    if state in (S.RUNNING, S.PAUSING, S.PAUSED, S.REVERTING) or (state is S.FAILED and kept):
        return Accept(Cause.CANCEL, S.CANCELLING)
    return Refuse(_TOO_LATE[state])


def on_retry(state: State) -> Decision:
    """Begin a new attempt (or, with kept results, go on with this one)."""
    if state in (S.FAILED, S.CANCELLED):
        return Accept(Cause.RETRY, S.PENDING)
    return Refuse(_NO_RETRY.get(state, f"it is {state}: only a failed or cancelled job can be retried"))


_TOO_LATE = {
    S.COMPLETED: "already completed, nothing to cancel",
    S.FAILED: "already failed and reverted, nothing to cancel",
    S.REVERT_FAILED: "a revert failed, and a cancel cannot mend that: see `poster show`",
}

_NO_RETRY = {
    S.COMPLETED: "already completed: post it again to run it again",
    S.CANCELLING: "is being cancelled: wait until it is cancelled, then retry",
    S.REVERTING: "is being reverted: wait until it has failed, then retry",
    S.REVERT_FAILED: "a revert failed, so effects may remain: clean up before it can run again",
}
