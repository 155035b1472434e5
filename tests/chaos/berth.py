"""The place of a conductor in a chaos run: when it is gone, another one comes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.acceptance.place import Conductor

GRACE_S: Final = 2.0
_LATE_S: Final = 5.0
_STOPPED: Final = (0, -signal.SIGTERM)  # the second: it had not even begun to listen for signals


class Berth:
    """One conductor after the other. `wrong` are ends that nobody brought about, or that were not in order."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.conductors: list[Conductor] = []
        self.frozen: set[int] = set()  # the ids of processes that were
        self.wrong: list[str] = []
        self._folder = folder
        self._environment = environment
        self.replace()

    @property
    def conductor(self) -> Conductor:
        """The one that is there now."""
        return self.conductors[-1]

    def replace(self) -> None:
        """Another one comes."""
        name = f"{self.name}-{len(self.conductors)}"
        log = self._folder / f"{name}.log"
        options = ("--grace", str(GRACE_S), "--slots=3")
        self.conductors.append(Conductor(name, log, self._environment, *options))

    def freeze(self) -> None:
        """Stop its whole process group, as a host does that is suspended."""
        self.look()
        self.frozen.add(self.conductor.process.pid)
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self.look()
        self.conductor.kill()

    def terminate(self) -> None:
        """Ask it to end in order."""
        self.look()
        self._send(signal.SIGTERM)

    def see_off(self, patience_s: float = _LATE_S) -> bool:
        """Wait for the end that it was asked for. False: it had to be killed, since it did not come."""
        try:
            code = self.conductor.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.conductor.kill()
            return False
        if code not in _STOPPED:
            self.wrong.append(f"{self.conductor.name} was asked to end, and did with {code}")
        self.conductor.kill()  # what it may have left behind
        return True

    def look(self) -> None:
        """It must be there still."""
        code = self.conductor.process.poll()
        if code is not None:
            self.wrong.append(f"{self.conductor.name} ended by itself, with {code}")

    def _send(self, number: signal.Signals) -> None:
        if self.conductor.process.poll() is None:
            os.killpg(self.conductor.process.pid, number)
