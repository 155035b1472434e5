"""What an ended engine means for the record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from taskflow import states as taskflow_states

from jobboard.states import Cause, State


class Ending(Enum):
    """How one run of an engine ended."""

    SEALED = "the record is completed"
    SUSPENDED = "stopped between two tasks"
    REVERTED = "everything that began was reverted"
    REVERT_FAILED = "a revert failed"
    KEPT = "a task failed, and what the others did is kept"
    STUCK = "TaskFlow gave up without reverting"
    LOST = "the claim has passed on, or storage is away: someone else goes on"


def ending_of(flow_state: str | None, atom_states: Mapping[str, str | None], *, lost: bool) -> Ending:
    """How the run ended, from what TaskFlow stored."""
    if lost:
        return Ending.LOST
    if taskflow_states.REVERT_FAILURE in atom_states.values():
        return Ending.REVERT_FAILED
    if flow_state == taskflow_states.SUCCESS:
        return Ending.SEALED
    if flow_state == taskflow_states.SUSPENDED:
        return Ending.SUSPENDED
    if flow_state == taskflow_states.REVERTED:
        return Ending.REVERTED
    return Ending.STUCK


RESTS: Mapping[Ending, Mapping[State, tuple[Cause, State]]] = {
    Ending.SEALED: {},
    Ending.SUSPENDED: {
        State.RUNNING: (Cause.HAND_BACK, State.PENDING),
        State.PAUSING: (Cause.SUSPEND, State.PAUSED),
    },
    Ending.REVERTED: {
        State.CANCELLING: (Cause.REVERTED, State.CANCELLED),
        State.REVERTING: (Cause.REVERTED, State.FAILED),
    },
    Ending.REVERT_FAILED: {
        State.CANCELLING: (Cause.REVERT_FAILURE, State.REVERT_FAILED),
        State.REVERTING: (Cause.REVERT_FAILURE, State.REVERT_FAILED),
    },
    Ending.KEPT: {
        State.RUNNING: (Cause.KEEP, State.FAILED),
        State.PAUSING: (Cause.KEEP, State.FAILED),
    },
    # After a second run that was only to revert.
    Ending.STUCK: {
        State.CANCELLING: (Cause.REVERT_FAILURE, State.REVERT_FAILED),
        State.REVERTING: (Cause.REVERT_FAILURE, State.REVERT_FAILED),
    },
}
"""What each ending does to the record, by the state that it is found in."""
