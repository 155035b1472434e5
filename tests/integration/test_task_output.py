"""What tasks print is in their jobs' logs; what others print is not."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from taskflow.patterns import unordered_flow

from conductor.service import Conductor
from conductor.task_output import tasks_output_logged
from flows import CancelableTask
from jobboard import history
from jobboard.database import open_database
from jobboard.states import State
from tests.integration.house import Gate, Hold, House, Step, settings_for
from tests.waiting import until

S = State
ROOT = Path(__file__).parents[2]


class LoggingHouse(House):
    """Its conductors do with what is printed as the program does."""

    @contextlib.contextmanager
    def running(self, name: str = "one", **how: Any) -> Iterator[Conductor]:
        with tasks_output_logged(), super().running(name, **how) as conductor:
            yield conductor


@pytest.fixture
def house(sqlite_url: str) -> Iterator[House]:
    with contextlib.closing(open_database(sqlite_url)) as database:
        yield LoggingHouse(database, settings_for(sqlite_url))


def logged(house: House, job: str) -> list[tuple[str | None, str | None]]:
    return [(line.task, line.message) for line in house.lines(job, history.LOG)]


def test_lines_are_of_the_job_and_the_task(house, capsys):
    def execute(_task: Step) -> None:
        print("one", 2, sep=", ")
        print("of the error stream", file=sys.stderr)
        sys.stdout.write("several\nat once, the last ")
        print("without an end", end="")

    house.flow(lambda: [house.step("a", execute, lambda _: print("undone")), house.step("b", fail)])
    job = house.run()
    assert job.state is S.FAILED
    assert logged(house, job.id) == [
        ("a", "one, 2"),
        ("a", "of the error stream"),
        ("a", "several"),
        ("a", "at once, the last without an end"),
        ("b", "before it failed"),
        ("a", "undone"),
    ]
    assert {line.state for line in house.lines(job.id, history.LOG)} == {"info"}
    assert capsys.readouterr().out == ""


def fail(_task: Step) -> None:
    print("before it failed", end="")
    raise ValueError("boom")


def test_what_it_printed_before_it_was_interrupted_is_there(house):
    hold = Hold()

    def execute(task: Step) -> None:
        print("half a li", end="")
        hold(task)

    house.flow(lambda: [house.step("a", execute)])
    job = house.post()
    with house.running():
        hold.arrived()
        house.records.cancel(job, by="bob")
        house.comes_to(job, S.CANCELLED)
    assert logged(house, job) == [("a", "half a li")]


def test_jobs_and_tasks_that_print_at_the_same_time_are_told_apart(house, capsys):
    met = threading.Barrier(6)

    def execute(task: Step) -> None:
        for number in range(50):
            met.wait(30)
            print(task.job, end=" ")
            print(task.name, number)

    def make() -> unordered_flow.Flow:
        return unordered_flow.Flow("f").add(*(house.step(name, execute) for name in "abc"))

    house.flow(make, engine="parallel")
    jobs = [house.post() for _ in range(2)]
    house.drain()
    for job in jobs:
        lines = logged(house, job)
        assert len(lines) == 150
        for name in "abc":
            assert [said for task, said in lines if task == name] == [f"{job} {name} {n}" for n in range(50)]
    assert capsys.readouterr().out == ""


def test_what_carries_the_tasks_context_is_the_tasks(house, capsys):
    def execute(_task: Step) -> None:
        mine = contextvars.copy_context()
        for target in (lambda: mine.run(print, "of a thread with it"), lambda: print("of a thread without")):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    async def coroutine() -> None:
        await asyncio.gather(asyncio.to_thread(print, "of a worker"), say())

    async def say() -> None:
        print("of a coroutine")

    house.flow(lambda: [house.step("a", execute), house.step("b", lambda _task: coroutine())])
    job = house.run()
    lines = logged(house, job.id)
    assert lines[0] == ("a", "of a thread with it")
    assert sorted(lines[1:]) == [("b", "of a coroutine"), ("b", "of a worker")]
    assert capsys.readouterr().out == "of a thread without\n"


def test_handlers_that_write_to_the_streams_do_not_go_round(house, capsys):
    log = logging.getLogger("tests.printing")

    def execute(_task: Step) -> None:
        # As code does that sets its logging up late: it holds on to the stream as it then is.
        handler = logging.StreamHandler()
        logging.getLogger().addHandler(handler)
        try:
            log.warning("logged")
            print("printed")
        finally:
            logging.getLogger().removeHandler(handler)

    house.flow(lambda: [house.step("a", execute)])
    job = house.run()
    assert logged(house, job.id) == [("a", "logged"), ("a", "printed")]
    assert capsys.readouterr().err.splitlines() == ["logged", "printed"]


def test_a_handler_that_prints_does_not_go_round(house, capsys):
    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print("handled", record.getMessage())

    def execute(_task: Step) -> None:
        logging.getLogger().addHandler(printer)
        try:
            print("printed")
        finally:
            logging.getLogger().removeHandler(printer)

    printer = Printer()
    house.flow(lambda: [house.step("a", execute)])
    job = house.run()
    assert logged(house, job.id) == [("a", "printed")]
    assert capsys.readouterr().out == "handled printed\n"


def test_a_stream_is_as_it_was_but_no_terminal_to_a_task(house):
    seen = {}

    def execute(_task: Step) -> None:
        seen.update(encoding=sys.stdout.encoding, terminal=sys.stdout.isatty(), fileno=sys.stderr.fileno())
        print("flushed", flush=True)
        sys.stdout.writelines(["a\n", "b\n"])

    house.flow(lambda: [house.step("a", execute)])
    job = house.run()
    assert seen == {"encoding": sys.stdout.encoding, "terminal": False, "fileno": sys.stderr.fileno()}
    assert logged(house, job.id) == [("a", "flushed"), ("a", "a"), ("a", "b")]


def test_a_task_that_goes_on_after_the_end_prints_to_the_stream(house, capsys):
    gate = Gate()
    before = (sys.stdout, sys.stderr)

    def execute(task: Step) -> None:
        gate(task)
        print("late")

    house.flow(lambda: [house.step("a", execute)])
    house.post()
    with house.running(grace_s=0.0):
        gate.arrived()
    assert (sys.stdout, sys.stderr) == before
    gate.open.set()
    until(lambda: "late" in capsys.readouterr().out, what="the late line")


class Prints(CancelableTask):
    """Prints in a process of its own."""

    interrupt = "process"

    def execute(self) -> None:
        print("in a child:", multiprocessing.parent_process() is not None)
        print("\r10 %\r100 %", file=sys.stderr)
        logging.getLogger("tests.child").info("logged")
        print("no end", end="")


def test_a_child_process_prints_to_the_jobs_log_too(house, capsys):
    logging.getLogger("tests").setLevel(logging.INFO)
    house.flow(lambda: [Prints("a")])
    job = house.run()
    assert job.state is S.COMPLETED, job.error
    assert logged(house, job.id) == [("a", "in a child: True"), ("a", "100 %"), ("a", "logged"), ("a", "no end")]
    assert capsys.readouterr().out == ""


FLOWS = """
from taskflow.patterns import linear_flow
from flows import CancelableTask, flow

print("the flows are loaded")

class Say(CancelableTask):
    def execute(self) -> None:
        print("said")

@flow("say")
def say():
    return linear_flow.Flow("say").add(Say())
"""


class Deaf(CancelableTask):
    """Does not end when it is asked to."""

    interrupt = "process"
    kill_after = 0.1

    def execute(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("begun")
        time.sleep(60)


def test_a_child_process_that_is_killed_has_said_its_lines(house):
    house.flow(lambda: [Deaf("a")])
    job = house.post()
    with house.running():
        until(lambda: logged(house, job) == [("a", "begun")], timeout=30, what="its line")
        house.records.cancel(job, by="bob")
        house.comes_to(job, S.CANCELLED)


@pytest.mark.parametrize("level", ["info", "warning"])
def test_a_conductor_of_its_own_logs_what_tasks_print(house, tmp_path, level):
    flows = tmp_path / "say_flows.py"
    flows.write_text(FLOWS)
    job = house.post("say")
    options = ["--burst", "--log-level", level, "--flows", str(flows)]
    ran = subprocess.run(
        [sys.executable, "-m", "conductor", "run", *options, "--database-url", house.settings.database_url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert house.get(job).state is S.COMPLETED, ran.stderr
    assert logged(house, job) == [("say", "said")]
    assert ran.stdout == "the flows are loaded\n"
    assert ran.stderr.count(f"[{job} say #1 say] said\n") == (level == "info")
