"""A flow whose effects can be counted: each step appends a line to a file. Loaded by its path."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from taskflow.patterns import linear_flow

from flows import CancelableTask, flow


class Mark(CancelableTask):
    """Notes that it ran, and that it was reverted."""

    def execute(self, log: Path) -> str:
        self.note(log, "did")
        return f"{self.name} by {os.getpid()}"

    def revert(self, log: Path, **_kwargs: Any) -> None:
        self.note(log, "undid")

    def note(self, log: Path, what: str) -> None:
        """One line, whole, also with many processes at once."""
        with log.open("a") as file:
            file.write(f"{self.job} {what} {self.name} {os.getpid()}\n")


class Work(Mark):
    """Takes its time, the first time that the job runs."""

    def execute(self, log: Path, seconds: float, stubborn: bool) -> str:
        if f"{self.job} undid work" not in log.read_text():
            self.note(log, "began")
            if stubborn:
                time.sleep(seconds)
            for _ in self.track(range(int(seconds * 100))):
                if not stubborn:
                    self.sleep(0.01)
        self.note(log, "did")
        return f"{self.name} by {os.getpid()}"


@flow("work")
def work(log: Path, seconds: float = 0.0, stubborn: bool = False) -> Any:
    """Three steps, of which the second takes `seconds`."""
    return linear_flow.Flow("work").add(
        Mark("first", provides="first"), Work("work", provides="work"), Mark("last", provides="last")
    )


class Blocked(Mark):
    """Cannot be undone as long as a file is there."""

    def revert(self, log: Path, block: Path, **_kwargs: Any) -> None:
        if block.exists():
            raise OSError(f"{self.name} could not be undone while {block.name} is there")
        self.note(log, "undid")


@flow("blocked")
def blocked(log: Path, block: Path, seconds: float = 30.0, stubborn: bool = False) -> Any:
    """Its second step cannot be undone at once, so its first is not asked."""
    return linear_flow.Flow("blocked").add(Mark("first"), Blocked("middle"), Work("work", provides="work"))
