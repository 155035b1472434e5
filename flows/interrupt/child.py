"""Runs a task's `execute` in a child process, which can be stopped whatever it does: terminated, then killed.

Children come from multiprocessing's fork server: a process without threads, database connections or secrets,
that has imported the flows already. A child is the leader of its own process group and dies with its parent.
What crosses the border both ways is pickled, or is a line of text.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, Final

from taskflow.types import notifier

from flows.cancel_token import CancelCause, CancelKind, CancelToken
from flows.discovery import load_flows
from flows.errors import Interrupted, InvalidFlow, TaskError
from flows.interrupt.injection import interrupted_through
from flows.printed import Printed
from flows.run_context import RunContext, TaskReport

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_CONTEXT: Final = multiprocessing.get_context("forkserver")
_EVERY_S: Final = 0.1  # a child sends its newest progress so often
# Of a task's own attributes: its job, and what a conductor hung onto it.
_KEPT_HERE: Final = ("_context", "_token", "_notifier", "phase", "interrupted", "pre_execute", "post_execute")


_modules: list[str] = []  # where children find the flows; set once, before the first child


def preload(modules: Iterable[str]) -> None:
    """Say where the flows are: names of modules, or paths of .py files. Before the first child only.

    The fork server imports what it can by name, so that a child starts in milliseconds.
    """
    _modules[:] = modules
    named = [module for module in _modules if not module.endswith(".py")]
    _CONTEXT.set_forkserver_preload(["flows", *named])


class ChildError(TaskError):
    """A child process ended without a result: it crashed, or was killed from outside."""


@dataclass(frozen=True)
class Ears:
    """Who is told what a child tells."""

    report: Callable[[TaskReport], None]
    log: Callable[[int, str, str], None]  # level, logger, message


def run_in_child(
    task: Any,
    arguments: Mapping[str, Any],
    token: CancelToken,
    ears: Ears,
    kill_after_s: float,
    interrupting: Callable[[], None],
) -> Any:
    """Run the task's own `execute` with these arguments in a child process; what it returns.

    Blocks. When the token is set, `interrupting` is called, and the child gets SIGTERM, which raises the
    interruption in it so that `finally` blocks run; SIGKILL for its whole group follows `kill_after_s` later.
    Then `Interrupted` is raised. Raises what the child raised, or `TaskError` saying the same if that cannot be
    pickled; `ChildError` if it crashed; `InvalidFlow` if the task or its arguments cannot be pickled.
    """
    payload = _pickled(task, arguments)
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(
        target=_child_main, args=(sender, payload, tuple(_modules)), name=f"task-{task.name}"
    )
    process.start()
    sender.close()
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)

    def interrupt() -> None:
        interrupting()
        _poke(wake_w)

    key = token.subscribe(interrupt)
    try:
        outcome = _Attendance(process, receiver, wake_r, token, ears, kill_after_s).attend()
    finally:
        token.unsubscribe(key)
        _end(process)
        for fd in (wake_r, wake_w):
            os.close(fd)
        receiver.close()
    if token.is_set and not isinstance(outcome, _Returned):
        raise Interrupted(token.cause)
    if isinstance(outcome, _Returned):
        return outcome.value
    raise outcome


@dataclass(frozen=True)
class _Returned:
    value: Any


class _Attendance:
    """The parent's side: hears what the child tells until it has ended."""

    def __init__(
        self,
        process: Any,
        receiver: Connection,
        wake: int,
        token: CancelToken,
        ears: Ears,
        kill_after_s: float,
    ) -> None:
        self._process = process
        self._receiver = receiver
        self._wake = wake
        self._token = token
        self._ears = ears
        self._kill_after_s = kill_after_s
        self._kill_at: float | None = None
        self._outcome: _Returned | Exception | None = None

    def attend(self) -> _Returned | Exception:
        waiting: list[Any] = [self._receiver, self._process.sentinel, self._wake]
        while self._process.sentinel in waiting:
            ready = connection.wait(waiting, self._left_s())
            if self._receiver in ready and not self._hear():
                waiting.remove(self._receiver)
            if self._wake in ready:
                waiting.remove(self._wake)
                self._terminate()
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                self._kill_at = None
                signal_group(self._process.pid, signal.SIGKILL)
                self._process.kill()
            if self._process.sentinel in ready:
                waiting.remove(self._process.sentinel)
        # What it said before it ended still counts.
        while self._receiver in waiting and self._receiver.poll() and self._hear():
            pass
        return self._outcome or self._crash()

    def _left_s(self) -> float | None:
        return None if self._kill_at is None else max(0.0, self._kill_at - time.monotonic())

    def _terminate(self) -> None:
        self._kill_at = time.monotonic() + self._kill_after_s
        if not signal_group(self._process.pid, signal.SIGTERM):
            self._process.terminate()  # it has no group of its own yet

    def _hear(self) -> bool:
        """Take in one message; False at the end of them."""
        try:
            kind, *rest = self._receiver.recv()
        except (EOFError, OSError):
            return False
        if kind == "progress":
            self._ears.report(TaskReport(*rest))
        elif kind == "log":
            self._ears.log(*rest)
        elif kind == "result":
            self._outcome = _Returned(rest[0])
        else:
            self._outcome = _error(*rest)
        return True

    def _crash(self) -> Exception:
        self._process.join()
        code = self._process.exitcode
        if code < 0:
            return ChildError(f"its process was killed by {signal.Signals(-code).name}")
        return ChildError(f"its process ended with exit code {code} and no result")


def signal_group(leader: int | None, number: signal.Signals) -> bool:
    """Signal the group of a process that has not been waited for yet. False if there is no such group."""
    if leader is None:
        return False
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _end(process: Any) -> None:
    """Nothing of the child's group is left behind, also when the parent itself is interrupted here."""
    signal_group(process.pid, signal.SIGKILL)
    if process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    process.join()
    process.close()


def _poke(fd: int) -> None:
    with contextlib.suppress(BlockingIOError, OSError):
        os.write(fd, b"!")


def _pickled(task: Any, arguments: Mapping[str, Any]) -> bytes:
    context: RunContext = task._context  # noqa: SLF001 - its flag and its ears stay here
    bare = copy.copy(task)
    for name in _KEPT_HERE:
        bare.__dict__.pop(name, None)
    try:
        return pickle.dumps((bare, dict(arguments), context.job, context.max_result_bytes, context.max_depth))
    except Exception as error:
        raise InvalidFlow(
            f'task {task.name}: with interrupt="process" the task and its arguments must be picklable: {error}'
        ) from error


def _error(pickled: bytes | None, name: str, said: str, trace: str) -> Exception:
    if pickled is not None:
        with contextlib.suppress(Exception):
            error = pickle.loads(pickled)  # noqa: S301 - from our own child
            if isinstance(error, Exception):
                error.add_note(trace)
                return error
    return TaskError(f"{name}: {said}" if said else name)


# The child's side


def _child_main(sender: Connection, payload: bytes, modules: tuple[str, ...]) -> None:
    os.setsid()
    threading.Thread(target=_die_with_parent, name="parent-watch", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the conductor
    voice = _Voice(sender)
    try:
        _listen(voice)
        task, arguments, job, max_result_bytes, max_depth = _unpickled(payload, modules)
        context = RunContext(report=voice.report, job=job, max_result_bytes=max_result_bytes, max_depth=max_depth)
        interruption = _Interruption(context.token)
        interrupted_through(interruption)
        signal.signal(signal.SIGTERM, interruption.come)
        voice.say("result", _execute(task, arguments, context))
    except BaseException as error:  # noqa: BLE001 - the border of the process
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        voice.say_error(error)
    sys.stdout.close()
    sys.stderr.close()
    voice.close()


def _unpickled(payload: bytes, modules: tuple[str, ...]) -> tuple[Any, dict[str, Any], str, int, int]:
    try:
        return pickle.loads(payload)  # type: ignore[no-any-return]  # noqa: S301 - from our own parent
    except (ImportError, AttributeError):
        # A class that a .py file defines is found only once the file is loaded as its parent did.
        load_flows(modules)
        return pickle.loads(payload)  # type: ignore[no-any-return]  # noqa: S301


def _execute(task: Any, arguments: Mapping[str, Any], context: RunContext) -> Any:
    """Run `execute` here, in this process."""
    task._notifier = notifier.RestrictedNotifier(task.TASK_EVENTS)  # noqa: SLF001 - it cannot be pickled
    task.interrupt = "checkpoint"
    task.bind(context)
    return task.execute(**arguments)


class _Interruption:
    """What the parent's signal does: it is raised wherever the code is. Where that is sheltered, the flag goes up.

    A command must not be left by whoever is to stop it in the moment in which it begins.
    """

    def __init__(self, token: CancelToken) -> None:
        self._token = token
        self._paused = False
        self._came = False
        # A signal handler may take no lock, and raising the flag takes some.
        self._heard, self._told = os.pipe()
        threading.Thread(target=self._raise_flag, name="interruption", daemon=True).start()

    def come(self, _number: int, _frame: Any) -> None:
        """The handler of the signal."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: `finally` blocks run to their end
        if not self._paused:
            raise Interrupted
        self._came = True
        _poke(self._told)

    def pause(self) -> None:
        self._paused = True

    def open(self) -> None:
        self._paused = False
        if self._came:
            self._came = False
            raise Interrupted

    def _raise_flag(self) -> None:
        if os.read(self._heard, 1):
            self._token.set(CancelCause(CancelKind.USER))  # the parent knows why


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os.killpg(0, signal.SIGKILL)


class _Voice:
    """What the child tells its parent. Thread-safe."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender
        self._lock = threading.Lock()
        self._said_s = 0.0

    def say(self, *message: Any) -> None:
        data = pickle.dumps(message)
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._sender.send_bytes(data)

    def report(self, report: TaskReport) -> None:
        now = time.monotonic()
        if now - self._said_s >= _EVERY_S or report.progress >= 1.0:
            self._said_s = now
            self.say("progress", report.task, report.progress, report.detail)

    def say_error(self, error: BaseException) -> None:
        pickled = None
        with contextlib.suppress(Exception):
            pickled = pickle.dumps(error)
            pickle.loads(pickled)  # noqa: S301 - many exceptions can be pickled and then not be read
        trace = "".join(traceback.format_exception(error))
        self.say("error", pickled, type(error).__name__, str(error), trace)

    def close(self) -> None:
        self._sender.close()


class _Lines(io.TextIOBase):
    """A standard stream whose lines go to the job's log."""

    encoding = "utf-8"

    def __init__(self, voice: _Voice, name: str) -> None:
        self._printed = Printed(lambda line: voice.say("log", logging.INFO, name, line))

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._printed.write(text)
        return len(text)

    def close(self) -> None:
        self._printed.close()
        super().close()


class _Log(logging.Handler):
    """Sends log records as lines."""

    def __init__(self, voice: _Voice) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        self._voice.say("log", record.levelno, record.name, self.format(record))


def _listen(voice: _Voice) -> None:
    """Have what the task prints and logs sent to the parent."""
    sys.stdout, sys.stderr = _Lines(voice, "stdout"), _Lines(voice, "stderr")
    logging.basicConfig(level=logging.INFO, handlers=[_Log(voice)], force=True)
