"""A small process beside this one that kills the commands this one has started, should it die before they end.

A command runs in a process group of its own, so that it can be stopped with all that it started; a `kill -9` of
its conductor would not reach it, and whoever takes the job over would work beside it. What remains is a command
whose conductor is killed in the moment between its start and `guard`: code in the new process could close that
gap, but between fork and exec it is not safe beside other threads.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from typing import Final

# Reads "+group" and "-group"; at the end of that, which is this process's end too, it kills what is left.
_PROGRAM: Final = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guardian:
    """Started with the first command. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # the process that it guards: a fork has none yet

    def stand_by(self) -> None:
        """To be called before a command is started, so that there is no wait between its start and `guard`."""
        with self._lock:
            if self._owner != os.getpid():
                self._groups.clear()
                self._start()

    def guard(self, group: int) -> None:
        """From now on this process group is killed should this process die."""
        with self._lock:
            self._groups.add(group)
            self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        """The group has ended. To be called while its number is still its own."""
        with self._lock:
            self._groups.discard(group)
            self._tell(f"-{group}\n")

    def _start(self) -> None:
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )

    def _tell(self, line: str) -> None:
        if self._write(line):
            return
        # Someone has killed it: the next one has to know of all.
        self.close()
        self._start()
        for group in self._groups:
            self._write(f"+{group}\n")

    def _write(self, line: str) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        try:
            self._process.stdin.write(line.encode())
        except BrokenPipeError:
            return False
        return True

    def close(self) -> None:
        """End it, with the commands that are left."""
        if self._process is not None and self._process.stdin is not None and self._owner == os.getpid():
            self._process.stdin.close()
            self._process.wait()
            self._process = None


GUARDIAN: Final = Guardian()
"""This process's."""
atexit.register(GUARDIAN.close)
