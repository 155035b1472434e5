"""A flow for the tests of `run_flow`: writes lines into a file, and tells a second file what was called."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from taskflow.patterns import linear_flow

from flows import CancelableTask, flow


class Write(CancelableTask):
    """Looks at each turn whether it is to stop."""

    def execute(self, folder: Path) -> str:
        note(folder, "write")
        with (folder / "lines").open("w") as file:
            for number in self.track(range(3)):
                file.write(f"{number}\n")
        return "lines"

    def revert(self, folder: Path, **_: Any) -> None:
        note(folder, "unwrite")
        (folder / "lines").unlink(missing_ok=True)


class Finish(CancelableTask):
    """Never looks by itself."""

    def execute(self, folder: Path, how: str) -> None:
        note(folder, "finish")
        if how == "exit":
            os._exit(7)
        if how == "wait":
            while not (folder / "go").exists():
                time.sleep(0.01)
        if how == "fail":
            raise ValueError("as asked")

    def revert(self, folder: Path, how: str, **_: Any) -> None:
        note(folder, "unfinish")
        if how == "stain" and not (folder / "soap").exists():
            raise ValueError("it does not come off")


def note(folder: Path, what: str) -> None:
    with (folder / "notes").open("a") as file:
        file.write(f"{what}\n")


@flow("notebook")
def notebook(folder: Path, how: str = "well"):
    """Write a file."""
    return linear_flow.Flow("notebook").add(Write(), Finish())
