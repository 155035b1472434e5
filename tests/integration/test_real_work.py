"""Real work that is cancelled is gone: processes, connections, loops. And who cancels gets one answer."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from taskflow.patterns import unordered_flow

from jobboard.database import open_database
from jobboard.states import State
from tests.integration import real_work
from tests.integration.house import Gate, Hold, House, Step, settings_for
from tests.waiting import until

S = State
ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(sqlite_url: str) -> Iterator[House]:
    database = open_database(sqlite_url)
    yield House(database, settings_for(sqlite_url))
    database.close()


class SlowServer(ThreadingHTTPServer):
    """Answers with a body that never ends, and notes when a client has gone."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Trickle)
        self.dropped: list[str] = []
        self.ended = threading.Event()


class Trickle(BaseHTTPRequestHandler):
    """A byte now and then."""

    server: SlowServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.server.ended.wait(0.01):
                self.wfile.write(b".")
        except OSError:
            self.server.dropped.append(self.path)

    def log_message(self, *_args: Any) -> None:
        """Not into the test's output."""


@pytest.fixture
def server() -> Iterator[SlowServer]:
    with SlowServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()


def cancel_when_begun(house: House, folder: Path, tasks: list[Any], **how: Any) -> None:
    """A job for each task; all are cancelled once all have begun, and end as cancelled."""
    for task in tasks:
        house.flow(lambda task=task: [house.step("before"), task], task.name)
    with house.running(slots=len(tasks)):
        posted = [house.post(task.name) for task in tasks]
        for task in tasks:
            until((folder / task.name).exists, 60, f"{task.name} to begin")
        for job in posted:
            house.records.cancel(job, by="bob")
        for job in posted:
            done = house.comes_to(job, S.CANCELLED)
            assert (done.error, done.cancel.reverted, done.cancel.total) == (None, 2, 2)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_what_a_cancelled_job_did_is_gone(
    house: House, server: SlowServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    port = server.server_address[1]
    tasks = [
        real_work.Tree("tree", tmp_path),
        real_work.Downloads("download", tmp_path, port),
        real_work.DownloadsAsync("download_async", tmp_path, port),
        real_work.SpinsInThread("spins_in_thread", tmp_path),
        real_work.SpinsInProcess("spins_in_process", tmp_path),
        real_work.SleepsInProcess("sleeps_in_process", tmp_path),
    ]
    cancel_when_begun(house, tmp_path, tasks)
    for name in ("tree", "spins_in_process", "sleeps_in_process"):
        for pid in map(int, (tmp_path / name).read_text().split()):
            until(lambda pid=pid: is_gone(pid), 60, f"process {pid} of {name} to be gone")
    assert (tmp_path / "spins_in_thread").read_text() != (tmp_path / "spins_in_process").read_text()
    until(lambda: sorted(server.dropped) == ["/download", "/download_async"], 60, "both clients to hang up")
    assert [record.getMessage() for record in caplog.records] == []


def test_ten_tasks_at_once_end_together(house: House, tmp_path: Path) -> None:
    names = [f"task_{number}" for number in range(10)]
    classes = [real_work.Tree, real_work.SpinsInThread, real_work.SleepsInProcess]
    house.flow(
        lambda: unordered_flow.Flow("f").add(
            *(classes[number % 3](name, tmp_path) for number, name in enumerate(names))
        ),
        engine="parallel",
    )
    job = house.post()
    with house.running():
        until(lambda: all((tmp_path / name).exists() for name in names), 60, "all ten")
        house.records.cancel(job, by="bob")
        done = house.comes_to(job, S.CANCELLED)
    assert (done.cancel.reverted, done.cancel.total) == (10, 10)


@pytest.mark.parametrize(("name", "signal"), [("segfault", "SIGSEGV"), ("kill", "SIGKILL")])
def test_a_child_that_dies_is_an_error_of_its_task_and_not_the_conductors_end(
    house: House, tmp_path: Path, name: str, signal: str
) -> None:
    house.flow(lambda: [house.step("before"), real_work.Dies(name, tmp_path)], "dies")
    house.flow(lambda: [house.step("a")], "lives")
    with house.running():
        dead = house.comes_to(house.post("dies"), S.FAILED)
        house.comes_to(house.post("lives"), S.COMPLETED)
    assert (dead.error.task, dead.error.type.rpartition(".")[2]) == (name, "ChildError")
    assert signal in dead.error.message
    assert "revert before" in house.calls


# Who cancels


def test_of_eight_jobs_one_is_cancelled_and_seven_complete(house: House) -> None:
    held, gate = Hold(), Gate()
    house.flow(lambda: [house.step("a"), house.step("b", held)], "held")
    house.flow(lambda: [house.step("a"), house.step("b", gate)], "others")
    with house.running(slots=8):
        victim, others = house.post("held"), [house.post("others") for _ in range(7)]
        held.arrived()
        until(lambda: all(house.get(job).tasks[1:2] for job in others), 60, "the others")
        until(lambda: all(house.get(job).tasks[1].state == "running" for job in others), 60, "the others")
        house.records.cancel(victim, by="bob")
        house.comes_to(victim, S.CANCELLED)
        gate.open.set()
        assert Counter(house.comes_to(job).state for job in others) == {S.COMPLETED: 7}


def test_a_second_cancel_gets_the_same_answer(house: House) -> None:
    hold, undoing = Hold(), Gate()
    house.flow(lambda: [house.step("a", hold, undoing)])
    job = house.post()
    with house.running():
        hold.arrived()
        first = house.records.cancel(job, by="bob", reason="wrong file")
        undoing.arrived()
        second = house.records.cancel(job, by="eve", reason="me too")
        undoing.open.set()
        done = house.comes_to(job, S.CANCELLED)
        third = house.records.cancel(job, by="eve", reason="me too")
    assert first.state is second.state is S.CANCELLING
    assert third.state is S.CANCELLED
    assert (done.reason, done.cancel.by, house.get(job)) == ("cancelled by bob: wrong file", "bob", done)
    assert house.calls.count("revert a") == 1


def test_many_processes_that_cancel_the_same_jobs_get_the_same_answer(house: House, sqlite_url: str) -> None:
    holds, undoing = [Hold() for _ in range(4)], Gate()
    left = iter(holds)

    def make() -> list[Step]:
        return [house.step("a", next(left), undoing)]

    house.flow(make)
    with house.running(slots=4):
        posted = [house.post() for _ in holds]
        for hold in holds:
            hold.arrived()
        words = [sys.executable, "-m", "poster", "cancel", *posted, "--json", f"--database-url={sqlite_url}"]
        asking = [
            subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        answers = []
        for process in asking:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            answers.append(json.loads(out))
        undoing.open.set()
        assert {house.comes_to(job).state for job in posted} == {S.CANCELLED}
    assert answers == [answers[0]] * 4
    assert [(answer["id"], answer["ok"], answer["state"]) for answer in answers[0]] == [
        (job, True, "cancelling") for job in posted
    ]
    assert house.calls.count("revert a") == 4
