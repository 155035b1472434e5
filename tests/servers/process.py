"""A server's process: started, awaited, broken in several ways, and gone with its folder at the end.

    with Redis() as server:
        server.hosts      "127.0.0.1:PORT"
        server.kill()     a crash: SIGKILL, the data stay
        server.restart()  on the same port and data
        server.freeze()   SIGSTOP: connections stay open, nothing answers
        server.thaw()

Not thread-safe.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import psutil

from tests.servers.ports import LOOPBACK, free_port
from tests.waiting import until

_START_S = 60.0  # a slow machine, not a fast one, sets this
_STOP_S = 20.0
_POLL_S = 0.02
_TAIL_LINES = 20

# Reads until the pipe closes: that is when the process that holds the other end is gone, however it went.
_GUARD = 'read _; kill -s KILL -- "-$0"; rm -rf -- "$1"'


class ServerError(RuntimeError):
    """A server did not start: what it is, and the end of its log."""


class ServerProcess(ABC):
    """Base of the servers. A subclass says what to prepare, what to run, and how to see that it answers."""

    name: ClassVar[str]
    package: ClassVar[str]  # Debian's
    scheme: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    folder: Path
    _process: subprocess.Popen[bytes] | None = None
    _guard: subprocess.Popen[bytes] | None = None

    def __init__(self) -> None:
        self.port = free_port()

    # For subclasses

    @classmethod
    @abstractmethod
    def installed(cls) -> bool:
        """Are all its programs on this machine?"""

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    def answers(self, timeout_s: float = 1.0) -> bool:
        """Does it serve requests now?"""

    def prepare(self) -> None:  # noqa: B027 - most servers need nothing
        """Called once, when the folder is there and the server has not been started yet."""

    def account(self) -> dict[str, Any]:
        """Arguments for `Popen` that say as whom the server runs."""
        return {}

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    # For tests

    @classmethod
    def missing(cls) -> str:
        """What to tell a user on whose machine it is not installed."""
        return f"{cls.name} is not installed: `python3 dev.py test` says how to (Debian: {cls.package})"

    @property
    def hosts(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.hosts}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"countermand-{self.scheme}-"))
        self.folder.chmod(0o755)  # another account may have to reach into it
        try:
            self.prepare()
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def start(self) -> None:
        """Start on the same port and data, and wait until it answers. Raises `ServerError`."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.account(),
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, str(self._process.pid), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._await_ready()

    def stop(self) -> None:
        """End in order, as by an administrator; by force when that takes too long."""
        if not self.running:
            return
        self.thaw()
        self._process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """End at once, as by a crash: children and all."""
        family = self._stop_family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process:
            self._process.wait()
        while not all(map(_is_gone, family)):
            time.sleep(_POLL_S)
        self._dismiss_guard()

    def restart(self) -> None:
        """On the same port and data; stopped in order first if it still runs."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Answer nothing more, but keep all connections open."""
        family = self._stop_family()
        # The signal is sent, but a busy machine takes its time to act on it.
        until(lambda: all(_is_still(process) for process in family), what=f"{self.name} to stand still")

    def thaw(self) -> None:
        for process in self._family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def log_tail(self) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])

    # Within

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self.answers():
            if not self.running:
                raise ServerError(f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} was not ready within {_START_S:.0f} s:\n{self.log_tail()}")
            time.sleep(_POLL_S)

    def _family(self) -> list[psutil.Process]:
        # Not the process group: PostgreSQL's children have left it.
        if not self.running:
            return []
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def _stop_family(self) -> list[psutil.Process]:
        if self.running:
            self._process.send_signal(signal.SIGSTOP)  # first of all, so that it starts no more children
        family = self._family()
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        return family

    def _dismiss_guard(self) -> None:
        if self._guard:
            self._guard.kill()  # before its pipe closes
            self._guard.communicate()
            self._guard = None

    def _close(self) -> None:
        self.stop()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _is_still(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
