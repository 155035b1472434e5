"""`on_failure = keep`: what the tasks did stays; a retry goes on at the failed task; a cancel reverts it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from taskflow import retry
from taskflow.patterns import linear_flow

from jobboard.errors import Refused
from jobboard.states import State
from tests.integration.house import Gate, Hold, House, Step
from tests.requests_seen import on_commits
from tests.waiting import until

S = State


class Fails:
    """Fails so many times, then succeeds."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self, task: Step) -> str:
        if self.left > 0:
            self.left -= 1
            raise ValueError("boom")
        return "done"


def kept(house: House, failing: Fails, engine: str = "serial") -> str:
    house.flow(
        lambda: [house.step("a"), house.step("b", failing), house.step("c")], on_failure="keep", engine=engine
    )
    job = house.run(on_failure="keep")
    assert job.state is S.FAILED
    assert (job.error.task, job.error.type, job.error.message) == ("b", "ValueError", "boom")
    assert [task.state for task in job.tasks] == ["success", "failure", "pending"]
    assert house.calls == ["execute a", "execute b"]
    assert house.states_of(job.id) == ["pending", "running", "failed"]
    house.assert_at_rest(job.id)
    return job.id


@pytest.mark.parametrize("engine", ["serial", "parallel"])
def test_a_retry_goes_on_at_the_failed_task(house, engine):
    job = kept(house, Fails(1), engine)
    again = house.records.retry(job, by="bob")
    assert (again.state, again.attempt, again.error) == (S.PENDING, 1, None)
    house.drain()
    done = house.get(job)
    assert (done.state, done.attempt) == (S.COMPLETED, 1)
    assert done.results == {"a": "a's result", "b": "done", "c": "c's result"}
    assert house.calls == ["execute a", "execute b", "execute b", "execute c"]


def test_at_no_moment_is_the_failed_task_stored_as_one_that_never_began(house):
    """A conductor may die at any of them, and a cancel then has to revert it."""
    job = kept(house, Fails(1))
    stored: list[str] = []

    def note(_commit):
        """What the transaction before has left of it: another thread may write in between, but not tear it."""
        with house.database.read() as connection:
            stored.extend(connection.execute(sa.text("SELECT state FROM atomdetails WHERE name = 'b'")).scalars())

    on_commits(house.database, note)
    house.records.retry(job, by="bob")
    house.drain()
    assert house.get(job).state is S.COMPLETED
    note(None)
    assert {"FAILURE", "RUNNING", "SUCCESS"} == set(stored)


def test_it_may_fail_and_be_kept_again(house):
    job = kept(house, Fails(2))
    house.records.retry(job, by="bob")
    house.drain()
    assert house.get(job).state is S.FAILED
    house.records.retry(job, by="bob")
    house.drain()
    assert house.get(job).state is S.COMPLETED
    assert house.calls.count("execute a") == 1
    assert house.calls.count("execute b") == 3


def test_a_cancel_reverts_what_was_kept(house):
    job = kept(house, Fails(1))
    asked = house.records.cancel(job, by="bob", reason="enough")
    assert (asked.state, asked.finished_at) == (S.CANCELLING, None)
    house.calls.clear()
    house.drain()
    done = house.get(job)
    assert (done.state, done.reason) == (S.CANCELLED, "cancelled by bob: enough")
    assert house.calls == ["revert b", "revert a"]
    again = house.records.retry(job, by="bob")  # and now everything begins anew
    assert again.attempt == 2
    house.drain()
    assert house.get(job).state is S.COMPLETED


def test_a_cancel_while_it_runs_reverts(house):
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b", hold)], on_failure="keep")
    job = house.post(on_failure="keep")
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        house.comes_to(job, S.CANCELLED)
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]


def test_a_cancel_while_the_last_task_ends_reverts(house):
    gate = Gate()
    house.flow(lambda: [house.step("a"), house.step("b", gate)], on_failure="keep")
    job = house.post(on_failure="keep")
    with house.running():
        gate.arrived()
        house.records.cancel(job, by="bob")
        gate.open.set()
        house.comes_to(job, S.CANCELLED)
    assert house.calls[-2:] == ["revert b", "revert a"]


def test_a_retry_controller_is_asked_all_the_same(house):
    failing = Fails(5)

    def make() -> object:
        tried = linear_flow.Flow("tried", retry=retry.Times(3, name="tries")).add(house.step("b", failing))
        return [house.step("a"), tried]

    house.flow(make, on_failure="keep")
    job = house.run(on_failure="keep")
    assert (job.state, job.error.task) == (S.FAILED, "b")
    assert house.calls.count("execute b") == 3
    assert "revert a" not in house.calls
    assert job.tasks[0].state == "success"


def test_it_goes_on_by_itself_when_retries_are_left(house):
    failing = Fails(1)
    house.flow(lambda: [house.step("a"), house.step("b", failing)], on_failure="keep")
    job = house.post(on_failure="keep", max_retries=1, retry_interval_s=3600.0)
    house.drain()
    waits = house.get(job)
    assert (waits.state, waits.attempt, waits.error) == (S.PENDING, 1, None)
    assert waits.due_at - house.database.now() > timedelta(minutes=50)
    assert house.states_of(job) == ["pending", "running", "failed", "pending"]
    house.change(job, due_at=house.database.now())
    house.drain()
    assert house.get(job).state is S.COMPLETED
    assert house.calls.count("execute a") == 1


def test_its_arguments_stand(house):
    job = kept(house, Fails(1))
    with pytest.raises(Refused, match="its arguments with them"):
        house.records.retry(job, by="bob", arguments={"x": 1})
    assert house.get(job).state is S.FAILED


def test_a_conductor_that_dies_goes_on_elsewhere(house):
    gate = Gate()
    job = kept(house, Fails(1))
    house.registry._flows.clear()
    house.flow(lambda: [house.step("a"), house.step("b", gate), house.step("c")], on_failure="keep")
    house.records.retry(job, by="bob")
    with house.running("one"):
        gate.arrived()
        house.expire("one")
        gate.open.set()
        with house.running("two"):
            done = house.comes_to(job, S.COMPLETED)
    assert done.attempt == 1
    assert house.calls.count("execute a") == 1


@pytest.fixture
def about_to_go_on(house):
    """A kept job that was retried, and its conductor just before the failed task would begin again."""
    job = kept(house, Fails(1))
    gate = Gate()

    def make() -> object:
        steps = [house.step("a"), house.step("b", Fails(0)), house.step("c")]
        gate(steps[0])
        return steps

    house.registry._flows.clear()
    house.flow(make, on_failure="keep")
    house.records.retry(job, by="bob")
    house.calls.clear()
    with house.running() as conductor:
        gate.arrived()
        (run,) = conductor._running()
        yield job, run, gate.open


def test_what_failed_is_reverted_though_a_cancel_was_faster_than_its_next_try(house, about_to_go_on):
    job, run, go_on = about_to_go_on
    house.records.cancel(job, by="bob")
    until(lambda: run.token.is_set, 60, "the cancel to be delivered")
    go_on.set()
    house.comes_to(job, S.CANCELLED)
    assert house.calls == ["revert b", "revert a"]


def test_what_failed_is_reverted_though_a_pause_was_faster_than_its_next_try(house, about_to_go_on):
    job, run, go_on = about_to_go_on
    house.records.pause(job, by="bob")
    until(run._pause.is_set, 60, "the pause to be delivered")
    go_on.set()
    house.comes_to(job, S.PAUSED)
    house.records.cancel(job, by="bob")
    house.comes_to(job, S.CANCELLED)
    assert house.calls == ["revert b", "revert a"]


def test_a_pause_that_is_faster_than_the_next_try_is_taken_back(house, about_to_go_on):
    job, run, go_on = about_to_go_on
    house.records.pause(job, by="bob")
    until(run._pause.is_set, 60, "the pause to be delivered")
    go_on.set()
    house.comes_to(job, S.PAUSED)
    house.records.resume(job, by="bob")
    house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute b", "execute c"]


def test_one_that_is_given_up_after_a_retry_keeps_nothing(house):
    job = kept(house, Fails(2))
    house.records.retry(job, by="bob")
    house.change(job, claims=house.settings.max_claims)  # so many conductors died under it
    house.drain()
    assert (house.get(job).state, house.get(job).kept) == (S.FAILED, False)
    assert house.calls[2:] == ["revert b", "revert a"]
    assert house.records.retry(job, by="bob").attempt == 2
