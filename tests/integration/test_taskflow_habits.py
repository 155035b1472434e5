"""What TaskFlow would make of a job, and what becomes of it under a conductor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from taskflow import retry
from taskflow.patterns import linear_flow, unordered_flow

from jobboard.database import open_database
from jobboard.models import TaskError
from jobboard.states import State
from tests.integration.house import Act, Gate, Hold, House, Step, settings_for

S = State


@pytest.fixture
def house(sqlite_url: str) -> Iterator[House]:
    database = open_database(sqlite_url)
    yield House(database, settings_for(sqlite_url))
    database.close()


def fail(task: Step) -> None:
    raise ValueError("boom")


def in_turn(*acts: Act) -> Act:
    """Each time that it is called, the next of these."""
    left = list(acts)

    def act(task: Step) -> Any:
        return left.pop(0)(task)

    return act


def test_a_suspend_that_comes_before_the_first_task_is_kept(house: House) -> None:
    """TaskFlow would ignore it: its engine can be suspended only once it runs."""
    making = Gate()

    def make() -> list[Step]:
        making.reached.set()
        assert making.open.wait(60)
        return [house.step("a"), house.step("b")]

    house.flow(make)
    job = house.post()
    with house.running("one") as one:
        making.arrived()
        house.suspend(one)
        making.open.set()
        assert one.wait(60)
    assert (house.get(job).state, house.calls) == (S.PENDING, [])
    with house.running("two"):
        house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a", "execute b"]


def test_a_parallel_flow_runs_in_the_threads_that_all_share(house: House) -> None:
    """TaskFlow would make threads of its own for each job, and wait a second for their end."""
    seen: list[str] = []

    def look(_task: Step) -> None:
        seen.append(threading.current_thread().name)

    house.flow(
        lambda: unordered_flow.Flow("f").add(*(house.step(name, look) for name in "abc")), engine="parallel"
    )
    assert house.run().state is S.COMPLETED
    assert len(seen) == 3
    assert all(name.startswith("parallel") for name in seen)


def test_a_failure_of_an_earlier_try_does_not_make_a_cancelled_job_a_failed_one(house: House) -> None:
    """TaskFlow keeps it, and raises it again at the end."""
    hold = Hold()

    def make() -> Any:
        inner = linear_flow.Flow("inner", retry=retry.Times(3, "tries")).add(house.step("b", in_turn(fail, hold)))
        return linear_flow.Flow("f").add(house.step("a"), inner)

    house.flow(make)
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        done = house.comes_to(job, S.CANCELLED)
    assert (done.error, done.reason) == (None, "cancelled by bob")
    assert house.calls == ["execute a", "execute b", "revert b", "execute b", "revert b", "revert a"]


def test_a_failure_of_an_earlier_attempt_does_not_come_back(house: House) -> None:
    """In one flow detail TaskFlow would keep it, and name it as the cause of what fails later."""

    def other(task: Step) -> None:
        raise KeyError("other")

    act = in_turn(fail, other)
    house.flow(lambda: [house.step("a", act)])
    job = house.run()
    assert job.error == TaskError("a", "ValueError", "boom")
    house.records.retry(job.id, by="ann")
    house.drain()
    assert house.get(job.id).error == TaskError("a", "KeyError", "'other'")


def test_a_failed_revert_is_not_forgotten_however_often_a_conductor_dies(house: House) -> None:
    """TaskFlow would call the flow reverted when it is run again, and execute everything the time after."""
    house.flow(lambda: [house.step("z"), house.step("a", revert=fail), house.step("b", fail)])
    job = house.run().id
    house.calls.clear()
    for _ in range(3):
        # As if the conductor had died just before it told the record.
        house.change(job, state="reverting", reason=None)
        house.drain()
        again = house.get(job)
        assert again.state is S.REVERT_FAILED
        assert again.reason.startswith("the revert of a failed")
    assert not any(call.startswith("execute") for call in house.calls)
    assert "revert a" not in house.calls
