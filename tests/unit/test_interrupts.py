"""Every kind of work stops: a coroutine, a command, a call that never looks, Python code that never ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import CancelableTask, CancelCause, CancelKind, CancelToken, JobCancelled, RunContext
from flows.errors import InvalidFlow, TaskError
from flows.frames import frames
from flows.interrupt import child, injection
from flows.interrupt.child import ChildError
from flows.interrupt.command import CommandFailed
from flows.interrupt.guardian import GUARDIAN
from flows.run_context import TaskReport
from tests.waiting import until

# An interruption may land where the interpreter only prints it, in a `__del__`; then it is sent again.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CAUSE = CancelCause(CancelKind.USER, "ann", "wrong file")


class Job:
    """The job round one task: its flag, and what the task told."""

    def __init__(self, task: CancelableTask) -> None:
        self.task = task
        self.token = CancelToken()
        self.reports: list[TaskReport] = []
        self.swallowed: list[str] = []
        context = RunContext(
            token=self.token, report=self.reports.append, swallowed=self.swallowed.append, sealed=True
        )
        task.bind(context)

    def run(self, **arguments: Any) -> Any:
        return self.task.execute(**arguments)

    @contextlib.contextmanager
    def cancelled_when(self, ready: Callable[[], object]) -> Iterator[None]:
        """The flag goes up as soon as `ready` is true; the block must end as cancelled."""
        thread = threading.Thread(target=lambda: (until(ready, 20), self.token.set(CAUSE)))
        thread.start()
        try:
            with pytest.raises(JobCancelled) as raised:
                yield
        finally:
            thread.join()
        assert (raised.value.by, raised.value.reason) == ("ann", "wrong file")


class Waits(CancelableTask):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def execute(self) -> None:
        child = asyncio.create_task(self.wait("child"))
        try:
            await self.wait("main")
        finally:
            await asyncio.sleep(0.02)  # takes longer than a moment, and must run to its end
            self.told.append("finally")
            assert not child.done()

    async def wait(self, who: str) -> None:
        self.told.append(f"{who} waits")
        try:
            await asyncio.sleep(3600)
        finally:
            self.told.append(f"{who} ends")

    async def revert(self, **_: Any) -> str:
        await asyncio.sleep(0.01)
        return "reverted"


def test_a_coroutine_is_cancelled_at_its_await() -> None:
    job = Job(Waits())
    before = threading.active_count()
    with job.cancelled_when(lambda: "child waits" in job.task.told):
        job.run()
    assert job.task.told == ["main waits", "child waits", "main ends", "finally", "child ends"]
    until(lambda: threading.active_count() == before)


def test_coroutines_of_a_group_that_look_for_themselves_are_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    class Look(CancelableTask):
        looks = 0

        async def execute(self) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(self.look())

        async def look(self) -> None:
            while True:
                self.looks += 1
                self.checkpoint()
                await asyncio.sleep(0)

    caplog.set_level("INFO")
    job = Job(Look())
    with job.cancelled_when(lambda: job.task.looks > 2):
        job.run()
    assert caplog.text == ""


def test_a_coroutine_reverts_to_its_end_though_the_flag_is_up() -> None:
    job = Job(Waits())
    job.token.set(CAUSE)
    assert job.task.revert(result=None) == "reverted"


def test_a_coroutine_that_was_cancelled_and_went_on_is_found() -> None:
    class GoesOn(CancelableTask):
        begun = False

        async def execute(self) -> str:
            self.begun = True
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            return "as if nothing had happened"

    job = Job(GoesOn())
    with job.cancelled_when(lambda: job.task.begun):
        job.run()
    assert job.swallowed == ["goes_on"]


def test_a_coroutine_gives_its_result_and_its_errors() -> None:
    class Adds(CancelableTask):
        async def execute(self, a: int, b: int) -> int:
            await asyncio.sleep(0)
            if b < 0:
                raise ValueError("negative")
            return a + b

    class AddsOne(Adds):
        async def execute(self, a: int) -> int:
            return await super().execute(a, 1)

    assert Job(Adds()).run(a=1, b=2) == 3
    assert Job(AddsOne()).run(a=1) == 2
    with pytest.raises(ValueError, match="negative"):
        Job(Adds()).run(a=1, b=-1)


class Spins(CancelableTask):
    interrupt = "thread"
    turns = 0

    def execute(self) -> None:
        while True:
            try:
                self.turns += 1
            except Exception:
                self.turns += 1


def test_python_code_that_never_looks_is_interrupted() -> None:
    job = Job(Spins())
    with job.cancelled_when(lambda: job.task.turns > 1000):
        job.run()


def test_an_injected_interruption_never_leaves_its_window() -> None:
    """Ended at random moments round the cancel, the code after the window is never hit."""

    class Short(CancelableTask):
        interrupt = "thread"

        def execute(self) -> int:
            return sum(range(2000))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    try:
        for _ in range(300):
            job = Job(Short())
            setter = threading.Thread(target=job.token.set, args=[CAUSE])
            setter.start()
            with contextlib.suppress(JobCancelled):
                job.run()
            assert sum(range(500)) == 124750
            setter.join()
            assert sum(range(500)) == 124750
    finally:
        sys.setswitchinterval(interval)
    until(lambda: not any(thread.name == "interrupt" for thread in threading.enumerate()))


class InThread(CancelableTask):
    """Does what its test says."""

    interrupt = "thread"

    def __init__(self, work: Callable[[InThread], Any]) -> None:
        super().__init__()
        self.work = work
        self.begun = False

    def execute(self) -> Any:
        return self.work(self)


def test_a_thread_is_free_for_the_next_task_however_one_ended() -> None:
    for error in (ValueError("boom"), SystemExit(3)):
        with pytest.raises((ValueError, TaskError)):
            Job(InThread(raiser(error))).run()
    job = Job(InThread(lambda task: (job.token.set(CAUSE), task.checkpoint())))
    with pytest.raises(JobCancelled):
        job.run()
    assert Job(InThread(lambda _: "done")).run() == "done"


def raiser(error: BaseException) -> Callable[[Any], None]:
    def work(_task: Any) -> None:
        raise error

    return work


def test_a_coroutine_is_cancelled_at_its_await_also_under_thread() -> None:
    class Injectable(Waits):
        interrupt = "thread"

    job = Job(Injectable())
    with job.cancelled_when(lambda: "child waits" in job.task.told):
        job.run()
    assert job.task.told[2:] == ["main ends", "finally", "child ends"]


def test_an_interruption_that_gets_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python only prints what is raised in a `__del__`: it goes on as if nothing had happened."""
    monkeypatch.setattr("flows.interrupt.injection._AGAIN_S", 0.05)

    class Swallows:
        def __del__(self) -> None:
            job.task.begun = True
            spin_for_long()
            said.append("never sent")

    def work(_task: Any) -> None:
        Swallows()
        said.append("lost")
        spin_for_long()
        said.append("not sent again")

    said: list[str] = []
    job = Job(InThread(work))
    with job.cancelled_when(lambda: job.task.begun):
        job.run()
    assert said == ["lost"]


def spin_for_long() -> None:
    """Far longer than an interruption takes to come."""
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        pass


def test_an_interruption_that_came_before_it_could_be_sent_is_not_forgotten() -> None:
    """It is sent again until it arrives: the first time, the code is where it cannot be interrupted."""
    sheltering = threading.Event()

    def work(task: InThread) -> None:
        with injection.sheltered():
            sheltering.set()
            assert task.cancel_token.wait(20)
            until(lambda: any(thread.name == "interrupt" for thread in threading.enumerate()))
            time.sleep(0.05)
        spin_for_long()
        task.begun = True

    job = Job(InThread(work))
    with job.cancelled_when(sheltering.is_set):
        job.run()
    assert not job.task.begun


def test_a_finally_block_is_interrupted_no_second_time() -> None:
    """Once it has arrived it is not sent again at once."""
    ended: list[int] = []

    def work(task: InThread) -> None:
        try:
            while True:
                task.begun = True
        finally:
            time.sleep(0.2)
            ended.append(sum(range(1000)))

    job = Job(InThread(work))
    with job.cancelled_when(lambda: job.task.begun):
        job.run()
    assert ended == [499500]


def test_what_was_sent_and_has_not_arrived_is_taken_back() -> None:
    """The thread waits to close its window while the interruption is sent."""
    window, opened, held, seen = injection._Window(), threading.Event(), threading.Event(), []

    def close() -> None:
        window.open()
        opened.set()
        held.wait(60)
        try:
            window.pause()
            seen.append("closed")
        except injection.Injected:
            seen.append("hit")

    thread = threading.Thread(target=close)
    thread.start()
    assert opened.wait(60)
    with window._lock:
        held.set()
        until(lambda: frames()[thread.ident].f_code.co_name == "pause", 60, "it to wait")
        injection._send(thread.ident, injection.Injected)
    thread.join()
    assert seen == ["closed"]


def test_what_is_sheltered_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.interrupt.injection._RESEND_S", 0.0)
    broken: list[int] = []

    def work(task: InThread) -> None:
        task.begun = True
        while True:
            inside = 0
            try:
                with injection.sheltered():
                    inside = 1
                    for _ in range(5):
                        inside += 1
                    inside = 0
            finally:
                broken.append(inside)
            broken[:] = [number for number in broken if number]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    try:
        for _ in range(100):
            job = Job(InThread(work))
            with job.cancelled_when(lambda job=job: job.task.begun):
                job.run()
            assert not any(broken)
    finally:
        sys.setswitchinterval(interval)


def test_a_command_under_thread_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    """The command has its own way to stop: an exception in the midst of that would leave half of it behind."""

    def used() -> tuple[int, int]:
        return threading.active_count(), psutil.Process().num_fds()

    def cancel_one(number: int) -> None:
        begun = tmp_path / str(number)
        line = f"touch {begun}; exec sleep 3600"
        job = Job(InThread(lambda task: task.run(["sh", "-c", line], kill_after=3600)))
        with job.cancelled_when(begun.exists):
            job.run()

    cancel_one(0)
    before = used()
    for number in range(1, 10):
        cancel_one(number)
    until(lambda: used() <= before, 60, f"no more than {before} threads and files")


def test_an_interruption_leaves_no_lock_of_logging_behind() -> None:
    """Raised between a lock's taking and the `try` after it, it would block whoever logs next, for ever."""
    handler = logging.StreamHandler(io.StringIO())
    log = logging.getLogger("tests.locked")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False

    def work(task: InThread) -> None:
        task.begun = True
        while True:
            log.info("line %d", 3)

    def is_free() -> bool:
        free = handler.lock.acquire(timeout=0.5)
        if free:
            handler.lock.release()
        return free

    try:
        for _ in range(200):
            job = Job(InThread(work))
            with job.cancelled_when(lambda job=job: job.task.begun):
                job.run()
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(is_free).result()
    finally:
        log.removeHandler(handler)


class Runs(CancelableTask):
    """Runs a shell line."""

    def execute(self, line: str, **options: Any) -> str:
        return self.run(["sh", "-c", line], **options).output

    def revert(self, line: str, **_: Any) -> None:
        self.reverted = self.run(["sh", "-c", line]).output


def test_a_command_and_what_it_started_are_gone(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    job = Job(Runs())
    line = f"sleep 3600 & echo $! > {pids}.new; echo $$ >> {pids}.new; mv {pids}.new {pids}; sleep 3600"
    with job.cancelled_when(pids.exists):
        job.run(line=line)
    for pid in map(int, pids.read_text().split()):
        until(lambda pid=pid: not is_alive(pid), 5, f"process {pid} to be gone")


def test_a_command_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    job = Job(Runs())
    with job.cancelled_when(begun.exists):
        job.run(line=f"trap '' TERM; touch {begun}; while :; do sleep 1; done", kill_after=0.1)


def test_a_command_gives_its_output_its_code_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flows.cancelable")
    job = Job(Runs())
    assert job.run(line="echo one; echo two >&2; printf three") == "one\ntwo\nthree"
    assert caplog.messages == ["one", "two", "three"]
    assert job.run(line="cat; exit 4", stdin="given", check=False) == "given"
    with pytest.raises(CommandFailed, match="sh: exit code 3: no space"):
        job.run(line="echo no space; exit 3")
    with pytest.raises(CommandFailed, match="killed by SIGSEGV"):
        job.run(line="kill -SEGV $$")
    with pytest.raises(FileNotFoundError):
        Job(type("Missing", (CancelableTask,), {"execute": lambda self: self.run(["no-such-command"])})()).run()


def test_a_command_does_not_wait_for_what_it_left_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    assert Job(Runs()).run(line=f"sleep 3600 & echo $! > {pid}; echo done") == "done"
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_command_in_a_revert_runs_to_its_end() -> None:
    job = Job(Runs())
    job.token.set(CAUSE)
    job.task.revert(line="echo undone", result=None)
    assert job.task.reverted == "undone"


class Receives(CancelableTask):
    """Blocks in a call that never looks; a cancel takes its socket away."""

    waiting = False

    def execute(self) -> str:
        self.ours, theirs = socket.socketpair()
        with self.ours, theirs:
            self.waiting = True
            return self.ours.recv(1).decode()

    def on_cancel(self) -> None:
        self.ours.shutdown(socket.SHUT_RDWR)


def test_on_cancel_ends_a_call_that_never_looks() -> None:
    job = Job(Receives())
    with job.cancelled_when(lambda: job.task.waiting):
        job.run()


def test_an_on_cancel_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Fails(CancelableTask):
        waiting = False

        def execute(self) -> None:
            self.waiting = True
            self.sleep(3600)

        def on_cancel(self) -> None:
            raise OSError("no such device")

    job = Job(Fails())
    with job.cancelled_when(lambda: job.task.waiting):
        job.run()
    assert "on_cancel failed" in caplog.text


class Shuts(CancelableTask):
    """Waits, without a look at the flag, until its on_cancel has done its work."""

    def __init__(self, on_cancel: Callable[[Shuts], None]) -> None:
        super().__init__()
        self.waiting = False
        self.closed = threading.Event()
        self.does = on_cancel

    def execute(self) -> None:
        self.waiting = True
        assert self.closed.wait(60), "on_cancel was not called"

    def on_cancel(self) -> None:
        self.does(self)


def test_an_on_cancel_that_came_too_early_is_called_again() -> None:
    calls: list[str] = []

    def on_cancel(task: Shuts) -> None:
        calls.append("on_cancel")
        if len(calls) < 3:
            raise AttributeError("no socket yet")
        task.closed.set()

    job = Job(Shuts(on_cancel))
    with job.cancelled_when(lambda: job.task.waiting):
        job.run()
    assert calls == ["on_cancel"] * 3


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_who_raises_the_flag_does_not_suffer_from_an_on_cancel(error: BaseException) -> None:
    """It is the thread that watches over all jobs: it must not end, nor wait."""
    may_return = threading.Event()

    def on_cancel(task: Shuts) -> None:
        if not task.closed.is_set():
            task.closed.set()
            raise error
        assert may_return.wait(60)

    job = Job(Shuts(on_cancel))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(job.run)
        until(lambda: job.task.waiting, 60)
        assert job.token.set(CAUSE)
        may_return.set()
        with pytest.raises(JobCancelled):
            running.result(60)


def test_an_on_cancel_that_is_interrupted_itself_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    def on_cancel(task: Shuts) -> None:
        task.closed.set()
        task.checkpoint()

    job = Job(Shuts(on_cancel))
    with job.cancelled_when(lambda: job.task.waiting):
        job.run()
    assert "on_cancel failed" in caplog.text


class InChild(CancelableTask):
    """Does one of many things in a process of its own."""

    interrupt = "process"
    kill_after = 0.2

    def execute(self, what: str, where: str = "") -> Any:
        return getattr(self, f"do_{what}")(where)

    def do_work(self, where: str) -> dict[str, Any]:
        print("printed")
        print("half a line", end="")
        logging.getLogger("my.log").warning("logged")
        self.update_progress(0.5, done=1, total=2)
        return {"pid": os.getpid(), "job": self.job}

    def do_large(self, where: str) -> str:
        return "x" * 1_100_000

    def do_sleep(self, where: str) -> None:
        grandchild = subprocess.Popen(["sleep", "3600"])
        note(where, f"{os.getpid()} {grandchild.pid}")
        try:
            time.sleep(3600)
        finally:
            note(f"{where}.finally", "ran")

    def do_command(self, where: str) -> None:
        self.run(["sh", "-c", lasting(where)])

    def do_command_slowly(self, where: str) -> None:
        guard = GUARDIAN.guard

        def guard_late(group: int) -> None:
            """The signal comes in the moment in which the command has begun, and nobody could stop it yet."""
            until(Path(where).exists, 20, "the command to begin")
            until(lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_IGN, 20, "the signal")
            guard(group)

        GUARDIAN.guard = guard_late  # type: ignore[method-assign]
        self.do_command(where)

    def do_stubborn(self, where: str) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        note(where, str(os.getpid()))
        while True:
            time.sleep(3600)

    def do_segfault(self, where: str) -> None:
        ctypes.string_at(0)

    def do_vanish(self, where: str) -> None:
        os._exit(4)

    def do_exit(self, where: str) -> None:
        sys.exit("enough")

    def do_fail(self, where: str) -> None:
        raise KeyError("missing")

    def do_odd(self, where: str) -> Any:
        return threading.Lock()


def lasting(where: str) -> str:
    """A shell line that leaves its process ids, says so, and stays."""
    return f"sleep 3600 & echo $$ $! > {where}.new; mv {where}.new {where}; echo up; wait"


def note(where: str, text: str) -> None:
    Path(f"{where}.new").write_text(text)
    Path(f"{where}.new").rename(where)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_hook_that_a_conductor_puts_on_a_task_stays_with_the_parent() -> None:
    job = Job(InChild())
    job.task.pre_execute = lambda: None  # what cannot be pickled
    assert job.run(what="work")["pid"] != os.getpid()


def test_a_child_gives_its_result_its_progress_and_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job = Job(InChild())
    result = job.run(what="work")
    assert result["pid"] != os.getpid()
    assert [(report.progress, report.detail) for report in job.reports] == [(0.5, {"done": 1, "total": 2})]
    assert ("stdout", logging.INFO, "printed") in caplog.record_tuples
    assert ("stdout", logging.INFO, "half a line") in caplog.record_tuples
    assert ("my.log", logging.WARNING, "logged") in caplog.record_tuples


def test_a_child_knows_its_job_and_how_large_a_result_may_be() -> None:
    task = InChild()
    task.bind(RunContext(job="j1", max_result_bytes=2_000_000))
    assert task.execute(what="work")["job"] == "j1"
    assert len(task.execute(what="large")) == 1_100_000


def test_a_child_is_interrupted_and_leaves_nothing(tmp_path: Path) -> None:
    where = tmp_path / "pids"
    job = Job(InChild())
    with job.cancelled_when(where.exists):
        job.run(what="sleep", where=str(where))
    assert Path(f"{where}.finally").read_text() == "ran"
    for pid in map(int, where.read_text().split()):
        until(lambda pid=pid: not is_alive(pid), 5, f"process {pid} to be gone")


def test_a_child_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    where = tmp_path / "pid"
    job = Job(InChild())
    with job.cancelled_when(where.exists):
        job.run(what="stubborn", where=str(where))
    until(lambda: not is_alive(int(where.read_text())))


def test_a_child_that_has_no_group_yet_is_terminated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It has just been forked: until it has a process group of its own, it is asked itself."""
    attend = child._Attendance.attend

    def cancelled_at_once(self: Any) -> Any:
        job.token.set(CAUSE)
        return attend(self)

    monkeypatch.setattr(child._Attendance, "attend", cancelled_at_once)
    monkeypatch.setattr(InChild, "kill_after", 3600.0)
    job = Job(InChild())
    with pytest.raises(JobCancelled):
        job.run(what="sleep", where=str(tmp_path / "pids"))


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("segfault", ChildError, "killed by SIGSEGV"),
        ("vanish", ChildError, "exit code 4"),
        ("exit", TaskError, "SystemExit: enough"),
        ("fail", KeyError, "missing"),
        ("odd", TaskError, "result is a lock"),
    ],
)
def test_a_childs_end_is_an_error_of_its_task(what: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Job(InChild()).run(what=what)


def test_what_cannot_be_pickled_is_said() -> None:
    task = InChild()
    task.lock = threading.Lock()
    with pytest.raises(InvalidFlow, match=r"in_child.*picklable"):
        Job(task).run(what="work")


@pytest.mark.parametrize("what", ["command", "command_slowly"])
def test_a_command_in_a_child_is_interrupted_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(InChild, "kill_after", 3600.0)
    where = tmp_path / "pids"
    job = Job(InChild())
    with job.cancelled_when(where.exists):
        job.run(what=what, where=str(where))
    for pid in map(int, where.read_text().split()):
        until(lambda pid=pid: not is_alive(pid), 60, f"process {pid} to be gone")


@pytest.mark.parametrize("how", ["child", "command in a child", "command"])
def test_nothing_outlives_its_conductor(tmp_path: Path, how: str) -> None:
    where = tmp_path / "pids"
    log = tmp_path / "log"
    run = {
        "child": f"Job(InChild()).run(what='sleep', where={str(where)!r})",
        "command in a child": f"Job(InChild()).run(what='command', where={str(where)!r})",
        "command": f"Job(Runs()).run(line={lasting(str(where))!r})",
    }[how]
    script = tmp_path / "parent.py"
    script.write_text(
        "import logging\n"
        "from tests.unit.test_interrupts import InChild, Job, Runs\n"
        "if __name__ == '__main__':\n"
        f"    logging.basicConfig(filename={str(log)!r}, level=logging.INFO, format='%(message)s')\n"
        f"    {run}\n"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(root)})
    try:
        until(where.exists, 60, "the child to begin")
        if how != "child":
            # A command is guarded once its lines are read: a moment earlier it would be left behind.
            until(lambda: "up" in log.read_text().split(), 60, "its line to be read")
    finally:
        parent.kill()
        parent.wait()
    for pid in map(int, where.read_text().split()):
        until(lambda pid=pid: not is_alive(pid), 60, f"process {pid} to be gone")


def test_a_guardian_that_was_killed_is_replaced(tmp_path: Path) -> None:
    def guardians() -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if "groups.discard" in " ".join(child.cmdline())]

    assert Job(Runs()).run(line="echo one") == "one"
    (guardian,) = guardians()
    guardian.kill()
    until(lambda: not is_alive(guardian.pid), 60, "its end")
    assert Job(Runs()).run(line="echo two") == "two"
    assert [other.pid for other in guardians()] != [guardian.pid]
    assert len(guardians()) == 1


def test_many_cancels_leave_nothing_behind(tmp_path: Path) -> None:
    def used() -> tuple[int, int]:
        return threading.active_count(), psutil.Process().num_fds()

    def cancel_all() -> None:
        for task in (Spins(), Waits(), Receives()):
            job = Job(task)
            timer = threading.Timer(0.001, job.token.set, [CAUSE])
            timer.start()
            with pytest.raises(JobCancelled):
                job.run()
            timer.join()

    cancel_all()
    before = used()
    for _ in range(30):
        cancel_all()
    until(lambda: used() <= before, 10, f"no more than {before} threads and files")
