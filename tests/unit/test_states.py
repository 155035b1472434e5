"""The table of transitions, as a whole: every state is reached, and none leads astray."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from conductor.outcome import RESTS
from jobboard.decisions import Accept, on_cancel, on_retry
from jobboard.states import AT_REST, CURRENT, ENDED, TRANSITIONS, UNDOING, Cause, State, transition

S, C = State, Cause

ASKED = {C.CANCEL, C.PAUSE, C.RESUME, C.RETRY, C.CLEANUP, C.FORCE}
"""What moves a job because someone asked for it. The rest happens by itself."""


def reached_from(start: State, *, without: set[Cause]) -> set[State]:
    reached, border = {start}, [start]
    while border:
        state = border.pop()
        for edge in TRANSITIONS:
            if edge.source is state and edge.cause not in without and edge.target not in reached:
                reached.add(edge.target)
                border.append(edge.target)
    return reached


def test_every_state_is_reached_from_pending():
    assert reached_from(S.PENDING, without=set()) == set(State)


@pytest.mark.parametrize("state", sorted(set(State) - AT_REST))
def test_from_everywhere_a_job_comes_to_an_end_by_itself(state):
    assert reached_from(state, without=ASKED) & ENDED


@pytest.mark.parametrize("state", sorted(ENDED))
def test_nothing_leaves_an_ended_state_unless_someone_asks(state):
    assert reached_from(state, without=ASKED) == {state}


def test_nothing_leaves_completed():
    assert reached_from(S.COMPLETED, without=set()) == {S.COMPLETED}


def test_an_accepted_cancel_ends_cancelled_or_with_a_failed_revert_and_never_completed():
    assert reached_from(S.CANCELLING, without=ASKED) & ENDED == {S.CANCELLED, S.REVERT_FAILED}


def test_what_is_being_reverted_does_not_run_on_in_the_same_attempt():
    forward = reached_from(S.REVERTING, without=ASKED | {C.RETRY_LATER})
    assert forward == {S.REVERTING, S.FAILED, S.REVERT_FAILED}


def test_the_groups_of_states_fit_together():
    assert ENDED < AT_REST
    assert UNDOING < CURRENT
    assert CURRENT | AT_REST | {S.PENDING} == set(State)
    assert not CURRENT & AT_REST


def test_no_edge_is_there_twice_or_leads_nowhere():
    edges = Counter((edge.source, edge.cause, edge.target) for edge in TRANSITIONS)
    assert [edge for edge, count in edges.items() if count > 1] == []
    assert [edge for edge in TRANSITIONS if edge.source is edge.target] == []


def test_every_cause_moves_something():
    assert {edge.cause for edge in TRANSITIONS} == set(Cause)


@pytest.mark.parametrize("edge", TRANSITIONS, ids=lambda edge: f"{edge.source}-{edge.cause}-{edge.target}")
def test_every_edge_says_why(edge):
    assert len(edge.reason) > 5
    assert edge.reason == edge.reason.strip(" .")


def test_an_edge_is_found_only_if_it_is_in_the_table():
    table = {(edge.source, edge.cause, edge.target): edge for edge in TRANSITIONS}
    for way in product(State, Cause, State):
        if way in table:
            assert transition(*way) is table[way]
        else:
            with pytest.raises(KeyError):
                transition(*way)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_decisions_propose_only_edges_of_the_table(state, begun, kept):
    for decision in (on_cancel(state, begun=begun, kept=kept), on_retry(state)):
        if isinstance(decision, Accept):
            transition(state, decision.cause, decision.target)


def test_what_an_ended_engine_means_is_in_the_table():
    for rests in RESTS.values():
        for source, (cause, target) in rests.items():
            transition(source, cause, target)
