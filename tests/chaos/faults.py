"""What can go wrong, each as a small class: it begins, lasts for a while, and ends.

A fault has a target; two faults of one target are never at work together.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.proxy import HALF_OPEN, PASS, Behaviour, Proxy
from tests.servers import ServerProcess

if TYPE_CHECKING:
    from tests.chaos.site import Berth


@dataclass(frozen=True)
class Fault(ABC):
    """Base of the faults. `begin` and `end` may block, for seconds at most."""

    target: str
    lasts_s: tuple[float, float]

    @abstractmethod
    def begin(self) -> None:
        """Break it."""

    @abstractmethod
    def end(self) -> None:
        """Mend it."""

    def __str__(self) -> str:
        return f"{self.target}: {type(self).__name__}"


# Conductors


@dataclass(frozen=True)
class Kill(Fault):
    """kill -9, and another one comes."""

    berth: Berth

    def begin(self) -> None:
        self.berth.kill()

    def end(self) -> None:
        self.berth.replace()


@dataclass(frozen=True)
class Terminate(Fault):
    """An end in order, within the grace time if the servers are there, and another one comes."""

    berth: Berth

    def begin(self) -> None:
        self.berth.terminate()

    def end(self) -> None:
        self.berth.see_off()
        self.berth.replace()


@dataclass(frozen=True)
class Freeze(Fault):
    """SIGSTOP, and SIGCONT later: a process that does not know how long it has slept."""

    berth: Berth

    def begin(self) -> None:
        self.berth.freeze()

    def end(self) -> None:
        self.berth.thaw()


# Servers


@dataclass(frozen=True)
class Restart(Fault):
    """Stopped in order, and started again."""

    server: ServerProcess

    def begin(self) -> None:
        self.server.stop()

    def end(self) -> None:
        self.server.start()


@dataclass(frozen=True)
class Crash(Restart):
    """kill -9, and started again on what it had written."""

    def begin(self) -> None:
        self.server.kill()


@dataclass(frozen=True)
class Hang(Fault):
    """It holds its connections, and answers nothing."""

    server: ServerProcess

    def begin(self) -> None:
        self.server.freeze()

    def end(self) -> None:
        self.server.thaw()


# The way to a server


@dataclass(frozen=True)
class Cut(Fault):
    """All connections end at once; new ones are let in."""

    proxy: Proxy

    def begin(self) -> None:
        self.proxy.cut()

    def end(self) -> None:
        """Nothing is left to be mended."""


@dataclass(frozen=True)
class Network(Fault):
    """The network between behaves in some way."""

    proxy: Proxy
    behaviour: Behaviour

    def begin(self) -> None:
        self.proxy.behave(self.behaviour)

    def end(self) -> None:
        self.proxy.behave(PASS)

    def __str__(self) -> str:
        said = "HalfOpen" if self.behaviour == HALF_OPEN else repr(self.behaviour)
        return f"{self.target}: {said}"


# SQLite

_HOLD = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=2)
try:
    held.execute("BEGIN EXCLUSIVE")
except sqlite3.OperationalError:
    sys.exit()  # a conductor has it, who is frozen
finally:
    print("tried", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class HoldLock(Fault):
    """Another process has SQLite's one write lock."""

    file: Path
    holders: list[subprocess.Popen[str]] = field(default_factory=list, repr=False, compare=False)

    def begin(self) -> None:
        argv = [sys.executable, "-c", _HOLD, str(self.file)]
        holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.holders.append(holder)
        holder.stdout.readline()

    def end(self) -> None:
        with contextlib.suppress(IndexError), self.holders.pop() as holder:
            holder.stdin.close()
