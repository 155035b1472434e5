"""Cancel and retry in every state, against the table that users read."""

from __future__ import annotations

import pytest

from jobboard.decisions import Accept, NoChange, Refuse, on_cancel, on_retry
from jobboard.states import ENDED, Cause, State

S = State
CANCELLING = Accept(Cause.CANCEL, S.CANCELLING)
CANCELLED = Accept(Cause.CANCEL, S.CANCELLED)
AGAIN = Accept(Cause.RETRY, S.PENDING)

CANCEL = [
    # state, begun, kept, what becomes of it
    (S.PENDING, False, False, CANCELLED),
    (S.PENDING, True, False, CANCELLING),  # an earlier conductor left effects
    (S.RUNNING, True, False, CANCELLING),
    (S.PAUSING, True, False, CANCELLING),
    (S.PAUSED, True, False, CANCELLING),
    (S.PAUSED, False, False, CANCELLING),
    (S.CANCELLING, True, False, NoChange()),
    (S.REVERTING, True, False, CANCELLING),
    (S.COMPLETED, True, False, "already completed, nothing to cancel"),
    (S.FAILED, True, False, "already failed and reverted, nothing to cancel"),
    (S.FAILED, True, True, CANCELLING),  # its results were kept
    (S.CANCELLED, True, False, NoChange()),
    (S.CANCELLED, False, False, NoChange()),
    (S.REVERT_FAILED, True, False, "a revert failed, and a cancel cannot mend that: see `poster show`"),
]

RETRY = [
    (S.PENDING, "it is pending: only a failed or cancelled job can be retried"),
    (S.RUNNING, "it is running: only a failed or cancelled job can be retried"),
    (S.PAUSING, "it is pausing: only a failed or cancelled job can be retried"),
    (S.PAUSED, "it is paused: only a failed or cancelled job can be retried"),
    (S.CANCELLING, "is being cancelled: wait until it is cancelled, then retry"),
    (S.REVERTING, "is being reverted: wait until it has failed, then retry"),
    (S.COMPLETED, "already completed: post it again to run it again"),
    (S.FAILED, AGAIN),
    (S.CANCELLED, AGAIN),
    (
        S.REVERT_FAILED,
        (
            "a revert failed, so effects may remain: `poster retry --cleanup` runs it again; "
            "or clean up by hand, then `poster retry --force --reason T`"
        ),
    ),
]


@pytest.mark.parametrize(("state", "begun", "kept", "expected"), CANCEL)
def test_cancel(state, begun, kept, expected):
    decision = on_cancel(state, begun=begun, kept=kept)
    assert decision == (Refuse(expected) if isinstance(expected, str) else expected)


@pytest.mark.parametrize(("state", "expected"), RETRY)
def test_retry(state, expected):
    assert on_retry(state) == (Refuse(expected) if isinstance(expected, str) else expected)


def test_every_state_is_in_both_tables():
    assert {row[0] for row in CANCEL} == {row[0] for row in RETRY} == set(State)


@pytest.mark.parametrize("state", sorted(set(State) - ENDED))
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_a_job_that_has_not_ended_can_always_be_cancelled(state, begun, kept):
    assert not isinstance(on_cancel(state, begun=begun, kept=kept), Refuse)


@pytest.mark.parametrize("state", State)
def test_a_cancel_never_moves_what_is_served_already(state):
    decision = on_cancel(state, begun=True, kept=True)
    assert isinstance(decision, NoChange) == (state in (S.CANCELLING, S.CANCELLED))
