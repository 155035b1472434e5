"""What an ended engine means."""

from __future__ import annotations

from itertools import product

import pytest

from conductor.outcome import RESTS, Ending, ending_of
from jobboard.states import Cause, State

FLOW_STATES = (None, "PENDING", "RUNNING", "SUSPENDED", "SUCCESS", "FAILURE", "REVERTED", "RESUMING")


@pytest.mark.parametrize(
    ("flow", "atoms", "ending"),
    [
        ("SUCCESS", ["SUCCESS", "SUCCESS"], Ending.SEALED),
        ("SUSPENDED", ["SUCCESS", "PENDING"], Ending.SUSPENDED),
        ("REVERTED", ["REVERTED", "PENDING"], Ending.REVERTED),
        ("FAILURE", ["SUCCESS", "REVERT_FAILURE"], Ending.REVERT_FAILED),
        # TaskFlow forgets a failed revert when the flow runs again.
        ("REVERTED", ["REVERTED", "REVERT_FAILURE"], Ending.REVERT_FAILED),
        ("SUSPENDED", ["SUCCESS", "REVERT_FAILURE"], Ending.REVERT_FAILED),
        ("FAILURE", ["SUCCESS", "RUNNING"], Ending.STUCK),
        ("RUNNING", ["SUCCESS", "FAILURE"], Ending.STUCK),
        (None, [], Ending.STUCK),
    ],
)
def test_how_a_run_ended(flow, atoms, ending):
    assert ending_of(flow, dict(enumerate(atoms)), lost=False) is ending


@pytest.mark.parametrize("flow", FLOW_STATES)
@pytest.mark.parametrize("atom", [None, "SUCCESS", "REVERT_FAILURE"])
def test_a_lost_claim_leaves_everything_to_others(flow, atom):
    assert ending_of(flow, {"a": atom}, lost=True) is Ending.LOST


def test_only_a_success_of_taskflow_is_called_sealed():
    for flow, atom in product(FLOW_STATES, ["SUCCESS", "REVERTED"]):
        assert (ending_of(flow, {"a": atom}, lost=False) is Ending.SEALED) == (flow == "SUCCESS")


def test_a_cancelled_job_comes_to_rest_only_when_it_is_undone():
    assert RESTS[Ending.REVERTED][State.CANCELLING] == (Cause.REVERTED, State.CANCELLED)
    assert RESTS[Ending.REVERT_FAILED][State.CANCELLING] == (Cause.REVERT_FAILURE, State.REVERT_FAILED)
    assert all(State.CANCELLING not in RESTS.get(ending, {}) for ending in (Ending.SEALED, Ending.SUSPENDED))


def test_what_could_not_be_reverted_at_all_is_a_failed_revert():
    assert RESTS[Ending.STUCK] == RESTS[Ending.REVERT_FAILED]


def test_every_ending_but_a_lost_claim_says_what_becomes_of_the_record():
    assert set(RESTS) == set(Ending) - {Ending.LOST}


def test_a_suspended_job_is_never_ended():
    assert {target for _cause, target in RESTS[Ending.SUSPENDED].values()} == {State.PENDING, State.PAUSED}
