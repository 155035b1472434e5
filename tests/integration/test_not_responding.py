"""A task that goes on though its job is to stop: it is named, with where it is, until it stops."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from taskflow.patterns import unordered_flow

from jobboard import history
from jobboard.database import open_database
from jobboard.models import HistoryLine, Task
from jobboard.states import State
from poster import Client
from poster.cli import run
from poster.job_json import job_document
from tests.integration.house import Gate, Hold, House, Step, settings_for
from tests.waiting import until

S = State
AFTER_S = 0.2
ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    with contextlib.closing(open_database(database_url)) as database:
        yield House(database, settings_for(database_url, unresponsive_after=str(AFTER_S)))


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Opened in the end, so that no test leaves a thread behind it."""
    gate = Gate()
    yield gate
    gate.open.set()


def the_task(house: House, job: str, name: str) -> Task:
    return next(task for task in house.get(job).tasks if task.name == name)


def marked(house: House, job: str, name: str = "b") -> Task:
    """The task, once it is said not to respond."""

    def look() -> Task | None:
        task = the_task(house, job, name)
        return task if task.not_responding else None

    return until(look, timeout=30, what=f"task {name} to be named")


def said_of(house: House, job: str) -> list[HistoryLine]:
    return [line for line in house.lines(job, history.TASK) if line.state == history.NOT_RESPONDING]


@pytest.fixture
def gated(house: House, gate: Gate) -> None:
    """A flow whose task b waits at the gate."""
    house.flow(lambda: [house.step("a"), house.step("b", gate), house.step("c")])


def cancelled_at(house: House, gate: Gate) -> str:
    """A job that was cancelled while its task stood at the gate."""
    job = house.post()
    gate.arrived()
    house.records.cancel(job, by="bob")
    return job


def poster(house: House, *words: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run([*words, "--database-url", house.settings.database_url]) == 0
    return out.getvalue()


@pytest.mark.usefixtures("gated")
def test_it_is_named_in_the_job_the_history_and_the_log_until_it_stops(house, gate, caplog):
    caplog.set_level(logging.WARNING, "conductor.unresponsive")
    with house.running():
        job = cancelled_at(house, gate)
        task = marked(house, job)
        assert task.state == "running"
        cancel = house.get(job).cancel
        since = datetime.fromisoformat(task.not_responding.since)
        assert abs(since - cancel.delivered_at) < timedelta(seconds=1)
        stack = task.not_responding.stack
        assert stack.startswith('File "')
        assert stack.splitlines()[0].endswith("in execute")
        assert "in __call__\n  assert self.open.wait(30)" in stack
        assert "taskflow" not in stack
        assert [task.not_responding for task in house.get(job).tasks if task.name != "b"] == [None, None]

        (line,) = said_of(house, job)
        assert line.task == "b"
        said = r"not responding \d+\.\d s after the cancel: at house\.py:\d+ in __call__"
        assert re.fullmatch(said, line.message)
        assert line.data == {"stack": stack}
        assert caplog.messages == [f"job {job}: task b: {line.message}"]

        gate.open.set()
        ended = house.comes_to(job, S.CANCELLED)
    assert [task.not_responding for task in ended.tasks] == [None, None, None]
    assert said_of(house, job) == [line]
    assert caplog.messages == [f"job {job}: task b: {line.message}"]


def test_after_a_time_limit_too(house, gate):
    house.flow(lambda: [house.step("a"), house.step("b", gate)])
    job = house.post(timeout_s=3600.0)
    with house.running() as conductor:
        gate.arrived()
        conductor._running()[0].time_out()
        marked(house, job)
        assert house.get(job).state is S.REVERTING
        (line,) = said_of(house, job)
        assert "after its time was over: at house.py:" in line.message
        gate.open.set()
        house.comes_to(job, S.FAILED)


def test_one_that_is_interrupted_is_never_named(house):
    hold = Hold()
    house.flow(lambda: [house.step("a"), house.step("b", hold)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        house.comes_to(job, S.CANCELLED)
    assert said_of(house, job) == []


def test_a_revert_is_never_named(house, gate):
    reported = threading.Event()

    def undo(task: Step) -> None:
        task.update_progress(0.0, done=1)
        assert reported.wait(30)
        task.update_progress(0.0, done=2)
        gate(task)

    hold = Hold()
    house.flow(lambda: [house.step("a", revert=undo), house.step("b", hold)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        # Each report is stored by a look of its own, and the second one when the time has long passed.
        until(lambda: the_task(house, job, "a").detail == {"done": 1}, what="a look at the revert")
        passed = house.database.now() + timedelta(seconds=AFTER_S)
        until(lambda: house.database.now() > passed, what="the time to pass")
        reported.set()
        until(lambda: the_task(house, job, "a").detail == {"done": 2}, what="another look")
        assert the_task(house, job, "a").not_responding is None
        gate.open.set()
        house.comes_to(job, S.CANCELLED)
    assert said_of(house, job) == []


def test_each_of_several_is_named_and_forgotten_by_itself(house):
    gates = {"a": Gate(), "b": Gate()}
    made: Callable[[], Any] = lambda: unordered_flow.Flow("f").add(  # noqa: E731 - as a flow's function
        *(house.step(name, gate) for name, gate in gates.items())
    )
    house.flow(made, engine="parallel")
    job = house.post()
    with house.running():
        for gate in gates.values():
            gate.arrived()
        house.records.cancel(job, by="bob")
        for name in gates:
            marked(house, job, name)
        with Client.open(house.settings) as client:
            assert client.show(job).reason == "tasks a, b do not respond to their interruption"
            gates["a"].open.set()
            until(lambda: the_task(house, job, "a").not_responding is None, what="a to be forgotten")
            assert the_task(house, job, "b").not_responding
            assert client.show(job).reason == "task b does not respond to its interruption"
        gates["b"].open.set()
        house.comes_to(job, S.CANCELLED)
    assert sorted(line.task for line in said_of(house, job)) == ["a", "b"]


def test_where_it_is_is_kept_up_to_date(house, gate):
    second = Gate()

    def work(task: Step) -> None:
        gate(task)
        second(task)  # the second place

    house.flow(lambda: [house.step("b", work)])
    job = house.post()
    with house.running():
        gate.arrived()
        house.records.cancel(job, by="bob")
        first = marked(house, job).not_responding
        gate.open.set()
        until(lambda: "# the second place" in marked(house, job).not_responding.stack, what="the new place")
        assert marked(house, job).not_responding.since == first.since
        second.open.set()
        house.comes_to(job, S.CANCELLED)
    assert len(said_of(house, job)) == 1


def test_a_coroutine_that_swallows_its_cancel_is_shown_where_it_waits(house):
    begun, go_on = threading.Event(), threading.Event()

    async def deaf() -> None:
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                begun.set()
                await asyncio.sleep(0.01)

    async def work() -> None:
        await deaf()

    house.flow(lambda: [house.step("b", lambda _task: work())])
    job = house.post()
    with house.running():
        assert begun.wait(30)
        house.records.cancel(job, by="bob")
        stack = marked(house, job).not_responding.stack
        go_on.set()
        house.comes_to(job, S.CANCELLED)
    assert "await deaf()" in stack
    assert "in deaf" in stack


@pytest.mark.usefixtures("gated")
def test_a_conductor_that_takes_it_over_forgets_it(house, gate):
    with house.running("one", grace_s=0.0):
        job = cancelled_at(house, gate)
        marked(house, job)
    with house.running("two"):
        assert [task.not_responding for task in house.comes_to(job, S.CANCELLED).tasks] == [None, None, None]
    assert house.calls[2:] == ["revert b", "revert a"]


@pytest.mark.usefixtures("gated")
def test_a_flow_that_is_gone_leaves_no_mark_either(house, gate):
    with house.running("one", grace_s=0.0):
        job = cancelled_at(house, gate)
        marked(house, job)
    house.registry = type(house.registry)()
    house.flow(lambda: [house.step("other")])
    with house.running("two"):
        assert [task.not_responding for task in house.comes_to(job, S.REVERT_FAILED).tasks] == [None, None, None]


@pytest.mark.usefixtures("gated")
def test_what_poster_says_of_it(house, gate):
    with house.running(), Client.open(house.settings) as client:
        job = cancelled_at(house, gate)
        stack = marked(house, job).not_responding.stack.splitlines()
        reason = "task b does not respond to its interruption"

        shown = poster(house, "show", job)
        assert f"\n  {reason}\n" in shown
        row = next(line for line in shown.splitlines() if line.startswith("  b "))
        assert "not responding for " in row
        below = shown.splitlines()[shown.splitlines().index(row) + 1 :]
        assert below[: len(stack)] == [f"      {line}" for line in stack]

        document = json.loads(poster(house, "show", job, "--json"))
        assert document["reason"] == reason
        a, b, _c = document["tasks"]
        assert "not_responding" not in a
        assert list(b)[-1] == "not_responding"
        assert b["not_responding"]["since"].endswith("Z")
        assert b["not_responding"]["stack"].splitlines() == stack

        assert reason in poster(house, "list")
        told = poster(house, "history", job)
        assert re.search(r" b +not_responding +not responding \d", told)
        assert f"\n    {stack[0]}\n" in told

        (check,) = [check for check in client.doctor().checks if check.name == "tasks"]
        assert check.status == "warning"
        assert check.message == f"job {job}: {reason}: restart conductor one, the job is then only reverted"

        gate.open.set()
        house.comes_to(job, S.CANCELLED)
        (check,) = [check for check in client.doctor().checks if check.name == "tasks"]
        assert check.status == "ok"
        assert all("not_responding" not in task for task in job_document(client.show(job))["tasks"])
        assert "not responding" not in poster(house, "show", job)


@pytest.mark.usefixtures("gated")
def test_watching_it(house, gate):
    argv = [sys.executable, "-m", "poster", "watch", "--database-url", house.settings.database_url]
    with house.running():
        job = cancelled_at(house, gate)
        with subprocess.Popen([*argv, job], cwd=ROOT, stdout=subprocess.PIPE, text=True) as watch:
            assert watch.stdout is not None
            said = next(line for line in watch.stdout if "not responding" in line)
            gate.open.set()
            rest = watch.stdout.read()
    assert re.search(r"  b +running +not responding for \d", said)
    assert "not responding" not in rest
    assert "cancelled by bob" in rest
