"""A revert that failed: named, refused, run again with those that never ran; or given up by an operator."""

from __future__ import annotations

import threading

import pytest
from taskflow.patterns import unordered_flow

from jobboard import history
from jobboard.errors import NoSuchJob, Refused
from jobboard.schema import attempts, jobs
from jobboard.states import State
from tests.integration.house import Gate, Hold, House, Step

S = State


def fail(task: Step) -> None:
    raise ValueError("boom")


class Stuck:
    """A revert that fails until it is mended."""

    def __init__(self) -> None:
        self.mended = False
        self.saw: list[object] = []

    def __call__(self, task: Step) -> None:
        self.saw.append(task.reverted_with)
        if not self.mended:
            raise OSError("disk is away")


@pytest.fixture
def stuck() -> Stuck:
    return Stuck()


def failed_revert(house: House, stuck: Stuck) -> str:
    """A job whose b did not revert, so that a was never asked."""
    house.flow(lambda: [house.step("a"), house.step("b", revert=stuck), house.step("c", fail)], max_retries=2)
    job = house.run(max_retries=2)
    assert job.state is S.REVERT_FAILED
    assert job.reason == "the revert of b failed; not reverted because of that: a"
    assert (job.error.task, job.error.type) == ("c", "ValueError")
    by_name = {task.name: task for task in job.tasks}
    assert by_name["b"].state == "revert_failure"
    assert by_name["b"].error.message == "disk is away"
    return job.id


def test_a_cleanup_runs_what_failed_then_what_never_ran(house, stuck):
    job = failed_revert(house, stuck)
    stuck.mended = True
    house.calls.clear()
    asked = house.records.cleanup(job, by="bob")
    assert (asked.state, asked.finished_at, asked.attempt) == (S.REVERTING, None, 1)
    house.drain()
    done = house.get(job)
    assert house.calls == ["revert b", "revert a"]
    assert stuck.saw == ["b's result", "b's result"]
    assert (done.state, done.error.task, done.reason) == (S.FAILED, "c", None)  # no automatic retry follows
    assert {task.name: task.state for task in done.tasks} == {"a": "reverted", "b": "reverted", "c": "reverted"}
    assert house.states_of(job)[-4:] == ["revert_failed", "reverting", "reverting", "failed"]
    house.assert_at_rest(job)
    assert not house.row(job)["cleanup"]
    house.records.retry(job, by="bob")


def test_a_cleanup_may_fail_again_and_be_asked_for_again(house, stuck):
    job = failed_revert(house, stuck)
    for _ in range(2):
        house.calls.clear()
        house.records.cleanup(job, by="bob")
        house.drain()
        assert house.get(job).state is S.REVERT_FAILED
        assert house.calls == ["revert b"]
        assert house.get(job).reason == "the revert of b failed; not reverted because of that: a"
    stuck.mended = True
    house.records.cleanup(job, by="bob")
    house.drain()
    assert house.get(job).state is S.FAILED


def test_of_a_cancelled_job_it_ends_cancelled(house, stuck):
    hold = Hold()
    house.flow(lambda: [house.step("a", revert=stuck), house.step("b", hold)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob", reason="wrong file")
        failed = house.comes_to(job, S.REVERT_FAILED)
        assert (failed.error.task, failed.error.message) == ("a", "disk is away")
        stuck.mended = True
        assert house.records.cleanup(job, by="bob").state is S.CANCELLING
        done = house.comes_to(job, S.CANCELLED)
    assert (done.reason, done.cancel.by, done.cancel.reverted, done.cancel.total) == (
        "cancelled by bob: wrong file",
        "bob",
        2,
        2,
    )
    assert done.error is None  # it was that of the revert, which succeeded


@pytest.mark.parametrize("engine", ["serial", "parallel"])
def test_two_reverts_that_failed_beside_each_other(house, stuck, engine):
    def make() -> object:
        both = unordered_flow.Flow("both").add(house.step("x", revert=stuck), house.step("y", revert=stuck))
        return [house.step("a"), both, house.step("c", fail)]

    house.flow(make, engine=engine)
    job = house.run()
    assert job.state is S.REVERT_FAILED
    stuck.mended = True
    house.calls.clear()
    house.records.cleanup(job.id, by="bob")
    house.drain()
    assert house.get(job.id).state is S.FAILED
    assert set(house.calls) >= {"revert a"}
    assert {task.state for task in house.get(job.id).tasks} == {"reverted"}


def test_a_conductor_that_dies_in_a_cleanup_is_replaced_by_one_that_goes_on(house, stuck):
    job = failed_revert(house, stuck)
    gate = Gate()
    stuck.mended = True

    def revert_later(task: Step) -> None:
        gate(task)

    house.registry.get("f")
    house.records.cleanup(job, by="bob")
    # The first conductor is at the revert of a when its lease ends.
    house.registry._flows.clear()
    house.flow(
        lambda: [house.step("a", revert=revert_later), house.step("b", revert=stuck), house.step("c", fail)]
    )
    with house.running("one"):
        gate.arrived()
        house.expire("one")
        with house.running("two"):
            house.comes_to(job, S.REVERTING)
            gate.open.set()
            done = house.comes_to(job, S.FAILED)
    assert {task.state for task in done.tasks} == {"reverted"}


def test_what_is_refused_meanwhile(house, stuck):
    job = failed_revert(house, stuck)
    with pytest.raises(Refused, match="retry --cleanup"):
        house.records.retry(job, by="bob")
    with pytest.raises(Refused, match="a revert failed"):
        house.records.cancel(job, by="bob")
    with pytest.raises(Refused, match="a revert failed"):
        house.records.delete(job, by="bob")
    for ask in (house.records.pause, house.records.resume):
        with pytest.raises(Refused, match="it is revert_failed"):
            ask(job, by="bob")
    assert house.get(job).state is S.REVERT_FAILED


def test_an_operator_gives_the_effects_up(house, stuck):
    job = failed_revert(house, stuck)
    again = house.records.force(job, by="bob", reason="removed by hand")
    assert (again.state, again.attempt, again.error, again.reason) == (S.PENDING, 2, None, None)
    assert house.lines(job)[-1].message == "effects given up by bob: removed by hand"
    stuck.mended = True
    house.calls.clear()
    house.drain()
    assert house.calls[0] == "execute a"


def test_an_operator_removes_it(house, stuck):
    job = failed_revert(house, stuck)
    assert house.records.delete(job, by="bob", reason="removed by hand", force=True) is None
    with pytest.raises(NoSuchJob):
        house.get(job)
    assert house.rows(jobs) == house.rows(attempts) == []


def test_only_a_failed_revert_is_cleaned_up_or_forced(house):
    house.flow(lambda: [house.step("a")])
    job = house.run().id
    with pytest.raises(Refused, match="it is completed: only a job whose revert failed"):
        house.records.cleanup(job, by="bob")
    with pytest.raises(Refused, match="it is completed: only a job whose revert failed"):
        house.records.force(job, by="bob", reason="x")


def test_a_flow_that_changed_cannot_be_cleaned_up(house, stuck):
    job = failed_revert(house, stuck)
    house.registry._flows.clear()
    house.flow(lambda: [house.step("a"), house.step("z"), house.step("c", fail)])
    house.records.cleanup(job, by="bob")
    house.drain()
    found = house.get(job)
    assert (found.state, found.error.type) == (S.REVERT_FAILED, "FlowChanged")
    assert found.reason.endswith("effects may remain of: a, b")
    with pytest.raises(Refused, match="structure has changed"):
        house.records.cleanup(job, by="bob")


def test_its_history_tells_it_all(house, stuck):
    job = failed_revert(house, stuck)
    stuck.mended = True
    house.records.cleanup(job, by="bob")
    house.drain()
    said = [(line.state, line.by, line.message) for line in house.lines(job)][-4:]
    assert said[0] == ("revert_failed", None, "a revert failed: its effects may remain")
    assert said[1] == ("reverting", "bob", "cleanup asked for by bob")
    assert said[2][0] == "reverting"
    assert "claimed by one" in said[2][2]
    assert said[3] == ("failed", None, "every task that began was reverted")
    assert threading.active_count() < 50
    assert [line.task for line in house.lines(job, history.TASK) if line.state == "reverted"] == ["c", "b", "a"]
