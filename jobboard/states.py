"""The states of a job, and every way from one to another.

`TRANSITIONS` is the whole table: a change that is not in it cannot be written. The picture in the
documents is generated from it. What a request means in a state (accept, no change, refuse and why)
is decided in `jobboard.decisions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a job stands."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    REVERTING = "reverting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REVERT_FAILED = "revert_failed"


class Cause(StrEnum):
    """What moves a job from one state to another."""

    CLAIM = "claim"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    CLEANUP = "cleanup"
    FORCE = "force"
    SEAL = "seal"
    SUSPEND = "suspend"
    HAND_BACK = "hand_back"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    GIVE_UP = "give_up"
    KEEP = "keep"
    REVERTED = "reverted"
    REVERT_FAILURE = "revert_failure"
    RETRY_LATER = "retry_later"


@dataclass(frozen=True)
class Transition:
    """One edge of the table."""

    source: State
    cause: Cause
    target: State
    reason: str


S, C = State, Cause

TRANSITIONS: tuple[Transition, ...] = (
    Transition(S.PENDING, C.CLAIM, S.RUNNING, "a conductor claimed it"),
    Transition(S.PENDING, C.CANCEL, S.CANCELLED, "nothing has begun, so nothing is to be reverted"),
    Transition(S.PENDING, C.CANCEL, S.CANCELLING, "an earlier conductor left effects to revert"),
    Transition(S.PENDING, C.PAUSE, S.PAUSED, "held back before it began, or between two conductors"),
    Transition(S.RUNNING, C.SEAL, S.COMPLETED, "every task succeeded, and the seal was first"),
    Transition(S.RUNNING, C.CANCEL, S.CANCELLING, "cancel accepted: running tasks are interrupted"),
    Transition(S.RUNNING, C.PAUSE, S.PAUSING, "stops after the tasks that run now"),
    Transition(S.RUNNING, C.HAND_BACK, S.PENDING, "its conductor shut down in order; results are kept"),
    Transition(S.RUNNING, C.FAILURE, S.REVERTING, "a task failed"),
    Transition(S.RUNNING, C.TIMEOUT, S.REVERTING, "the attempt's running time is over"),
    Transition(S.RUNNING, C.GIVE_UP, S.REVERTING, "it was claimed more than max_claims times"),
    Transition(S.RUNNING, C.KEEP, S.FAILED, "a task failed, and the flow keeps its results"),
    Transition(S.RUNNING, C.REVERT_FAILURE, S.REVERT_FAILED, "the flow's structure changed under it"),
    Transition(S.PAUSING, C.SUSPEND, S.PAUSED, "the tasks that ran have ended; results are kept"),
    Transition(S.PAUSING, C.SEAL, S.COMPLETED, "all was done before the pause took hold"),
    Transition(S.PAUSING, C.RESUME, S.RUNNING, "the pause was taken back in time"),
    Transition(S.PAUSING, C.CANCEL, S.CANCELLING, "cancel accepted: running tasks are interrupted"),
    Transition(S.PAUSING, C.FAILURE, S.REVERTING, "a task failed"),
    Transition(S.PAUSING, C.TIMEOUT, S.REVERTING, "the attempt's running time is over"),
    Transition(S.PAUSING, C.GIVE_UP, S.REVERTING, "it was claimed more than max_claims times"),
    Transition(S.PAUSING, C.KEEP, S.FAILED, "a task failed, and the flow keeps its results"),
    Transition(S.PAUSING, C.REVERT_FAILURE, S.REVERT_FAILED, "the flow's structure changed under it"),
    Transition(S.PAUSED, C.RESUME, S.PENDING, "goes on at the next task"),
    Transition(S.PAUSED, C.CANCEL, S.CANCELLING, "cancel accepted: kept results are reverted"),
    Transition(S.CANCELLING, C.REVERTED, S.CANCELLED, "every task that began was reverted"),
    Transition(S.CANCELLING, C.REVERT_FAILURE, S.REVERT_FAILED, "a revert failed: its effects may remain"),
    Transition(S.REVERTING, C.REVERTED, S.FAILED, "every task that began was reverted"),
    Transition(S.REVERTING, C.RETRY_LATER, S.PENDING, "reverted; an automatic retry is due"),
    Transition(S.REVERTING, C.CANCEL, S.CANCELLING, "the revert goes on, and no automatic retry follows"),
    Transition(S.REVERTING, C.REVERT_FAILURE, S.REVERT_FAILED, "a revert failed: its effects may remain"),
    Transition(S.FAILED, C.RETRY, S.PENDING, "a new attempt, or on at the failed task if results were kept"),
    Transition(S.FAILED, C.CANCEL, S.CANCELLING, "kept results are reverted"),
    Transition(S.CANCELLED, C.RETRY, S.PENDING, "a new attempt"),
    Transition(S.REVERT_FAILED, C.CLEANUP, S.CANCELLING, "failed reverts run again; a cancel began it"),
    Transition(S.REVERT_FAILED, C.CLEANUP, S.REVERTING, "failed reverts run again; a failure began it"),
    Transition(S.REVERT_FAILED, C.FORCE, S.PENDING, "an operator gave the effects up: a new attempt"),
)

ENDED = frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.REVERT_FAILED})
"""Nothing more happens unless someone asks. `key` gives the job back until then."""

AT_REST = ENDED | {S.PAUSED}
"""Not on the board."""

UNDOING = frozenset({S.CANCELLING, S.REVERTING})
"""A conductor that claims such a job only reverts."""

CURRENT = frozenset({S.RUNNING, S.PAUSING, S.CANCELLING, S.REVERTING})
"""A conductor works on it, or should."""

_EDGES = {(t.source, t.cause, t.target): t for t in TRANSITIONS}


def transition(source: State, cause: Cause, target: State) -> Transition:
    """The edge from `source` to `target` for `cause`; `KeyError` if the table has none."""
    return _EDGES[source, cause, target]
