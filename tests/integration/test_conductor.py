"""A conductor at work: what becomes of jobs that succeed, fail, are cancelled, and cannot be run at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import tenacity
from taskflow import retry
from taskflow.patterns import graph_flow, linear_flow, unordered_flow

from flows.registry import flow
from flows.run_context import running_task
from jobboard import history, job_persistence
from jobboard.boards.sql import SqlJobBoard
from jobboard.claims import Claim
from jobboard.database import Database, create_engine
from jobboard.dispatch.base import Ahead
from jobboard.dispatch.sql import SqlDispatch
from jobboard.dispatch.taskflow import TaskflowDispatch
from jobboard.errors import Refused, Unreachable
from jobboard.journal import Journal
from jobboard.models import Job, NewJob, TaskError
from jobboard.schema import attempts, postings
from jobboard.statements import Script
from jobboard.states import State
from jobboard.task_view import SEAL
from jobboard.taskflow_rows import ATOMS
from poster.client import Client
from tests.integration.house import Gate, Hold, House, Step, settings_for
from tests.waiting import until

S = State


def fail(task: Step) -> None:
    raise ValueError("boom")


# A job that succeeds


def test_a_job_completes_with_its_results_by_name(house):
    house.flow(lambda: [house.step("a"), house.step("b", lambda _: [1, {"x": None}]), house.step("c")])
    job = house.run()
    assert job.state is S.COMPLETED
    assert job.results == {"a": "a's result", "b": [1, {"x": None}], "c": "c's result"}
    assert house.calls == ["execute a", "execute b", "execute c"]
    assert (job.error, job.reason, job.cancel, job.attempt, job.conductor) == (None, None, None, 1, "one")
    assert job.progress == 1.0
    assert [(task.name, task.state, task.progress) for task in job.tasks] == [
        ("a", "success", 1.0),
        ("b", "success", 1.0),
        ("c", "success", 1.0),
    ]
    assert job.posted_at <= job.started_at <= job.finished_at
    moments = [moment for task in job.tasks for moment in (task.started_at, task.finished_at)]
    assert moments == sorted(moments)
    house.assert_at_rest(job.id)
    assert house.states_of(job.id) == ["pending", "running", "completed"]
    expected = [f"{name} {state}" for name in "abc" for state in ("running", "success")]
    assert house.tasks_of(job.id) == expected
    (attempt,) = house.rows(attempts)
    assert (attempt["outcome"], attempt["error"]) == ("completed", None)
    assert attempt["started_at"] <= attempt["ended_at"]


def test_arguments_reach_the_flow_and_its_tasks_by_name_and_type(house):
    seen = {}

    class Take(Step):
        def execute(self, moment: Any, count: int) -> None:
            seen.update(moment=moment, count=count)

    def take(moment: timedelta, count: int = 3) -> Any:
        return linear_flow.Flow("take").add(Take("t", house, None, None))

    flow("take", registry=house.registry)(take)
    job = house.run(flow_name="take", arguments=house.registry.get("take").as_json({"moment": "PT5M"}))
    assert job.state is S.COMPLETED
    assert seen == {"moment": timedelta(minutes=5), "count": 3}


def test_what_a_task_reports_is_shown_while_it_runs(house):
    gate = Gate()

    def work(task: Step) -> None:
        task.update_progress(0.5, done=5, total=10)
        gate(task)

    house.flow(lambda: [house.step("a"), house.step("b", work)])
    job = house.post()
    with house.running():
        until(lambda: house.get(job).progress == 0.75, what="the progress")
        assert house.get(job).tasks[1].detail == {"done": 5, "total": 10}
        gate.open.set()
        assert house.comes_to(job, S.COMPLETED).tasks[1].detail == {"done": 5, "total": 10}


def test_a_job_at_rest_does_not_change_by_itself(house):
    house.flow(lambda: [house.step("a")])
    job = house.post()
    with house.running():
        at_rest = house.comes_to(job, S.COMPLETED)
        lines = house.lines(job, history.STATE, history.TASK)
    assert house.get(job) == at_rest
    assert house.lines(job, history.STATE, history.TASK) == lines


# A job that fails


def test_a_failure_reverts_in_reverse_order(house):
    house.flow(lambda: [house.step("a"), house.step("b"), house.step("c", fail), house.step("d")])
    job = house.run()
    assert job.state is S.FAILED
    assert job.error == TaskError("c", "ValueError", "boom")
    forward, back = ["execute a", "execute b", "execute c"], ["revert c", "revert b", "revert a"]
    assert house.calls == forward + back
    assert [task.state for task in job.tasks] == ["reverted", "reverted", "reverted", "pending"]
    assert (job.results, job.cancel, job.progress) == (None, None, 0.0)
    house.assert_at_rest(job.id)
    assert house.states_of(job.id) == ["pending", "running", "reverting", "failed"]
    assert [line.message for line in house.lines(job.id)][2] == "c failed: ValueError: boom"
    told = house.tasks_of(job.id)
    assert told[4:6] == ["c running", "c failure"]
    assert told[6:] == [f"{name} {state}" for name in "cba" for state in ("reverting", "reverted")]
    (attempt,) = house.rows(attempts)
    assert (attempt["outcome"], attempt["error"]["message"]) == ("failed", "boom")


def test_a_revert_gets_what_taskflow_gives_it(house):
    steps = [house.step("a"), house.step("b", fail)]
    house.flow(lambda: steps)
    house.run()
    assert steps[0].reverted_with == "a's result"
    assert steps[1].reverted_with.check(ValueError)


def test_the_record_says_reverting_before_the_first_revert(house):
    seen = []
    house.flow(lambda: [house.step("a", None, lambda _: seen.append(house.get(job).state)), house.step("b", fail)])
    job = house.post()
    house.drain()
    assert seen == [S.REVERTING]


def test_the_first_of_several_failures_is_the_jobs(house):
    met = threading.Barrier(2)

    def first(_task: Step) -> None:
        met.wait(10)
        raise ValueError("first")

    def second(task: Step) -> None:
        met.wait(10)
        # "failure" lasts but a moment: then it is being reverted.
        until(lambda: house.get(job).tasks[0].state not in ("pending", "running"), what="the first failure")
        raise KeyError("second")

    house.flow(
        lambda: unordered_flow.Flow("f").add(house.step("a", first), house.step("b", second)), engine="parallel"
    )
    job = house.post()
    house.drain()
    assert house.get(job).error == TaskError("a", "ValueError", "first")


def result_object(_task: Step) -> Any:
    return object()


def with_base_exception_below(_task: Step) -> None:
    try:
        raise asyncio.CancelledError
    except asyncio.CancelledError as error:
        raise TimeoutError("too slow") from error


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raises(error: BaseException) -> Callable[[Step], None]:
    def execute(_task: Step) -> None:
        raise error

    return execute


UNSTORABLE = {
    "object": (result_object, "Unstorable", "its result is a object, not JSON"),
    "nan": (lambda _: {"x": math.nan}, "Unstorable", "result.x is nan"),
    "nul": (lambda _: "a\0b", "Unstorable", "NUL"),
    "surrogate": (lambda _: "\ud800", "Unstorable", "surrogate"),
    "large": (lambda _: "x" * 2_000_000, "Unstorable", "more than the 1,000,000 bytes"),
    "arguments": (raises(ValueError(object())), "ValueError", "object object"),
    "exit": (raises(SystemExit(3)), "TaskError", "SystemExit: 3"),
    "words": (raises(Silent()), "TaskError", "Silent (its message cannot be read)"),
    "chain": (with_base_exception_below, "TimeoutError", "too slow"),
    "null-byte": (raises(ValueError("a\0b")), "TaskError", "ValueError"),
}


def test_what_cannot_be_stored_is_a_clear_error_of_its_task(house):
    for name, (execute, _type, _words) in UNSTORABLE.items():
        house.flow(lambda execute=execute: [house.step("a"), house.step("b", execute)], name)
    posted = {name: house.post(name) for name in UNSTORABLE}
    house.drain()
    for name, (_execute, kind, words) in UNSTORABLE.items():
        job = house.get(posted[name])
        assert (job.state, job.error.task, job.error.type.rpartition(".")[2]) == (S.FAILED, "b", kind)
        assert words in job.error.message
        assert [task.state for task in job.tasks] == ["reverted", "reverted"]
        assert house.row(job.id)["claims"] == 1


# Flows that cannot run


def no_flow() -> Any:
    raise LookupError("no such table")


def ends_the_program() -> Any:
    sys.exit("wrong usage")


def is_cancelled() -> Any:
    raise asyncio.CancelledError("no answer")  # no `Exception`


UNBUILDABLE: dict[str, tuple[Callable[[House], Any], str, str]] = {
    "raises": (lambda _house: no_flow(), "LookupError", "no such table"),
    "exits": (lambda _house: ends_the_program(), "SystemExit", "wrong usage"),
    "is cancelled": (lambda _house: is_cancelled(), "CancelledError", "no answer"),
    "type": (lambda _house: "a flow", "InvalidFlow", "its function returned 'a flow': return a TaskFlow flow"),
    "inputs": (lambda house: [house.step("a", requires=["lost"])], "MissingDependencies", "lost"),
    "names": (lambda house: [house.step("a"), house.step("a")], "Duplicate", "a"),
}


def test_a_flow_that_cannot_be_made_fails_and_never_goes_round(house):
    for name, (make, _type, _words) in UNBUILDABLE.items():
        house.flow(lambda make=make: make(house), name)
    posted = {name: house.post(name, max_retries=3) for name in UNBUILDABLE}
    house.drain()
    for name, (_make, kind, words) in UNBUILDABLE.items():
        job = house.get(posted[name])
        assert (job.state, job.error.task, job.error.type, job.attempt) == (S.FAILED, None, kind, 1), name
        assert words in job.error.message
        assert house.states_of(job.id) == ["pending", "running", "reverting", "failed"]
        assert house.row(job.id)["claims"] == 1
        house.assert_at_rest(job.id)
    assert house.calls == []


def test_a_decider_that_ends_the_program_is_given_up(house, caplog):
    def decide(history: Any) -> bool:
        sys.exit("wrong usage")

    def make() -> Any:
        a, b = house.step("a"), house.step("b")
        made = graph_flow.Flow("f").add(a, b)
        made.link(a, b, decider=decide)
        return made

    house.flow(make)
    job = house.run()
    assert (job.state, job.error.type) == (S.FAILED, "TooManyClaims")
    assert house.calls == ["execute a", "revert a"]
    assert "SystemExit: wrong usage" in caplog.text
    house.assert_at_rest(job.id)


def test_a_parameter_that_a_task_provides_too_is_refused(house):
    def clash(a: int) -> Any:
        return house.step("a")

    flow("clash", registry=house.registry)(clash)
    job = house.run(flow_name="clash", arguments={"a": 1})
    assert (job.state, job.error.type) == (S.FAILED, "InvalidFlow")
    assert "a task provides a, which is a parameter too" in job.error.message


def test_stored_arguments_that_do_not_fit_any_more_are_named(house):
    def changed(count: int) -> Any:
        return house.step("a")

    flow("changed", registry=house.registry)(changed)
    job = house.run(flow_name="changed", arguments={"size": 1})
    assert (job.state, job.error.type) == (S.FAILED, "InvalidArguments")
    assert "count: required" in job.error.message
    assert "size: no such parameter" in job.error.message


def test_a_cancelled_job_whose_flow_cannot_be_made_is_cancelled(house):
    house.flow(no_flow)
    job = house.post()
    house.change(job, begun=True)
    house.records.cancel(job, by="ann", reason="enough")
    house.drain()
    assert (house.get(job).state, house.get(job).reason) == (S.CANCELLED, "cancelled by ann: enough")


def test_a_task_that_gives_less_than_a_later_one_needs_fails_the_job(house):
    def make() -> Any:
        short = house.step("short", lambda _: ["x"], provides=("x", "y"))
        return [house.step("a"), short, house.step("b", requires=["y"])]

    house.flow(make)
    job = house.run()
    assert job.state is S.FAILED
    assert job.error.task is None
    assert "'y'" in job.error.message
    assert house.calls == ["execute a", "execute short", "revert short", "revert a"]
    house.assert_at_rest(job.id)


# Reverts that fail


def test_a_revert_that_raises_is_named_with_those_not_asked(house):
    def broken(_task: Step) -> None:
        raise OSError("disk gone")

    house.flow(
        lambda: [house.step("a"), house.step("b"), house.step("c", revert=broken), house.step("d", fail)],
    )
    job = house.run()
    assert job.state is S.REVERT_FAILED
    assert job.error == TaskError("d", "ValueError", "boom")
    assert job.reason == "the revert of c failed; not reverted because of that: a, b"
    assert house.calls[4:] == ["revert d", "revert c"]
    assert [task.state for task in job.tasks] == ["success", "success", "revert_failure", "reverted"]
    assert job.tasks[2].error == TaskError("c", "OSError", "disk gone")
    assert house.states_of(job.id) == ["pending", "running", "reverting", "revert_failed"]
    house.assert_at_rest(job.id)
    for ask in (house.records.cancel, house.records.retry):
        with pytest.raises(Refused, match="a revert failed"):
            ask(job.id, by="ann")
    house.drain()
    assert house.calls[4:] == ["revert d", "revert c"]


def test_a_cancel_whose_revert_raises_is_not_called_cancelled(house):
    hold = Hold()
    house.flow(lambda: [house.step("a", revert=fail), house.step("b", hold)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="ann")
        done = house.comes_to(job, S.REVERT_FAILED)
    assert done.reason == "the revert of a failed"
    assert (done.cancel.reverted, done.cancel.total) == (1, 2)
    assert house.states_of(job) == ["pending", "running", "cancelling", "revert_failed"]


def test_of_an_interrupted_task_whose_revert_raises_that_error_is_told(house):
    def broken(_task: Step) -> None:
        raise OSError("disk gone")

    hold = Hold()
    house.flow(lambda: [house.step("a", hold, revert=broken)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="ann")
        done = house.comes_to(job, S.REVERT_FAILED)
    assert done.tasks[0].error == TaskError("a", "OSError", "disk gone")
    assert done.error == done.tasks[0].error


def test_of_a_failed_task_whose_revert_raises_both_errors_are_told(house):
    def broken(_task: Step) -> None:
        raise OSError("disk gone")

    house.flow(lambda: [house.step("a", fail, revert=broken)])
    job = house.run()
    assert job.state is S.REVERT_FAILED
    assert job.error == TaskError("a", "ValueError", "boom")
    assert job.tasks[0].error == TaskError("a", "OSError", "disk gone")


def test_a_revert_that_lacks_what_it_needs_is_a_failed_revert(house):
    class Needs(Step):
        def revert(self, y: Any, **given: Any) -> None:
            super().revert(**given)

    def make() -> Any:
        short = house.step("short", lambda _: ["x"], provides=("x", "y"))
        return [house.step("a"), short, Needs("needs", house, None, None), house.step("b", fail)]

    house.flow(make)
    job = house.run()
    assert job.state is S.REVERT_FAILED
    assert "needs" in job.reason
    assert "a" in job.reason
    house.assert_at_rest(job.id)


# Cancel


def test_a_cancel_interrupts_what_runs_and_reverts_what_was_done(house):
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b", hold), house.step("c")])
    job = house.post()
    with house.running():
        hold.arrived()
        assert house.records.cancel(job, by="bob", reason="wrong file").state is S.CANCELLING
        done = house.comes_to(job, S.CANCELLED)
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    assert [task.state for task in done.tasks] == ["reverted", "reverted", "pending"]
    assert (done.error, done.results, done.reason) == (None, None, "cancelled by bob: wrong file")
    cancel = done.cancel
    assert (cancel.by, cancel.reason, cancel.reverted, cancel.total) == ("bob", "wrong file", 2, 2)
    assert cancel.requested_at <= cancel.delivered_at <= cancel.stopped_at <= done.finished_at
    (ended,) = [line.at for line in house.lines(job, history.TASK) if (line.task, line.state) == ("b", "failure")]
    assert cancel.stopped_at == ended, "it stopped when its last task had ended, not when that was stored"
    house.assert_at_rest(job)
    told = [(line.state, line.by, line.message) for line in house.lines(job)]
    assert told == [
        ("pending", "ann", "posted"),
        ("running", "one", "claimed by one"),
        ("cancelling", "bob", "cancelled by bob: wrong file"),
        ("cancelled", None, "every task that began was reverted"),
    ]
    back = [f"{name} {state}" for name in "ba" for state in ("reverting", "reverted")]
    assert house.tasks_of(job) == ["a running", "a success", "b running", "b failure", *back]
    (attempt,) = house.rows(attempts)
    assert (attempt["outcome"], attempt["error"]) == ("cancelled", None)


def test_a_retry_then_completes_it(house):
    hold = Hold()
    acts = [hold, None]
    house.flow(lambda: [house.step("a"), house.step("b", acts.pop(0))])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        house.comes_to(job, S.CANCELLED)
        house.calls.clear()
        house.records.retry(job, by="eve")
        done = house.comes_to(job, S.COMPLETED)
    assert house.calls == ["execute a", "execute b"]
    assert (done.attempt, done.cancel, done.reason) == (2, None, None)
    assert [attempt["outcome"] for attempt in house.rows(attempts)] == ["cancelled", "completed"]
    assert len({attempt["flow_detail"] for attempt in house.rows(attempts)}) == 2


def test_a_pending_job_is_cancelled_at_once_and_never_runs(house):
    house.flow(lambda: [house.step("a")])
    job = house.post()
    assert house.records.cancel(job, by="bob").state is S.CANCELLED
    house.drain()
    assert house.calls == []
    assert house.get(job).state is S.CANCELLED


def test_a_completed_job_cannot_be_cancelled(house):
    house.flow(lambda: [house.step("a")])
    job = house.run()
    with pytest.raises(Refused, match="already completed, nothing to cancel"):
        house.records.cancel(job.id, by="bob")
    assert house.get(job.id) == job


def test_one_of_several_is_cancelled_and_the_others_complete(house):
    holds, gate = [Hold()], Gate()
    house.flow(lambda: [house.step("a"), house.step("b", holds.pop() if holds else gate)])
    with house.running():
        hold = holds[0]
        victim = house.post()
        hold.arrived()
        others = [house.post() for _ in range(3)]
        gate.arrived()
        house.records.cancel(victim, by="bob")
        house.comes_to(victim, S.CANCELLED)
        gate.open.set()
        assert {house.comes_to(job).state for job in others} == {S.COMPLETED}


def test_a_cancel_stops_every_task_of_a_parallel_flow(house):
    holds = {name: Hold() for name in "bcde"}

    def make() -> Any:
        together = unordered_flow.Flow("together").add(*(house.step(name, hold) for name, hold in holds.items()))
        return linear_flow.Flow("f").add(house.step("a"), together, house.step("z"))

    house.flow(make, engine="parallel")
    job = house.post()
    with house.running():
        for hold in holds.values():
            hold.arrived()
        house.records.cancel(job, by="bob")
        done = house.comes_to(job, S.CANCELLED)
    assert Counter(house.calls) == Counter(f"{what} {name}" for what in ("execute", "revert") for name in "abcde")
    assert house.calls[-1] == "revert a"
    assert (done.cancel.reverted, done.cancel.total) == (5, 5)
    assert done.cancel.stopped_at >= done.cancel.delivered_at


def nested(house: House, hold: Callable[[Step], Any], **controllers: Any) -> Any:
    inner = linear_flow.Flow("inner", retry=controllers["inner"]).add(house.step("c", hold), house.step("d"))
    middle = linear_flow.Flow("middle", retry=controllers["middle"]).add(house.step("b"), inner)
    return linear_flow.Flow("f", retry=controllers["outer"]).add(house.step("a"), middle, house.step("e"))


CONTROLLERS = {
    "times": lambda: {name: retry.Times(4, f"{name}_retry") for name in ("inner", "middle", "outer")},
    "each": lambda: {
        name: retry.ForEach([1, 2, 3], f"{name}_retry", provides=f"{name}_value")
        for name in ("inner", "middle", "outer")
    },
    "always": lambda: {name: retry.AlwaysRevert(f"{name}_retry") for name in ("inner", "middle", "outer")},
}


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_retry_controllers_do_not_swallow_a_cancel(house, kind):
    hold = Hold()
    house.flow(lambda: nested(house, hold, **CONTROLLERS[kind]()))
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        done = house.comes_to(job, S.CANCELLED)
    assert house.calls == ["execute a", "execute b", "execute c", "revert c", "revert b", "revert a"]
    assert (done.cancel.reverted, done.cancel.total) == (3, 3)


def test_retry_controllers_try_again_and_the_job_completes(house):
    failures = [fail, fail]
    house.flow(
        lambda: nested(house, lambda task: failures.pop()(task) if failures else "done", **CONTROLLERS["times"]())
    )
    job = house.run()
    assert (job.state, job.attempt, job.results["c"]) == (S.COMPLETED, 1, "done")
    assert house.calls.count("execute c") == 3
    assert house.calls.count("execute a") == house.calls.count("execute e") == 1
    assert house.states_of(job.id) == ["pending", "running", "completed"]


def test_a_retry_controller_that_fails_is_named(house):
    class Broken(retry.Times):
        def execute(self, *_args: Any, **_kwargs: Any) -> Any:
            raise LookupError("no such value")

    def make() -> Any:
        inner = linear_flow.Flow("inner", retry=Broken(2, "tries")).add(house.step("b"))
        return linear_flow.Flow("f").add(house.step("a"), inner)

    house.flow(make)
    job = house.run()
    assert (job.state, job.error) == (S.FAILED, TaskError("tries", "LookupError", "no such value"))
    assert house.calls == ["execute a", "revert a"]


def test_when_retry_controllers_give_up_everything_is_reverted(house):
    def make() -> Any:
        inner = linear_flow.Flow("inner", retry=retry.Times(2, "tries")).add(
            house.step("b"), house.step("c", fail)
        )
        return linear_flow.Flow("f").add(house.step("a"), inner)

    house.flow(make)
    job = house.run()
    assert (job.state, job.error) == (S.FAILED, TaskError("c", "ValueError", "boom"))
    once = ["execute b", "execute c", "revert c", "revert b"]
    assert house.calls == ["execute a", *once, *once, "revert a"]


def test_a_cancel_while_it_is_being_reverted_is_the_last_word(house):
    gate = Gate()
    house.flow(lambda: [house.step("a", revert=gate), house.step("b", fail)])
    job = house.post(max_retries=5)
    with house.running():
        gate.arrived()
        assert house.records.cancel(job, by="bob", reason="no more").state is S.CANCELLING
        gate.open.set()
        done = house.comes_to(job, S.CANCELLED)
    assert (done.attempt, done.reason) == (1, "cancelled by bob: no more")
    assert house.calls == ["execute a", "execute b", "revert b", "revert a"]
    assert None not in (done.cancel.delivered_at, done.cancel.stopped_at)
    assert house.states_of(job) == ["pending", "running", "reverting", "cancelling", "cancelled"]


def test_a_cancel_that_comes_before_the_first_task_is_seen(house):
    """It is accepted when the job is claimed, but its tasks have not begun."""
    gate = Gate()

    def make() -> Any:
        gate.reached.set()
        gate.open.wait(10)
        return [house.step("a"), house.step("b")]

    house.flow(make)
    job = house.post()
    with house.running():
        gate.arrived()
        assert house.records.cancel(job, by="bob").state is S.CANCELLING
        until(lambda: house.row(job)["cancel_delivered_at"], what="the cancel's delivery")
        gate.open.set()
        done = house.comes_to(job, S.CANCELLED)
    assert house.calls == []
    assert (done.cancel.reverted, done.cancel.total) == (0, 0)


# The end against a cancel


class AtSeal(Database):
    """Stops the seal right before its transaction, and right after."""

    def __init__(self, url: str) -> None:
        super().__init__(create_engine(url))
        self.before: Callable[[], Any] = lambda: None
        self.after: Callable[[], Any] = lambda: None

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        with self._at_seal(), super().write() as connection:
            yield connection

    def commit(self, script: Script, *, ask: bool = True) -> bool:
        with self._at_seal():
            return super().commit(script, ask=ask)

    @contextlib.contextmanager
    def _at_seal(self) -> Iterator[None]:
        sealing = _in_seal()
        if sealing:
            self.before()
        yield
        if sealing:
            self.after()


def _in_seal() -> bool:
    mark = running_task()
    return mark is not None and mark.task == SEAL


@pytest.fixture
def at_seal(house: House, database_url: str) -> Iterator[AtSeal]:
    database = AtSeal(database_url)
    house.conductors_database = database
    house.flow(lambda: [house.step("a"), house.step("b")])
    yield database
    database.close()


DONE, UNDONE = ["execute a", "execute b"], ["execute a", "execute b", "revert b", "revert a"]


def test_a_cancel_just_before_the_seal_wins(house, at_seal):
    answers = []
    at_seal.before = lambda: answers.append(house.records.cancel(job, by="bob", reason="just in time"))
    job = house.post()
    house.drain()
    done = house.get(job)
    assert answers[0].state is S.CANCELLING
    assert (done.state, done.reason, done.results) == (S.CANCELLED, "cancelled by bob: just in time", None)
    assert house.calls == UNDONE
    assert (done.cancel.reverted, done.cancel.total) == (2, 2)
    assert done.cancel.requested_at <= done.cancel.delivered_at <= done.cancel.stopped_at
    assert house.states_of(job) == ["pending", "running", "cancelling", "cancelled"]
    house.assert_at_rest(job)


def test_a_cancel_that_was_delivered_before_the_seal_wins(house, at_seal):
    at_the_end, go_on = threading.Event(), threading.Event()
    at_seal.before = lambda: (at_the_end.set(), go_on.wait(10))
    job = house.post()
    with house.running() as conductor:
        at_the_end.wait(10)
        (run,) = conductor._running()
        assert house.records.cancel(job, by="bob").state is S.CANCELLING
        until(lambda: run.token.is_set, what="the cancel's delivery")
        go_on.set()
        done = house.comes_to(job, S.CANCELLED)
    assert house.calls == UNDONE
    assert (done.cancel.reverted, done.cancel.total) == (2, 2)


def test_a_cancel_just_after_the_seal_is_refused(house, at_seal):
    told = []

    def cancel() -> None:
        with pytest.raises(Refused, match="already completed, nothing to cancel") as refused:
            house.records.cancel(job, by="bob")
        told.append(refused.value.state)

    at_seal.after = cancel
    job = house.post()
    house.drain()
    done = house.get(job)
    assert told == ["completed"]
    assert (done.state, done.cancel) == (S.COMPLETED, None)
    assert done.results == {"a": "a's result", "b": "b's result"}
    assert house.calls == DONE
    assert house.states_of(job) == ["pending", "running", "completed"]


def test_a_cancel_during_the_seals_transaction_waits_and_is_refused(house, at_seal, monkeypatch):
    class Slow(SqlDispatch):
        """The seal puts its claim down in its transaction: there it waits for the cancel to begin."""

        def put_down(self, *arguments: Any, **how: Any) -> Script:
            if _in_seal():
                cancel.start()
                asked.wait(10)
            return super().put_down(*arguments, **how)

    def ask() -> None:
        asked.set()
        try:
            house.records.cancel(job, by="bob")
        except Refused as refused:
            told.append(refused.state)

    told: list[str] = []
    monkeypatch.setattr(Journal, "move_at_once", lambda *_: False)  # of one request there is no "during"
    asked, cancel = threading.Event(), threading.Thread(target=ask)
    house.dispatch = lambda: Slow(at_seal, SqlJobBoard("countermand", {}, database=at_seal))
    job = house.post()
    house.drain()
    cancel.join(10)
    assert told == ["completed"]
    assert (house.get(job).state, house.calls) == (S.COMPLETED, DONE)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_seal_whose_reply_is_lost_asks_until_it_knows(house, at_seal, when):
    lost = [1]

    def lose() -> None:
        if lost:
            lost.pop()
            raise Unreachable("connection lost")

    setattr(at_seal, when, lose)
    job = house.post()
    house.drain()
    done = house.get(job)
    assert (done.state, done.results) == (S.COMPLETED, {"a": "a's result", "b": "b's result"})
    assert house.calls == DONE
    assert house.states_of(job) == ["pending", "running", "completed"]


# Time


def test_a_job_that_takes_too_long_fails_and_is_reverted(house):
    house.flow(lambda: [house.step("a", Hold()), house.step("b")])
    job = house.post(timeout_s=0.5)
    with house.running():
        done = house.comes_to(job, S.FAILED)
    assert done.error == TaskError(None, "TimedOut", "timed out after 500ms")
    assert house.calls == ["execute a", "revert a"]
    assert done.cancel is None
    assert house.states_of(job) == ["pending", "running", "reverting", "failed"]
    assert [attempt["outcome"] for attempt in house.rows(attempts)] == ["failed"]
    assert house.rows(attempts)[0]["error"]["type"] == "TimedOut"


def test_a_cancel_while_a_timeout_is_being_reverted_names_who_asked(house):
    gate = Gate()
    house.flow(lambda: [house.step("a", Hold(), gate)])
    job = house.post(timeout_s=0.5)
    with house.running():
        gate.arrived()
        house.records.cancel(job, by="bob", reason="no more")
        gate.open.set()
        done = house.comes_to(job, S.CANCELLED)
    assert done.reason == "cancelled by bob: no more"
    assert None not in (done.cancel.delivered_at, done.cancel.stopped_at)


def test_a_failed_job_is_retried_by_itself_until_it_completes(house):
    failures = [fail, fail]
    house.flow(lambda: [house.step("a"), house.step("b", failures.pop() if failures else None)])
    job = house.post(max_retries=3, retry_interval_s=0.05)
    with house.running():
        done = house.comes_to(job, S.COMPLETED)
    assert (done.attempt, done.error, done.reason) == (3, None, None)
    once = ["pending", "running", "reverting"]
    assert house.states_of(job) == [*once, *once, "pending", "running", "completed"]
    first, second = (line.message for line in house.lines(job) if "retry" in (line.message or ""))
    assert re.fullmatch(r"retry 1 of 3 in 5\d(\.\d+)?ms", first)
    assert re.fullmatch(r"retry 2 of 3 in 1[01]\d(\.\d+)?ms", second)
    assert [attempt["outcome"] for attempt in house.rows(attempts)] == ["failed", "failed", "completed"]
    assert house.row(job)["retries_left"] == 1
    assert [line.attempt for line in house.lines(job, history.TASK)][::4] == [1, 1, 2, 2, 3]


def test_when_no_retry_is_left_it_has_failed(house):
    house.flow(lambda: [house.step("a", fail)])
    job = house.post(max_retries=2, retry_interval_s=0.0)
    with house.running():
        done = house.comes_to(job, S.FAILED)
    assert (done.attempt, done.error) == (3, TaskError("a", "ValueError", "boom"))
    house.assert_at_rest(job)


@pytest.mark.parametrize("on_failure", ["revert", "keep"])
def test_what_waits_for_a_retry_says_why(house, on_failure):
    house.flow(lambda: [house.step("a", fail)])
    job = house.post(max_retries=2, retry_interval_s=3600, on_failure=on_failure)
    with house.running(), Client.open(house.settings, registry=house.registry) as client:
        until(lambda: house.get(job).due_at > house.database.now(), what="it to wait")
        assert client.show(job).reason == "waits to be tried again: a: ValueError: boom"
        later = house.post(due_at=house.database.now() + timedelta(hours=1))
        assert client.show(later).reason == "waits for its due time"


def test_what_is_stored_of_a_failure_and_makes_no_sense_is_not_told(house):
    house.flow(lambda: [house.step("a", fail)])
    job = house.post(max_retries=2, retry_interval_s=3600)
    with house.running(), Client.open(house.settings, registry=house.registry) as client:
        until(lambda: house.get(job).due_at > house.database.now(), what="it to wait")
        with house.database.write() as connection:
            connection.execute(sa.update(attempts).values(error={"no": "such"}))
        assert client.show(job).reason == "waits for its due time"


def test_a_cancel_during_the_wait_for_a_retry_is_done_at_once(house):
    house.flow(lambda: [house.step("a", fail)])
    job = house.post(max_retries=2, retry_interval_s=3600)
    with house.running():
        until(lambda: house.get(job).attempt == 2, what="the second attempt")
        waiting = house.get(job)
        assert waiting.state is S.PENDING
        assert waiting.due_at > house.database.now() + timedelta(minutes=50)
        assert (waiting.tasks, waiting.progress, waiting.error) == ((), 0.0, None)
        assert house.records.cancel(job, by="bob").state is S.CANCELLED
    assert house.calls == ["execute a", "revert a"]


def test_urgent_jobs_come_first(house):
    order = []
    house.flow(lambda: [house.step("a", lambda task: order.append(task.job))])
    priorities = ["low", "normal", "very_high", "very_low", "high", "normal"]
    posted = [(priority, house.post(priority=priority)) for priority in priorities]
    house.drain(slots=1)
    ranks = ["very_high", "high", "normal", "normal", "low", "very_low"]
    assert [{job: priority for priority, job in posted}[job] for job in order] == ranks
    assert [job for job in order if job in (posted[1][1], posted[5][1])] == [posted[1][1], posted[5][1]]


def test_a_job_waits_for_its_time(house):
    house.flow(lambda: [house.step("a")])
    now = house.database.now()
    later, soon = house.post(due_at=now + timedelta(hours=1)), house.post(due_at=now + timedelta(seconds=0.3))
    with house.running():
        done = house.comes_to(soon, S.COMPLETED)
        assert done.started_at >= done.due_at
        assert house.get(later).state is S.PENDING
    assert len(house.calls) == 1


# Room


def test_no_more_run_at_once_than_there_are_slots(house):
    gates = [Gate() for _ in range(4)]
    left = iter(gates)
    house.flow(lambda: [house.step("a", next(left))])
    posted = [house.post() for _ in gates]
    with house.running(slots=2):
        for gate in gates[:2]:
            gate.arrived()
        assert sum(house.get(job).state is S.RUNNING for job in posted) == 2
        gates[0].open.set()
        gates[2].arrived()
        for gate in gates:
            gate.open.set()
        assert {house.comes_to(job).state for job in posted} == {S.COMPLETED}


def test_no_more_of_a_flow_run_at_once_than_it_allows(house):
    running, most = [], []

    def work(task: Step) -> None:
        running.append(task.job)
        most.append(len(running))
        task.sleep(0.02)
        running.remove(task.job)

    house.flow(lambda: [house.step("a", work)])
    house.flow(lambda: [house.step("b")], "other")
    limited = [house.post(max_running=1) for _ in range(5)]
    others = [house.post("other") for _ in range(3)]
    with house.running("one"), house.running("two"):
        assert {house.comes_to(job).state for job in limited + others} == {S.COMPLETED}
    assert max(most) == 1


def test_what_waits_for_others_of_its_flow_says_so(house):
    gate = Gate()
    house.flow(lambda: [house.step("a", gate)])
    first, second = (house.post(max_running=1) for _ in range(2))
    with house.running(), Client.open(house.settings, registry=house.registry) as client:
        gate.arrived()
        said = f"waits for {first}: flow f runs 1 at a time"
        assert client.show(second).reason == said
        assert [job.reason for job in client.explained(client.list())] == [said, None]
        gate.open.set()
        house.comes_to(second, S.COMPLETED)


def test_flows_that_it_does_not_know_are_left_alone(house):
    house.flow(lambda: [house.step("a")])
    unknown, known = house.post("nobody's"), house.post()
    with house.running():
        house.comes_to(known, S.COMPLETED)
    row = house.row(unknown)
    assert (row["state"], row["epoch"], row["claims"]) == ("pending", 0, 0)
    assert [posting["session"] for posting in house.rows(postings)] == [None]


def test_a_burst_ends_when_nothing_is_left_to_do_now(house):
    house.flow(lambda: [house.step("a")])
    posted = [house.post() for _ in range(10)]
    later = house.post(due_at=house.database.now() + timedelta(hours=1))
    house.drain(slots=2)
    assert {house.get(job).state for job in posted} == {S.COMPLETED}
    assert house.get(later).state is S.PENDING
    assert house.names_of_conductors() == []


def test_what_could_not_be_put_down_is_put_down_later(house):
    class Away(SqlDispatch):
        """The database goes away when the job is to be put down, and stays away for a while."""

        left = 2

        def put_down(self, *arguments: Any, **how: Any) -> Script:
            if self.left:
                self.left -= 1
                raise Unreachable("connection lost")
            return super().put_down(*arguments, **how)

    house.dispatch = lambda: Away(house.database, SqlJobBoard("countermand", {}, database=house.database))
    house.flow(lambda: [house.step("a", fail)])
    job = house.post()
    with house.running():
        house.comes_to(job, S.FAILED)
    assert house.calls == ["execute a", "revert a"]
    house.assert_at_rest(job)


def test_a_task_whose_start_could_not_be_stored_is_handed_on_as_one_that_never_began(house, monkeypatch):
    class Away(Database):
        """Cannot be reached when the second task is to begin."""

        left = 2

        def commit(self, script: Script, *, ask: bool = True) -> bool:
            self._may_be_lost()
            return super().commit(script, ask=ask)

        def write(self) -> Any:
            self._may_be_lost()
            return super().write()

        def _may_be_lost(self) -> None:
            if len(house.calls) == 1 and self.left and threading.current_thread().name.startswith("slot"):
                self.left -= 1
                raise Unreachable("connection lost")

    once = job_persistence._TRIES.copy(stop=tenacity.stop_after_attempt(1))
    monkeypatch.setattr(job_persistence, "_TRIES", once)
    house.conductors_database = Away(house.database.engine)
    house.flow(lambda: [house.step("a"), house.step("b")])
    job = house.post()
    with house.running("one", run={"max_dispatches": 1}) as one:
        assert one.wait(10)
    assert [task.state for task in house.get(job).tasks] == ["success", "pending"]
    atoms = {row["name"]: row["state"] for row in house.rows(ATOMS)}
    assert (atoms["a"], atoms["b"]) == ("SUCCESS", "PENDING")
    house.drain(name="two")
    assert house.get(job).state is S.COMPLETED
    assert house.calls == ["execute a", "execute b"]


def test_a_burst_sees_what_came_back_while_it_looked(house):
    class Slow(SqlDispatch):
        """Looks for work, then lets the job that runs fail, and only then says what it saw."""

        def look(self, flows: Sequence[str]) -> Ahead:
            return replace(super().look(flows), ready=True)

        def claim(self, *arguments: Any, busy: Collection[str] = (), **how: Any) -> list[Claim]:
            found = super().claim(*arguments, busy=busy, **how)
            if busy and not gate.open.is_set():
                gate.open.set()
                until(lambda: house.get(job).attempt == 2, what="the second attempt")
            return found

    def fail_once(task: Step) -> None:
        gate(task)
        if house.calls.count("execute a") == 1:
            raise ValueError("boom")

    gate = Gate()
    house.dispatch = lambda: Slow(house.database, SqlJobBoard("countermand", {}, database=house.database))
    house.flow(lambda: [house.step("a", fail_once)])
    job = house.post(max_retries=1, retry_interval_s=0.0)
    house.drain()
    assert house.get(job).state is S.COMPLETED


def test_who_may_claim_no_more_does_not_look_for_work(house):
    looks: list[Any] = []

    class Watched(SqlDispatch):
        def look(self, flows: Sequence[str]) -> Ahead:
            looks.append(flows)
            return super().look(flows)

    gate = Gate()
    house.dispatch = lambda: Watched(house.database, SqlJobBoard("countermand", {}, database=house.database))
    house.flow(lambda: [house.step("a", gate)])
    house.post()
    with house.running(run={"max_dispatches": 1}) as conductor:
        gate.arrived()
        for _ in range(3):
            house.post()
        gate.open.set()
        assert conductor.wait(20)
    assert looks == []


def test_a_conductor_without_flows_waits(house):
    with house.running():
        until(lambda: house.names_of_conductors() == ["one"], what="its row")
    assert house.names_of_conductors() == []


def test_two_conductors_share_the_work(house):
    met = threading.Barrier(2)
    log = logging.getLogger("tests.two")

    def work(task: Step) -> None:
        met.wait(10)
        log.warning("line of %s", task.job)

    house.flow(lambda: [house.step("a", work)])
    posted = [house.post() for _ in range(2)]
    with house.running("one", slots=1), house.running("two", slots=1):
        assert {house.comes_to(job).conductor for job in posted} == {"one", "two"}
    assert sorted(house.calls) == ["execute a"] * 2
    for job in posted:
        assert [line.message for line in house.lines(job, history.LOG)] == [f"line of {job}"]


@pytest.mark.parametrize("slots", [1, 8])
def test_many_jobs_run_once_each(house, slots):
    house.flow(lambda: [house.step("a", lambda task: house.calls.append(task.job)), house.step("b")])
    posted = [job.id for job in house.records.post([NewJob("f", {})] * 40, by="ann")]
    house.drain(slots=slots)
    assert {house.get(job).state for job in posted} == {S.COMPLETED}
    assert Counter(call for call in house.calls if " " not in call) == Counter(posted)


# Log lines


def test_what_a_task_logs_is_in_its_jobs_history(house):
    log = logging.getLogger("tests.work")

    def work(_task: Step) -> None:
        log.info("read %d files", 3)
        log.debug("not this")
        try:
            raise OSError("disk gone")
        except OSError:
            log.exception("went on")

    house.flow(lambda: [house.step("a", work, lambda _: log.warning("cleaning up")), house.step("b", fail)])
    logging.getLogger("tests").setLevel(logging.INFO)
    job = house.run()
    log.warning("of no job")
    lines = house.lines(job.id, history.LOG)
    assert [(line.task, line.state) for line in lines] == [("a", "info"), ("a", "error"), ("a", "warning")]
    assert lines[0].message == "read 3 files"
    assert lines[1].message.startswith("went on\nTraceback")
    assert lines[1].message.endswith("OSError: disk gone")
    assert lines[2].message == "cleaning up"


def test_odd_log_lines_harm_no_one(house, capsys):
    log = logging.getLogger("tests.odd")

    def work(_task: Step) -> None:
        log.warning("a NUL \0, half a pair \ud800, ü")
        logging.addLevelName(35, "MORE THAN SIXTEEN CHARACTERS")
        log.log(35, "an odd level")
        logging.getLogger("tests.odd").handle(
            logging.LogRecord("tests.odd", logging.WARNING, "f", 1, "no number: %d", ("x",), None)
        )

    house.flow(lambda: [house.step("a", work)])
    logging.raiseExceptions = False
    try:
        job = house.run()
    finally:
        logging.raiseExceptions = True
    assert job.state is S.COMPLETED
    lines = [line.message for line in house.lines(job.id, history.LOG)]
    assert lines == ["a NUL \\x00, half a pair \\ud800, ü", "an odd level"]


def test_a_report_that_cannot_be_stored_harms_no_one(house):
    def work(task: Step) -> None:
        for odd in (object(), math.nan, "a\0b", {1, 2}):
            task.update_progress(0.5, done=odd)

    house.flow(lambda: [house.step("a", work)])
    assert house.run().state in (S.COMPLETED, S.FAILED)


def test_a_task_that_swallows_its_interruption_is_told_of(house):
    hold = Hold()

    def stubborn(task: Step) -> str:
        with contextlib.suppress(BaseException):
            hold(task)
        return "went on"

    house.flow(lambda: [house.step("a"), house.step("b", stubborn), house.step("c")])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        house.comes_to(job, S.CANCELLED)
    (line,) = house.lines(job, history.LOG)
    assert (line.task, line.state) == ("b", "warning")
    assert "swallowed its interruption" in line.message
    assert house.calls[2:] == ["revert b", "revert a"]


# On a board that is no part of the database


@pytest.fixture
def outside(house: House, database_url: str) -> House:
    """The board's claims are not made in the records' transactions, as on ZooKeeper."""
    house.settings = settings_for(database_url, jobboard_url="zookeeper://of-no-use:1/x")

    def dispatch() -> TaskflowDispatch:
        return TaskflowDispatch(house.database, SqlJobBoard("outside", {"lease": 2}, database=house.database))

    house.dispatch = dispatch
    return house


def on_board(house: House) -> list[Any]:
    return [posting for posting in house.rows(postings) if posting["board"] == "outside"]


def test_outside_jobs_complete_fail_and_are_cancelled(outside):
    hold = Hold()
    outside.flow(lambda: [outside.step("a")], "good")
    outside.flow(lambda: [outside.step("a"), outside.step("b", fail)], "bad")
    outside.flow(lambda: [outside.step("a"), outside.step("b", hold)], "long")
    good, bad, long = outside.post("good"), outside.post("bad"), outside.post("long")
    with outside.running("one"), outside.running("two"):
        hold.arrived()
        outside.records.cancel(long, by="bob")
        states = [outside.comes_to(job).state for job in (good, bad, long)]
        until(lambda: on_board(outside) == [], what="an empty board")
    assert states == [S.COMPLETED, S.FAILED, S.CANCELLED]
    assert len(outside.calls) == 1 + 4 + 4


def test_outside_the_board_gets_the_urgent_ones_first(outside):
    order = []
    outside.flow(lambda: [outside.step("a", lambda task: order.append(task.job))])
    posted = {priority: outside.post(priority=priority) for priority in ("low", "high", "normal")}
    outside.drain(slots=1)
    assert order == [posted["high"], posted["normal"], posted["low"]]


def test_outside_a_posting_that_a_crash_kept_back_is_posted_again(outside):
    outside.flow(lambda: [outside.step("a")])
    job = outside.post()
    outside.change(job, posting="00000000-0000-4000-8000-000000000000")  # and then its conductor died
    with outside.running():
        outside.comes_to(job, S.COMPLETED)


def test_outside_a_second_posting_of_a_job_that_runs_is_removed(outside):
    gate = Gate()
    outside.flow(lambda: [outside.step("a", gate)])
    job = outside.post()
    with outside.running("one"), outside.running("two"):
        gate.arrived()
        (posting,) = on_board(outside)
        board = SqlJobBoard("outside", {}, database=outside.database)
        board.connect()
        board.post("f", details=posting["details"])
        until(lambda: len(on_board(outside)) == 1, what="the second posting's end")
        gate.open.set()
        outside.comes_to(job, S.COMPLETED)
        board.close()
    assert outside.calls == ["execute a"]
    assert on_board(outside) == []


def test_outside_the_posting_of_a_job_at_rest_is_removed(outside):
    outside.flow(lambda: [outside.step("a")])
    job = outside.post()
    board = SqlJobBoard("outside", {}, database=outside.database)
    board.connect()
    board.post("f", details={"job": job, "posting": "left behind"})
    board.close()
    outside.records.cancel(job, by="bob")
    with outside.running():
        until(lambda: on_board(outside) == [], what="an empty board")
    assert outside.calls == []
    assert outside.get(job).state is S.CANCELLED


# What it is given


def test_it_is_a_taskflow_conductor(house):
    house.flow(lambda: [house.step("a")])
    posted = [house.post() for _ in range(3)]
    conductor = house.make()
    assert conductor.dispatching
    conductor.run(max_dispatches=2)
    assert conductor.wait(0)
    assert not conductor.dispatching
    assert Counter(house.get(job).state for job in posted) == {S.COMPLETED: 2, S.PENDING: 1}


def test_a_graph_flow_runs_by_its_dependencies(house):
    def make() -> Any:
        last = house.step("c", requires=["a", "b"])
        return graph_flow.Flow("f").add(last, house.step("b", requires=["a"]), house.step("a"))

    house.flow(make)
    job: Job = house.run()
    assert job.state is S.COMPLETED
    assert house.calls == ["execute a", "execute b", "execute c"]
