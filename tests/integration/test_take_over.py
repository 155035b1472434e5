"""Jobs that pass from one conductor to the next: in order, after a crash, and against its will."""

from __future__ import annotations

import itertools
from contextlib import closing
from typing import Any

import pytest
from taskflow.patterns import unordered_flow

from conductor.watch import Watch
from jobboard.database import open_database
from jobboard.models import TaskError
from jobboard.schema import attempts, events, jobs
from jobboard.states import State
from jobboard.taskflow_rows import ATOMS, FLOWS
from tests.integration.house import Gate, Hold, House, Place, Step, settings_for
from tests.waiting import until

S = State


def fail(task: Step) -> None:
    raise ValueError("boom")


def stored(house: House) -> list[Any]:
    """Everything that a conductor writes for its jobs."""
    return [house.rows(table) for table in (jobs, attempts, events, FLOWS, ATOMS)]


ONE_JOB = {"max_dispatches": 1}


def three_steps(house: House, *acts: Any, **revert: Any) -> None:
    """Flow f of a, b and c. `acts` is what b does, attempt by attempt."""
    left = list(acts)
    house.flow(
        lambda: [
            house.step("a", revert=revert.get("a")),
            house.step("b", left.pop(0) if left else None, revert.get("b")),
            house.step("c", revert.get("c_fails"), None),
        ]
    )


# Handed back in order


def test_a_conductor_that_stops_hands_back_between_two_tasks(house):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one") as one:
        gate.arrived()
        house.suspend(one)
        gate.open.set()
        assert one.wait(10)
        handed_back = house.get(job)
        row = house.row(job)
        assert (handed_back.state, row["owner"], row["claims"], row["begun"]) == (S.PENDING, None, 0, True)
        assert [task.state for task in handed_back.tasks] == ["success", "success", "pending"]
        assert row["ran_s"] > 0
    with house.running("two"):
        done = house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a", "execute b", "execute c"]
    assert done.results == {"a": "a's result", "b": "b's result", "c": "c's result"}
    assert (done.attempt, done.conductor, house.row(job)["claims"]) == (1, "two", 1)
    assert house.row(job)["ran_s"] > row["ran_s"]
    assert house.states_of(job) == ["pending", "running", "pending", "running", "completed"]
    assert [line.message for line in house.lines(job)][2:4] == [
        "its conductor shut down in order; results are kept",
        "claimed by two",
    ]
    assert len(house.rows(attempts)) == 1


def test_a_cancel_of_what_was_handed_back_reverts_it(house):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one") as one:
        gate.arrived()
        house.suspend(one)
        gate.open.set()
    assert house.records.cancel(job, by="bob", reason="enough").state is S.CANCELLING
    with house.running("two"):
        done = house.comes_to(job, S.CANCELLED)
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    assert (done.reason, done.cancel.reverted, done.cancel.total) == ("cancelled by bob: enough", 2, 2)
    assert done.cancel.requested_at <= done.cancel.delivered_at <= done.cancel.stopped_at


def test_what_was_in_flight_is_reverted_though_the_next_conductor_stops_before_it_goes_on(house):
    gate, hold = Gate(), Hold()

    def make() -> Any:
        if house.calls:
            gate.reached.set()
            gate.open.wait(60)
        return [house.step("a"), house.step("b", hold)]

    house.flow(make)
    job = house.post()
    with house.running("one", grace_s=0.2) as one:
        hold.arrived()
        one.stop()
        assert one.wait(10)
    with house.running("two") as two:
        gate.arrived()
        house.suspend(two)
        gate.open.set()
        assert two.wait(10)
    assert house.calls == ["execute a", "execute b"]
    assert house.records.cancel(job, by="bob").state is S.CANCELLING
    with house.running("three"):
        house.comes_to(job, S.CANCELLED)
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]


def test_what_does_not_stop_within_the_grace_time_is_interrupted_and_not_reverted(house):
    hold = Hold()
    three_steps(house, hold)
    job = house.post()
    with house.running("one", grace_s=0.2) as one:
        hold.arrived()
        one.stop()
        assert one.wait(10)
    assert house.calls == ["execute a", "execute b"]
    row = house.row(job)
    assert (row["state"], row["claims"]) == ("running", 1)
    with house.running("two"):
        house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a", "execute b", "execute b", "execute c"]
    assert house.row(job)["claims"] == 2
    claimed_by = [line.data["owner"] for line in house.lines(job) if line.data and "owner" in line.data]
    assert len(set(claimed_by)) == 2


def test_a_job_that_is_being_reverted_is_handed_back_between_two_reverts(house):
    gate = Gate()
    three_steps(house, None, b=gate, c_fails=fail)
    job = house.post()
    with house.running("one") as one:
        gate.arrived()
        house.suspend(one)
        gate.open.set()
        assert one.wait(10)
        row = house.row(job)
        assert (row["state"], row["owner"], row["claims"]) == ("reverting", None, 0)
    with house.running("two"):
        done = house.comes_to(job, S.FAILED)
    assert house.calls[3:] == ["revert c", "revert b", "revert a"]
    assert done.error == TaskError("c", "ValueError", "boom")
    assert house.rows(attempts)[0]["error"]["message"] == "boom"


# Taken over after a crash


def test_a_running_job_goes_on_with_the_task_in_flight(house):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one", run=ONE_JOB):
        gate.arrived()
        house.expire("one")
        with house.running("two"):
            done = house.comes_to(job, S.COMPLETED)
            gate.open.set()  # the first one wakes up, and what it does counts no more
    assert sorted(house.calls) == ["execute a", "execute b", "execute b", "execute c"]
    assert house.get(job) == done
    assert (done.attempt, done.conductor, done.results["b"]) == (1, "two", "b's result")
    row = house.row(job)
    assert (row["epoch"], row["claims"]) == (2, 2)
    told = [line.message for line in house.lines(job)]
    assert told[2] == "taken over by two from one, which was not heard of any more"
    assert house.states_of(job) == ["pending", "running", "running", "completed"]


def test_of_a_parallel_flow_only_what_had_not_ended_runs_again(house):
    gates = {name: Gate() for name in "bc"}
    acts: dict[str, Any] = dict(gates)

    def make() -> Any:
        steps = [house.step(name, acts.get(name)) for name in "abc"]
        return unordered_flow.Flow("f").add(*steps)

    house.flow(make, engine="parallel")
    job = house.post()
    with house.running("one", run=ONE_JOB):
        for gate in gates.values():
            gate.arrived()
        until(lambda: house.get(job).tasks[0].state == "success", what="the end of a")
        acts.clear()
        house.expire("one")
        with house.running("two"):
            house.comes_to(job, S.COMPLETED)
            for gate in gates.values():
                gate.open.set()
    assert sorted(house.calls) == ["execute a", "execute b", "execute b", "execute c", "execute c"]


def before_it_goes_on(house: House) -> Gate:
    """Where a conductor that has made the flow waits, once another one has had the job."""
    gate = Gate()
    made = itertools.count()

    def make() -> Any:
        steps = [house.step("a"), house.step("b", None if next(made) else Hold()), house.step("c")]
        if next(made) > 1:
            gate(steps[0])
        return steps

    house.flow(make)
    return gate


@pytest.mark.parametrize("asked", ["pause", "shutdown"])
def test_a_job_that_is_stopped_before_its_task_in_flight_goes_on_is_not_lost(house, asked):
    gate = before_it_goes_on(house)
    job = house.post()
    with house.running("one", run=ONE_JOB):
        until(lambda: "execute b" in house.calls, 60, "the task that is in flight")
        house.expire("one")
        with house.running("two") as two:
            gate.arrived()
            (run,) = two._running()
            if asked == "pause":
                house.records.pause(job, by="bob")
                until(run._pause.is_set, 60, "the pause to be delivered")
            else:
                house.suspend(two)
            gate.open.set()
            house.comes_to(job, S.PAUSED if asked == "pause" else S.PENDING)
    if asked == "pause":
        house.records.resume(job, by="bob")
    house.drain(name="three")
    assert house.get(job).state is S.COMPLETED
    assert house.calls == ["execute a", "execute b", "execute b", "execute c"]


def test_tasks_that_wait_for_a_thread_when_their_conductor_ends_are_not_lost(database_url):
    gates = {name: Gate() for name in "abc"}
    with closing(open_database(database_url)) as database:
        house = House(database, settings_for(database_url, parallel="1"))
        house.flow(
            lambda: unordered_flow.Flow("f").add(*(house.step(name, gates[name]) for name in "abc")),
            engine="parallel",
        )
        job = house.post()
        with house.running("one", slots=1, grace_s=60) as one:
            until(lambda: house.calls, 60, "the first task")
            house.suspend(one)
            gates[house.calls[0][-1]].open.set()
            until(lambda: len(house.calls) == 2, 60, "the second task, which is quicker than the engine")
            until(lambda: "success" in [task.state for task in house.get(job).tasks], 60, "the end of the first")
            gates[house.calls[1][-1]].open.set()
        handed_back = house.get(job)
        assert handed_back.state is S.PENDING
        assert sorted(task.state for task in handed_back.tasks) == ["pending", "success", "success"]
        for gate in gates.values():
            gate.open.set()
        house.drain(name="two")
        assert house.get(job).state is S.COMPLETED
        assert sorted(house.calls) == ["execute a", "execute b", "execute c"]


def test_a_cancelling_job_is_only_reverted(house):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one", run=ONE_JOB):
        gate.arrived()
        house.records.cancel(job, by="bob", reason="enough")
        house.expire("one")
        with house.running("two"):
            done = house.comes_to(job, S.CANCELLED)
            gate.open.set()
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    assert house.get(job) == done
    assert (done.reason, done.cancel.reverted, done.cancel.total) == ("cancelled by bob: enough", 2, 2)
    assert house.states_of(job) == ["pending", "running", "cancelling", "cancelling", "cancelled"]


def test_a_reverting_job_is_only_reverted_and_keeps_its_error(house):
    gate = Gate()
    reverts = [gate, None]
    house.flow(lambda: [house.step("a", revert=reverts.pop(0)), house.step("b", fail)])
    job = house.post()
    with house.running("one", run=ONE_JOB):
        gate.arrived()
        house.expire("one")
        with house.running("two"):
            done = house.comes_to(job, S.FAILED)
            gate.open.set()
    assert house.calls == ["execute a", "execute b", "revert b", "revert a", "revert a"]
    assert (done.error, done.cancel) == (TaskError("b", "ValueError", "boom"), None)
    assert house.rows(attempts)[0]["error"]["message"] == "boom"


def test_a_cancel_of_a_reverting_job_that_was_taken_over_names_who_asked(house):
    first, second = Gate(), Gate()
    gates = iter([first, second])
    house.flow(lambda: [house.step("a", revert=next(gates)), house.step("b", fail)])
    job = house.post(max_retries=3)
    with house.running("one", run=ONE_JOB):
        first.arrived()
        house.expire("one")
        with house.running("two"):
            second.arrived()
            house.records.cancel(job, by="bob", reason="enough")
            first.open.set()
            second.open.set()
            done = house.comes_to(job, S.CANCELLED)
    assert (done.attempt, done.reason) == (1, "cancelled by bob: enough")


def test_what_was_reverted_when_the_crash_came_is_not_done_again(house):
    house.flow(lambda: [house.step("a"), house.step("b", fail)])
    job = house.run()
    house.calls.clear()
    # As if the conductor had died just before it told the record.
    house.change(job.id, state="cancelling", cancel_requested_at=house.database.now(), cancel_by="bob")
    house.drain()
    assert house.calls == []
    again = house.get(job.id)
    assert (again.state, again.reason) == (S.CANCELLED, "cancelled by bob")
    assert (again.cancel.reverted, again.cancel.total) == (2, 2)
    assert [task.state for task in again.tasks] == ["reverted", "reverted"]


def test_a_revert_that_had_failed_when_the_crash_came_is_not_forgotten(house):
    house.flow(lambda: [house.step("z"), house.step("a", revert=fail), house.step("b", fail)])
    job = house.run()
    assert job.state is S.REVERT_FAILED
    house.calls.clear()
    house.change(job.id, state="reverting", reason=None)
    house.drain()
    again = house.get(job.id)
    assert again.state is S.REVERT_FAILED
    assert again.reason.startswith("the revert of a failed")
    assert "revert a" not in house.calls
    assert not any(call.startswith("execute") for call in house.calls)


def test_a_job_whose_conductors_die_again_and_again_is_given_up(house):
    gate = Gate()
    three_steps(house, gate)
    job = house.post(max_retries=2)
    with house.running("one", run=ONE_JOB):
        gate.arrived()
        house.change(job, claims=house.settings.max_claims, retries_left=0)
        house.expire("one")
        with house.running("two"):
            try:
                done = house.comes_to(job, S.FAILED)
            finally:
                gate.open.set()
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    assert (done.error.task, done.error.type) == (None, "TooManyClaims")
    assert done.error.message == "given up: 5 conductors died or failed while they had it"


@pytest.mark.parametrize("state", [S.CANCELLING, S.REVERTING])
def test_a_job_whose_revert_kills_its_conductors_is_given_up_with_its_effects_named(house, state):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one", run=ONE_JOB):
        gate.arrived()
        house.change(job, state=str(state), claims=house.settings.max_claims + 1)
        house.expire("one")
        with house.running("two"):
            done = house.comes_to(job, S.REVERT_FAILED)
            gate.open.set()
    assert house.calls == ["execute a", "execute b"]
    assert done.error.type == "TooManyClaims"
    assert done.reason.endswith("effects may remain of: a, b")
    house.assert_at_rest(job)


def test_a_flow_that_has_changed_under_its_job_is_refused(house):
    gate = Gate()
    three_steps(house, gate)
    job = house.post()
    with house.running("one", run=ONE_JOB):
        gate.arrived()
        house.flow(lambda: [house.step("a"), house.step("c")])
        house.expire("one")
        with house.running("two"):
            done = house.comes_to(job, S.REVERT_FAILED)
            gate.open.set()
    assert house.calls == ["execute a", "execute b"]
    assert (done.error.task, done.error.type) == (None, "FlowChanged")
    assert "the structure of flow f has changed" in done.reason
    assert done.reason.endswith("effects may remain of: a, b")
    house.assert_at_rest(job)


def test_a_job_that_is_taken_over_keeps_the_time_it_has_run(house):
    gate = Gate()
    three_steps(house, gate)
    job = house.post(timeout_s=3600)
    with house.running("one") as one:
        gate.arrived()
        house.suspend(one)
        gate.open.set()
    house.change(job, ran_s=3599.9)
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b"), house.step("c", hold)])
    with house.running("two"):
        done = house.comes_to(job, S.FAILED)
    assert done.error.message == "timed out after 1h"
    assert house.calls[-3:] == ["revert c", "revert b", "revert a"]


# Taken away


def test_a_claim_that_has_passed_on_before_the_task_in_flight_goes_on_runs_nothing(house, monkeypatch):
    gate = before_it_goes_on(house)
    job = house.post()
    with house.running("one", run=ONE_JOB, grace_s=0.2):
        until(lambda: "execute b" in house.calls, 60, "the task that is in flight")
        house.expire("one")
        monkeypatch.setattr(Watch, "_look_at", lambda *_: None)  # it has not looked yet
        with house.running("two", run=ONE_JOB) as two:
            gate.arrived()
            house.change(job, epoch=99)  # it was frozen, and another has had the job
            gate.open.set()
            assert two.wait(10)
    assert house.calls == ["execute a", "execute b"]


def test_a_claim_that_has_passed_on_is_given_up_without_a_trace(house):
    hold = Hold()
    three_steps(house, hold)
    job = house.post()
    with house.running("one", run=ONE_JOB) as one:
        hold.arrived()
        house.change(job, epoch=99)
        before = stored(house)
        assert one.wait(10)
    assert stored(house) == before
    assert house.calls == ["execute a", "execute b"]


def test_a_conductor_whose_lease_was_lost_begins_anew_and_never_has_a_job_twice(house, database_url):
    class Crowded(Place):
        """Fails the test if two are here at once."""

        inside = 0

        def __call__(self, task: Step) -> None:
            self.inside += 1
            assert self.inside == 1
            self.reached.set()
            if len(house.calls) == 2:
                gate(task)
            self.inside -= 1

    house.settings = settings_for(database_url, lease="2s")
    gate, crowded = Gate(), Crowded()
    house.flow(lambda: [house.step("a"), house.step("b", crowded), house.step("c")])
    job = house.post()
    with house.running("one"):
        crowded.arrived()
        house.expire("one")
        # It has a new lease, and the job is there to be claimed; but the task in flight has not ended yet.
        until(lambda: house.row_of_posting(job)["session"] is None, what="the claim's end")
        until(house.sessions_alive, what="a new lease")
        gate.open.set()
        house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a", "execute b", "execute b", "execute c"]
    assert house.row(job)["claims"] == 2
    claimed_by = [line.data["owner"] for line in house.lines(job) if line.data and "owner" in line.data]
    assert len(set(claimed_by)) == 2
