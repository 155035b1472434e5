"""The flows of operate.md: each does what makes work for who operates Countermand."""

import os
import time
from pathlib import Path

from taskflow.patterns import linear_flow

from flows import CancelableTask, flow


class Build(CancelableTask):
    """Make a folder, and take a while."""

    def execute(self, folder: Path, hold: float) -> None:
        self.made(folder).mkdir(exist_ok=True)
        self.sleep(hold)

    def revert(self, folder: Path, **_: object) -> None:
        if self.made(folder).exists():
            self.made(folder).rmdir()  # raises if there is something in it

    def made(self, folder: Path) -> Path:
        return folder / f"build-{self.job}"


class Stare(CancelableTask):
    """Never look whether the job is to stop."""

    def execute(self) -> None:
        Path("staring").touch()
        time.sleep(600)


class Crash(CancelableTask):
    """Kill the conductor."""

    def execute(self) -> None:
        os.kill(os.getpid(), 9)  # as the system does when memory is short


@flow("build")
def build(folder: Path, hold: float = 600) -> linear_flow.Flow:
    """Make a folder, which a cancel removes."""
    return linear_flow.Flow("build").add(Build())


@flow("stare")
def stare() -> linear_flow.Flow:
    """Take ten minutes, whatever happens."""
    return linear_flow.Flow("stare").add(Stare())


@flow("crash")
def crash() -> linear_flow.Flow:
    """Kill each conductor that runs it."""
    return linear_flow.Flow("crash").add(Crash())
