"""Flows that would go on for ever, one for each kind of work and engine: made to be cancelled and measured.

Each task makes a file, rings when its work has begun, and removes the file in its revert.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taskflow import task as taskflow_task
from taskflow.patterns import linear_flow, unordered_flow

from benchmarks.bell import ring
from flows import CancelableTask, flow
from flows.registry import Engine

FOREVER_S: Final = 3600.0
_BLOCK: Final = b"\0" * 1_000_000  # some milliseconds of work outside of the interpreter's lock
_TURN_S: Final = 0.001
_SHORT_S: Final = 0.02
_SHORT_TASKS: Final = 100
_TASKS_AT_ONCE: Final = 10
JOBS_AT_ONCE: Final = 32


def begin(task: str, mark: Path, bell: Path) -> None:
    """Leave an effect that can be seen, and tell who waits at `bell` that the work begins."""
    effect(task, mark).touch()
    ring(bell, str(mark))


def effect(task: str, mark: Path) -> Path:
    """The file that a task makes."""
    return mark.with_name(f"{mark.name}.{task}")


class Work(CancelableTask):
    """Goes on for ever."""

    def execute(self, mark: Path, bell: Path) -> None:
        begin(self.name, mark, bell)
        self.work()

    def work(self) -> None:
        """What it does for ever."""

    def revert(self, mark: Path, **_: Any) -> None:
        effect(self.name, mark).unlink(missing_ok=True)


class Checkpoint(Work):
    """Computes, and looks at the flag between two blocks."""

    def work(self) -> None:
        while True:
            hashlib.sha256(_BLOCK)
            self.checkpoint()


class Sleep(Work):
    """Waits."""

    def work(self) -> None:
        self.sleep(FOREVER_S)


class Track(Work):
    """Goes through items."""

    def work(self) -> None:
        for _ in self.track(itertools.count()):
            time.sleep(_TURN_S)


class UpdateProgress(Work):
    """Tells how far it is."""

    def work(self) -> None:
        for turn in itertools.count():
            self.update_progress(turn % 100 / 100)
            time.sleep(_TURN_S)


class Run(Work):
    """A command that starts another one."""

    def work(self) -> None:
        self.run(["sh", "-c", f"sleep {FOREVER_S:.0f} & wait"])


class Await(Work):
    """A coroutine."""

    async def execute(self, mark: Path, bell: Path) -> None:
        begin(self.name, mark, bell)
        await asyncio.sleep(FOREVER_S)


class OnCancel(Work):
    """Reads from a socket on which nothing ever comes."""

    _mine: socket.socket | None = None

    def execute(self, mark: Path, bell: Path) -> None:
        self._mine, theirs = socket.socketpair()
        with self._mine, theirs:
            super().execute(mark, bell)

    def work(self) -> None:
        self.checkpoint()  # a cancel may have come before there was a socket
        self._mine.recv(1)

    def on_cancel(self) -> None:
        if self._mine is not None:
            self._mine.shutdown(socket.SHUT_RDWR)  # not close: on Linux that does not wake who reads


class Thread(Work):
    """Python code that never looks at the flag."""

    interrupt = "thread"

    def work(self) -> None:
        while True:
            pass


class Process(Work):
    """A call that nothing in the same process could end."""

    interrupt = "process"

    def work(self) -> None:
        time.sleep(FOREVER_S)


class Short(taskflow_task.Task):
    """A plain TaskFlow task, which is not interrupted: the job stops before the next one."""

    def execute(self, mark: Path, bell: Path) -> None:
        begin(self.name, mark, bell)
        time.sleep(_SHORT_S)

    def revert(self, mark: Path, **_: Any) -> None:
        effect(self.name, mark).unlink(missing_ok=True)


@dataclass(frozen=True)
class Kind:
    """A kind of work, and how it is measured."""

    name: str
    make: Callable[[], list[Any]]  # the tasks of its flow
    shown: str  # what it does, for the table
    engines: tuple[Engine, ...] = ("serial", "parallel")
    rings: int = 1  # tasks of a job that have begun when it is cancelled
    jobs: int = 1  # cancelled by one request

    def flow_name(self, engine: Engine) -> str:
        """The flow of this kind for an engine."""
        return f"cancel-{self.name}-{engine}"


KINDS: Final = (
    Kind("checkpoint", lambda: [Checkpoint()], "`checkpoint()` between blocks of computing"),
    Kind("sleep", lambda: [Sleep()], "`sleep()`"),
    Kind("track", lambda: [Track()], "`track()`, turns of 1 ms"),
    Kind("update_progress", lambda: [UpdateProgress()], "`update_progress()`, turns of 1 ms"),
    Kind("run", lambda: [Run()], "`run()`: `sh` and a command below it"),
    Kind("async", lambda: [Await()], "`async def execute`, at an `await`"),
    Kind("on_cancel", lambda: [OnCancel()], "a blocked socket, ended by `on_cancel()`"),
    Kind("thread", lambda: [Thread()], '`interrupt = "thread"`, an endless Python loop'),
    Kind("process", lambda: [Process()], '`interrupt = "process"`, a C call that does not return'),
    Kind(
        "between_tasks",
        lambda: [Short(f"short_{number}") for number in range(_SHORT_TASKS)],
        "plain TaskFlow tasks of 20 ms: stops between two",
        rings=3,
    ),
    Kind(
        "ten_tasks",
        lambda: [Sleep(f"sleep_{number}") for number in range(_TASKS_AT_ONCE)],
        "ten tasks in `sleep()` at once",
        engines=("parallel",),
        rings=_TASKS_AT_ONCE,
    ),
    Kind(
        "many_jobs",
        lambda: [Sleep()],
        f"{JOBS_AT_ONCE} jobs in `sleep()`, cancelled by one request",
        engines=("serial",),
        jobs=JOBS_AT_ONCE,
    ),
)


def _register(kind: Kind, engine: Engine) -> None:
    pattern = unordered_flow if kind.rings == _TASKS_AT_ONCE else linear_flow

    def made(mark: Path, bell: Path) -> Any:  # noqa: ARG001 - its tasks get them by name
        return pattern.Flow(kind.name).add(*kind.make())

    made.__doc__ = kind.shown
    flow(kind.flow_name(engine), engine=engine)(made)


for _kind in KINDS:
    for _engine in _kind.engines:
        _register(_kind, _engine)
