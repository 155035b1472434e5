"""What the end of an awaited job means for the exit code. Pure."""

from __future__ import annotations

from typing import Final

from jobboard.states import State
from poster.cli.exit_codes import DONE, JOB_CANCELLED, JOB_FAILED, REFUSED

_OF_ENDED: Final = {
    State.COMPLETED: DONE,
    State.FAILED: JOB_FAILED,
    State.REVERT_FAILED: JOB_FAILED,
    State.CANCELLED: JOB_CANCELLED,
}
_OF_CANCELLED: Final = {
    State.CANCELLED: DONE,
    State.FAILED: JOB_FAILED,
    State.REVERT_FAILED: JOB_FAILED,
    State.COMPLETED: REFUSED,  # someone retried it meanwhile
}


def of_ended(state: State) -> int:
    """How waiting for a job ends."""
    return _OF_ENDED[state]


def of_cancelled(state: State) -> int:
    """How waiting for a job ends that was asked to be cancelled."""
    return _OF_CANCELLED[state]
