"""Pause and resume between tasks; delete, purge and retention; retries with other arguments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from conductor.service import Conductor
from flows.cancel_token import CancelKind
from flows.registry import flow
from jobboard import removal
from jobboard.errors import NoSuchJob, Refused
from jobboard.schema import attempts, events, jobs, postings
from jobboard.states import State
from jobboard.taskflow_rows import ATOMS, FLOWS, LOGBOOKS
from poster.client import Client
from tests.integration.house import Gate, Hold, House, Step
from tests.waiting import until

S = State


def fail(task: Step) -> None:
    raise ValueError("boom")


def pause(house: House, conductor: Conductor, job: str) -> None:
    """Ask for it, and wait until the conductor has heard of it: the task that runs may then go on."""
    assert house.records.pause(job, by="bob").state is S.PAUSING
    until(lambda: any(run._pause.is_set() for run in conductor._running()), what="the pause to be heard of")


# Pause


def test_a_pause_takes_hold_between_two_tasks_and_survives_everything(house):
    gate = Gate()
    house.flow(lambda: [house.step("a"), house.step("b", gate), house.step("c")])
    job = house.post()
    with house.running() as conductor:
        gate.arrived()
        pause(house, conductor, job)
        gate.open.set()
        paused = house.comes_to(job, S.PAUSED)
    assert [task.state for task in paused.tasks] == ["success", "success", "pending"]
    assert (paused.finished_at, house.row(job)["posting"], house.row(job)["owner"]) == (None, None, None)
    house.drain()  # other conductors leave it alone
    assert house.get(job).state is S.PAUSED
    assert house.records.resume(job, by="bob").state is S.PENDING
    house.drain()
    assert house.get(job).state is S.COMPLETED
    assert house.calls == ["execute a", "execute b", "execute c"]
    assert house.states_of(job) == [
        "pending",
        "running",
        "pausing",
        "paused",
        "pending",
        "running",
        "completed",
    ]
    assert house.row(job)["claims"] == 1  # a pause is no conductor's death


def test_a_pause_that_is_taken_back_in_time(house):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate), house.step("b")])
    job = house.post()
    with house.running() as conductor:
        gate.arrived()
        pause(house, conductor, job)
        assert house.records.resume(job, by="bob").state is S.RUNNING
        until(
            lambda: not any(run._pause.is_set() for run in conductor._running()), what="the resume to be heard of"
        )
        gate.open.set()
        house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a", "execute b"]


def test_a_pending_job_is_paused_at_once(house):
    house.flow(lambda: [house.step("a")])
    job = house.post()
    assert house.records.pause(job, by="bob").state is S.PAUSED
    assert house.records.pause(job, by="bob").state is S.PAUSED
    assert house.rows(postings) == []
    house.drain()
    assert house.calls == []
    house.records.resume(job, by="bob")
    assert house.records.resume(job, by="bob").state is S.PENDING
    house.drain()
    assert house.get(job).state is S.COMPLETED


def test_a_paused_job_that_is_cancelled_is_reverted(house):
    gate = Gate()
    house.flow(lambda: [house.step("a"), house.step("b", gate), house.step("c")])
    job = house.post()
    with house.running() as conductor:
        gate.arrived()
        pause(house, conductor, job)
        gate.open.set()
        house.comes_to(job, S.PAUSED)
        house.calls.clear()
        assert house.records.cancel(job, by="bob").state is S.CANCELLING
        house.comes_to(job, S.CANCELLED)
    assert house.calls == ["revert b", "revert a"]


def test_a_conductor_that_dies_while_it_pauses_leaves_a_paused_job(house):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate), house.step("b")])
    job = house.post()
    with house.running("one"):
        gate.arrived()
        house.records.pause(job, by="bob")
        house.expire("one")
        with house.running("two"):
            house.comes_to(job, S.PAUSED)
        gate.open.set()
    assert house.calls == ["execute a"]


def test_a_failure_while_it_pauses_ends_it(house):
    gate = Gate()

    def then_fail(task: Step) -> None:
        gate(task)
        raise ValueError("boom")

    house.flow(lambda: [house.step("a", then_fail)])
    job = house.post()
    with house.running():
        gate.arrived()
        house.records.pause(job, by="bob")
        gate.open.set()
        house.comes_to(job, S.FAILED)


@pytest.mark.parametrize("state", [S.CANCELLING, S.REVERTING, S.COMPLETED, S.FAILED, S.CANCELLED])
def test_what_cannot_be_paused_or_resumed(house, state):
    job = house.post()
    house.change(job, state=str(state))
    with pytest.raises(Refused, match=f"it is {state}"):
        house.records.pause(job, by="bob")
    with pytest.raises(Refused, match=f"it is {state}"):
        house.records.resume(job, by="bob")


# Delete


def nothing_is_left(house: House) -> bool:
    tables: tuple[sa.Table, ...] = (jobs, attempts, events, postings)
    with house.database.read() as connection:
        theirs = [connection.execute(sa.select(table.c.uuid)).all() for table in (LOGBOOKS, FLOWS, ATOMS)]
    return not any(house.rows(table) for table in tables) and not any(theirs)


@pytest.mark.parametrize("begins", [True, False])
def test_a_job_at_rest_goes_at_once(house, begins):
    house.flow(lambda: [house.step("a"), house.step("b", fail)])
    job = house.post()
    if begins:
        house.drain()
        house.records.retry(job, by="bob")
        house.drain()
    assert house.records.delete(job, by="bob") is None
    assert nothing_is_left(house)
    with pytest.raises(NoSuchJob):
        house.records.delete(job, by="bob")


def test_a_running_job_is_cancelled_first(house):
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b", hold)])
    job = house.post()
    with house.running() as conductor:
        hold.arrived()
        (run,) = conductor._running()
        asked = house.records.delete(job, by="bob")
        assert (asked.state, asked.deleting) == (S.CANCELLING, True)
        until(lambda: not house.rows(jobs), timeout=60, what="the job to go")
    assert run.token.cause.kind is CancelKind.DELETE
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    assert nothing_is_left(house)


def test_one_that_is_being_cancelled_is_marked(house):
    gate, hold = Gate(), Hold()
    house.flow(lambda: [house.step("a", revert=gate), house.step("b", hold)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        gate.arrived()
        assert house.records.delete(job, by="bob").state is S.CANCELLING
        gate.open.set()
        until(lambda: not house.rows(jobs), timeout=60, what="the job to go")
    assert nothing_is_left(house)


def test_if_a_revert_fails_it_stays_and_says_so(house):
    hold = Hold()
    house.flow(lambda: [house.step("a", revert=fail), house.step("b", hold)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.delete(job, by="bob")
        found = house.comes_to(job, S.REVERT_FAILED)
    assert found.reason == "not deleted: the revert of a failed"
    assert not found.deleting


def test_a_paused_job_is_reverted_and_goes(house):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate), house.step("b")])
    job = house.post()
    with house.running() as conductor:
        gate.arrived()
        pause(house, conductor, job)
        gate.open.set()
        house.comes_to(job, S.PAUSED)
        house.records.delete(job, by="bob")
        until(lambda: not house.rows(jobs), timeout=60, what="the job to go")
    assert house.calls[-1] == "revert a"


# Purge


def test_a_purge_takes_what_ended_long_ago_and_nothing_else(house):
    house.flow(lambda: [house.step("a")])
    old = [house.post() for _ in range(3)]
    house.drain()
    stay = {
        "waits": house.post(),
        "kept": house.post(),
        "revert_failed": house.post(),
        "new": house.post(),
    }
    long_ago = house.database.now() - timedelta(days=40)
    for job in old:
        house.change(job, finished_at=long_ago)
    house.change(stay["kept"], state="failed", kept=True, finished_at=long_ago)
    house.change(stay["revert_failed"], state="revert_failed", finished_at=long_ago)
    house.change(stay["new"], state="cancelled", finished_at=house.database.now())
    assert removal.purge(house.database, 30 * 86400.0) == 3
    assert {row["id"] for row in house.rows(jobs)} == set(stay.values())
    assert {row["job"] for row in house.rows(attempts)} == set(stay.values())
    assert removal.purge(house.database, 30 * 86400.0) == 0


def test_conductors_purge_by_themselves_when_they_are_told_to(house):
    house.flow(lambda: [house.step("a")])
    old = house.run()
    house.change(old.id, finished_at=house.database.now() - timedelta(hours=2))
    house.drain()
    assert house.get(old.id)  # kept, unless someone wants it otherwise
    house.settings = replace(house.settings, retention=3600.0)
    with house.running():
        until(lambda: not house.rows(jobs), timeout=60, what="the purge")
    assert nothing_is_left(house)


# Other arguments


def test_a_retry_with_other_arguments(house):
    seen = []

    def greet(name: str, times: int = 1) -> object:
        return house.step("a", lambda _: seen.append((name, times)) or fail(_))

    flow("greet", registry=house.registry)(greet)
    job = house.post("greet", arguments={"name": "ann", "times": 1})
    house.drain()
    house.records.retry(job, by="bob", arguments={"name": "ann", "times": 2}, changed={"times": 2})
    house.drain()
    assert seen == [("ann", 1), ("ann", 2)]
    assert house.get(job).arguments == {"name": "ann", "times": 2}
    assert [row["arguments"]["times"] for row in house.rows(attempts)] == [1, 2]
    (asked,) = [line for line in house.lines(job) if line.by == "bob"]
    assert (asked.message, asked.data) == ("retried by hand with times=2 (was 1)", {"changed": {"times": 2}})


# Many


def test_many_are_cancelled_at_once_each_with_its_answer(house):
    waiting = [house.post() for _ in range(5)]
    done, failed = house.post(), house.post()
    house.change(done, state="completed")
    house.change(failed, state="revert_failed")
    answers = house.records.cancel_many([waiting[0], done, "nosuch", *waiting[1:], failed], by="bob", reason="all")
    told = [getattr(answer, "state", "none") for answer in answers]
    assert told == ["cancelled", "completed", "none", *["cancelled"] * 4, "revert_failed"]
    assert [type(answer).__name__ for answer in answers[:3]] == ["Job", "Refused", "NoSuchJob"]
    assert house.rows(postings) == [] or {row["job"] for row in house.rows(postings)} <= {done, failed}
    for job in waiting:
        assert house.states_of(job) == ["pending", "cancelled"]
        assert house.get(job).reason == "cancelled by bob: all"
    again = house.records.cancel_many(waiting, by="ann")
    assert [answer.cancel.by for answer in again] == ["bob"] * 5


def test_ten_thousand_take_a_few_statements_a_thousand(house):
    from jobboard.models import NewJob

    ids = [posted.id for posted in house.records.post([NewJob("f", {})] * 3000, by="ann")]
    statements = []
    sa.event.listen(
        house.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2].split(None, 1)[0])
    )
    answers = house.records.cancel_many(ids, by="bob")
    assert {answer.state for answer in answers} == {S.CANCELLED}
    assert statements.count("UPDATE") == 6  # of a thousand records, and of their attempts
    assert len(statements) < 40


def test_a_client_tells_what_a_cancel_would_do(house):
    hold = Hold()
    house.flow(
        lambda: [house.step("a"), _irreversible(house), house.step("b", hold), house.step("c")], name="planned"
    )
    job = house.post("planned")
    with house.running(), Client(house.settings) as client:
        hold.arrived()
        plan = client.plan_cancel(job)
        assert (plan.state, plan.target) == (S.RUNNING, S.CANCELLING)
        assert (plan.reverted, plan.irreversible, plan.not_started) == (("b", "a"), ("charge",), ("c",))
        assert client.get(job).state is S.RUNNING
        client.cancel(job)
        house.comes_to(job, S.CANCELLED)
        assert client.plan_cancel(job).reverted == ()


def _irreversible(house: House) -> Step:
    task = house.step("charge")
    task.irreversible = True
    return task


# Who deleted it


def test_who_had_a_job_deleted_outlives_it(house):
    hold = Hold()
    house.flow(lambda: [house.step("a", hold)])
    resting, running = house.post(), house.post()
    house.records.cancel(resting, by="bob")
    house.records.delete(resting, by="bob", reason="posted by mistake")
    with house.running():
        hold.arrived()
        house.records.delete(running, by="eve")
        until(lambda: not house.records.list(states=[S.RUNNING, S.CANCELLING]), what="it to be gone")
    told_of = {resting: "deleted by bob at .* UTC: posted by mistake", running: r"deleted by eve at .* UTC\)"}
    for job, told in told_of.items():
        with pytest.raises(NoSuchJob, match=told):
            house.records.get(job)
        with pytest.raises(NoSuchJob, match=told):
            house.records.resolve(job)
    with pytest.raises(NoSuchJob, match="poster list"):
        house.records.resolve("0" * 26)


def test_who_deleted_is_forgotten_with_the_jobs_that_ended_as_long_ago(house):
    job = house.post()
    house.records.delete(job, by="bob")
    removal.purge(house.database, 3600)
    with pytest.raises(NoSuchJob, match="by bob"):
        house.records.get(job)
    removal.purge(house.database, -1)
    with pytest.raises(NoSuchJob, match="poster list"):
        house.records.get(job)
