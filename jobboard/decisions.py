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


@dataclass(frozen=True)
class Mark:
    """Write the request down: what it asks for follows by itself."""


@dataclass(frozen=True)
class Remove:
    """Nothing is left to be reverted: the job goes at once."""


Decision = Accept | NoChange | Refuse | Mark | Remove


def on_cancel(state: State, *, begun: bool, kept: bool) -> Accept | NoChange | Refuse:
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


def on_cleanup(state: State, *, cancelled: bool, changed: bool) -> Decision:
    """Run failed reverts again. `cancelled`: a cancel began them. `changed`: the flow's structure is another."""
    if state is not S.REVERT_FAILED:
        return Refuse(f"it is {state}: only a job whose revert failed can be cleaned up")
    if changed:
        return Refuse(
            "the flow's structure has changed since, so its reverts cannot be found any more: clean up by hand, "
            "then say so with `poster retry --force --reason T` or `poster delete --force --reason T`"
        )
    return Accept(Cause.CLEANUP, S.CANCELLING if cancelled else S.REVERTING)


def on_force(state: State) -> Decision:
    """Give the effects of failed reverts up, and begin a new attempt."""
    if state is S.REVERT_FAILED:
        return Accept(Cause.FORCE, S.PENDING)
    return Refuse(f"it is {state}: only a job whose revert failed needs force")


def on_pause(state: State) -> Decision:
    """Stop between two tasks, and keep results."""
    if state in (S.PAUSING, S.PAUSED):
        return NoChange()
    if state is S.PENDING:
        return Accept(Cause.PAUSE, S.PAUSED)
    if state is S.RUNNING:
        return Accept(Cause.PAUSE, S.PAUSING)
    return Refuse(f"it is {state}: only a pending or running job can be paused")


def on_resume(state: State) -> Decision:
    """Take a pause back."""
    if state in (S.PENDING, S.RUNNING):
        return NoChange()
    if state is S.PAUSING:
        return Accept(Cause.RESUME, S.RUNNING)
    if state is S.PAUSED:
        return Accept(Cause.RESUME, S.PENDING)
    hint = " (`poster retry` begins it again)" if state in (S.FAILED, S.CANCELLED) else ""
    return Refuse(f"it is {state}: only a paused job can be resumed{hint}")


def on_delete(state: State, *, begun: bool, kept: bool, force: bool) -> Decision:
    """Remove a job; one with something to revert is cancelled first. `force`: its effects are given up."""
    if state is S.REVERT_FAILED:
        return Remove() if force else Refuse(_NOT_CLEAN)
    if state is S.CANCELLING:
        return Mark()
    asked = on_cancel(state, begun=begun, kept=kept)
    if isinstance(asked, Accept) and asked.target is S.CANCELLING:
        return asked
    return Remove()


_NOT_CLEAN = (
    "a revert failed, so effects may remain: `poster retry --cleanup` runs it again; "
    "or clean up by hand and delete it with --force --reason T"
)

_TOO_LATE = {
    S.COMPLETED: "already completed, nothing to cancel",
    S.FAILED: "already failed and reverted, nothing to cancel",
    S.REVERT_FAILED: "a revert failed, and a cancel cannot mend that: see `poster show`",
}

_NO_RETRY = {
    S.COMPLETED: "already completed: post it again to run it again",
    S.CANCELLING: "is being cancelled: wait until it is cancelled, then retry",
    S.REVERTING: "is being reverted: wait until it has failed, then retry",
    S.REVERT_FAILED: "a revert failed, so effects may remain: `poster retry --cleanup` runs it again; "
    "or clean up by hand, then `poster retry --force --reason T`",
}
