"""Runs a command whose whole process group is stopped when the flag goes up: terminated, then killed."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from flows.cancel_token import CancelToken
from flows.errors import Interrupted
from flows.interrupt.guardian import GUARDIAN

KILL_AFTER_S: Final = 5.0
_KEPT_LINES: Final = 1000
_CHUNK: Final = 65536


class CommandFailed(Exception):
    """A command ended with a code other than 0."""

    def __init__(self, args: Sequence[str], code: int, output: str) -> None:
        super().__init__(tuple(args), code, output)
        self.code = code
        self.output = output

    def __str__(self) -> str:
        args, code, output = self.args
        said = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        last = output.strip().splitlines()[-1:]
        return f"{args[0]}: {said}" + (f": {last[0]}" if last else "")


@dataclass(frozen=True)
class Completed:
    """A command that has ended. `output` holds its last 1,000 lines, of standard output and error."""

    code: int
    output: str


def run_command(
    args: Sequence[str | os.PathLike[str]],
    *,
    token: CancelToken | None,
    on_line: Callable[[str], None],
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    check: bool = True,
    kill_after_s: float = KILL_AFTER_S,
) -> Completed:
    """Run a command, no shell, in a process group of its own, and give each line it writes to `on_line`.

    Blocks until it has ended. When the token is set, the group gets SIGTERM, and SIGKILL `kill_after_s` later;
    then `Interrupted` is raised. Without a token it runs to its end. Raises `CommandFailed` for a code other
    than 0 unless `check` is False, and `OSError` if it cannot be started.
    """
    words = [os.fspath(word) for word in args]
    GUARDIAN.stand_by()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    GUARDIAN.guard(process.pid)
    assert process.stdout is not None, "a pipe was asked for"  # noqa: S101
    reader = _Reader(process.stdout, on_line)
    stopper = _Stopper(process.pid, kill_after_s)
    key = token.subscribe(stopper.stop) if token is not None else None
    try:
        _attend(process, stdin, stopper)
    finally:
        GUARDIAN.release(process.pid)
        process.wait()
        if token is not None and key is not None:
            token.unsubscribe(key)
        reader.finish()
    if token is not None and stopper.stopped:
        raise Interrupted(token.cause)
    if check and process.returncode != 0:
        raise CommandFailed(words, process.returncode, reader.output)
    return Completed(process.returncode, reader.output)


def _feed(process: subprocess.Popen[bytes], stdin: str | None) -> None:
    if stdin is not None and process.stdin is not None:
        # A command need not read what it is given.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(stdin.encode())
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _attend(process: subprocess.Popen[bytes], stdin: str | None, stopper: _Stopper) -> None:
    """Wait for the command's end. Its group is signalled for the last time before its number is free again."""
    try:
        _feed(process, stdin)
        _wait(process)
    except BaseException:
        stopper.stop()  # no one waits for it any more
        raise
    finally:
        _wait(process)
        stopper.end()


def _wait(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


class _Stopper:
    """Terminates a process group, then kills it."""

    def __init__(self, group: int, kill_after_s: float) -> None:
        self._group = group
        self._timer = threading.Timer(kill_after_s, self._signal, [signal.SIGKILL])
        self._timer.daemon = True
        # Guards the two below. Invariant: no signal is sent once `_ended` is set.
        self._lock = threading.Lock()
        self._ended = False
        self.stopped = False

    def stop(self) -> None:
        """Ask the group to end; kill it later if it does not."""
        with self._lock:
            if self._ended:
                return
            self.stopped = True
        self._signal(signal.SIGTERM)
        self._timer.start()

    def end(self) -> None:
        """The command has ended. If it was stopped, so must be what it started."""
        with self._lock:
            if self._ended:
                return
            if self.stopped:
                _kill_group(self._group, signal.SIGKILL)
            self._ended = True
        self._timer.cancel()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._ended:
                _kill_group(self._group, number)


def _kill_group(group: int, number: signal.Signals) -> None:
    # PermissionError is macOS's word for a group of which only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Reader:
    """Reads what a command writes, in a thread, so that neither waits for the other.

    It reads until the pipe is closed, or until the command has ended and the pipe is empty: a process that the
    command left behind may hold it open for ever.
    """

    def __init__(self, stream: IO[bytes], on_line: Callable[[str], None]) -> None:
        self._stream = stream
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._read, name="command-output", daemon=True)
        self._thread.start()

    @property
    def output(self) -> str:
        """The last lines."""
        return "\n".join(self._lines)

    def finish(self) -> None:
        """The command has ended: read what is left."""
        os.close(self._end)
        self._thread.join()
        os.close(self._ended)
        self._stream.close()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        rest = ""
        while chunk := self._next():
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            for line in lines:
                self._take(line)
        if rest:
            self._take(rest)

    def _next(self) -> bytes:
        pipe = self._stream.fileno()
        ready, _, _ = select.select([pipe, self._ended], [], [])
        if pipe not in ready:
            ready, _, _ = select.select([pipe], [], [], 0)
        return os.read(pipe, _CHUNK) if pipe in ready else b""

    def _take(self, line: str) -> None:
        self._lines.append(line)
        self._on_line(line)
