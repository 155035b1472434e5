"""What jobs did to the world: an append-only log of side effects, and the things that are there because of them.

Each task of a test's flow makes one thing, a file, and its revert takes it away. The log tells what was done and
by whom, also of a process that died right after; the files tell what is left.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from flows import CancelableTask


class What(StrEnum):
    """What a line of the log tells."""

    EXECUTE = "execute"  # it begins
    EXECUTED = "executed"
    REVERT = "revert"  # it begins
    REVERTED = "reverted"


@dataclass(frozen=True)
class Effect:
    """One line of the log."""

    at: float  # seconds since 1970
    pid: int  # the conductor's
    job: str
    attempt: int
    epoch: int  # of the claim under which it happened
    what: What
    task: str

    def __str__(self) -> str:
        return f"{self.at:.6f} {self.pid} {self.job} {self.attempt} {self.epoch} {self.what} {self.task}"

    @classmethod
    def read(cls, line: str) -> Effect:
        at, pid, job, attempt, epoch, what, task = line.split(" ", 6)
        return cls(float(at), int(pid), job, int(attempt), int(epoch), What(what), task)


class Effects:
    """The log and the things, in one folder. Many processes may use it at once, and die while they do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "effects.log"
        self._things = folder / "things"
        self._things.mkdir(parents=True, exist_ok=True)

    def append(self, effect: Effect) -> None:
        """Add a line: in one write, so that it is there whole or not at all."""
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(log, f"{effect}\n".encode())
        finally:
            os.close(log)

    def read(self) -> list[Effect]:
        """All lines, oldest first."""
        return [Effect.read(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def thing(self, job: str, attempt: int, task: str) -> Path:
        """Where the thing is that this task makes in this attempt."""
        return self._things / f"{job}.{attempt}.{task.replace('/', '_')}"

    def things(self, job: str) -> dict[tuple[int, str], int]:
        """What is there of a job: attempts and tasks, each with the process that made it."""
        found = {}
        for thing in self._things.glob(f"{job}.*"):
            _, attempt, task = thing.name.split(".", 2)
            with contextlib.suppress(FileNotFoundError):  # taken away just now
                found[int(attempt), task] = int(thing.read_text() or 0)
        return found


class Mark(CancelableTask):
    """Makes its thing, and takes it away again. The flow gives it the argument `effects`, the folder.

    What else it is to do stands in `work`, which runs when the thing is there, and in `undo`, which runs before
    it is taken away.
    """

    def execute(self, effects: str) -> str:
        seen = Effects(Path(effects))
        self._tell(seen, What.EXECUTE)
        self._thing(seen).write_text(str(os.getpid()))
        self.work()
        self._tell(seen, What.EXECUTED)
        return f"{self.name}'s result"

    def revert(self, effects: str, **_given: Any) -> None:
        seen = Effects(Path(effects))
        self._tell(seen, What.REVERT)
        self.undo()
        self._thing(seen).unlink(missing_ok=True)
        self._tell(seen, What.REVERTED)

    def work(self) -> None:
        """Nothing more, unless a test says so."""

    def undo(self) -> None:
        """Nothing more, unless a test says so."""

    def _thing(self, seen: Effects) -> Path:
        return seen.thing(self.job, self.claim.attempt, self.name)

    def _tell(self, seen: Effects, what: What) -> None:
        claim = self.claim
        seen.append(Effect(time.time(), os.getpid(), claim.job, claim.attempt, claim.epoch, what, self.name))

    @property
    def claim(self) -> Any:
        """The claim under which it runs: a task is told of its job alone, so it is asked of the run behind it."""
        return self._context.report.__self__.claim  # type: ignore[union-attr]
