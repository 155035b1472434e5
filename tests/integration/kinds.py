"""Every kind of work, as tasks that never end by themselves. Imported by child processes too, so it is light."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from pathlib import Path
from typing import Any

from flows import CancelableTask


class Work(CancelableTask):
    """Notes in a folder that it began, then works for ever; its revert uses every helper."""

    def __init__(
        self, name: str, folder: Path, reverts: list[tuple[str, Any, Any]] | None = None, **how: Any
    ) -> None:
        super().__init__(name, **({"provides": name} | how))
        self.folder = folder
        self.reverts = reverts

    def began(self) -> None:
        (self.folder / self.name).touch()

    def revert(self, result: Any, flow_failures: Any, **_given: Any) -> None:
        self.checkpoint()
        self.sleep(0.0)
        self.update_progress(0.5, file="a")
        assert list(self.track([1, 2])) == [1, 2]
        assert self.run(["echo", "undone"]).output == "undone"
        if self.reverts is not None:
            self.reverts.append((self.name, result, dict(flow_failures)))


class Quick(Work):
    """Ends at once."""

    def execute(self, **_given: Any) -> list[int]:
        self.began()
        return [1, 2, 3]


class Checkpoint(Work):
    """Looks at the flag."""

    def execute(self, **_given: Any) -> None:
        self.began()
        while True:
            self.checkpoint()
            time.sleep(0.001)


class Sleep(Work):
    """Waits."""

    def execute(self, **_given: Any) -> None:
        self.began()
        self.sleep(3600)


class Track(Work):
    """Goes through items."""

    def execute(self, **_given: Any) -> None:
        for _ in self.track(itertools.count(), total=1_000_000):
            self.began()
            time.sleep(0.001)


class UpdateProgress(Work):
    """Reports."""

    def execute(self, **_given: Any) -> None:
        self.began()
        while True:
            self.update_progress(0.5)
            time.sleep(0.001)


class Run(Work):
    """Runs a command."""

    def execute(self, **_given: Any) -> None:
        self.run(["sh", "-c", 'touch "$0"; sleep 3600; :', str(self.folder / self.name)])


class Async(Work):
    """Awaits."""

    async def execute(self, **_given: Any) -> None:
        self.began()
        await asyncio.sleep(3600)


class OnCancel(Work):
    """Waits for what a cancel brings."""

    def execute(self, **_given: Any) -> None:
        self.ended = threading.Event()
        self.began()
        self.ended.wait()

    def on_cancel(self) -> None:
        self.ended.set()


class Thread(Work):
    """Never looks."""

    interrupt = "thread"

    def execute(self, **_given: Any) -> None:
        self.began()
        while True:
            time.sleep(0.001)


class Process(Work):
    """Sits in a call that does not return."""

    interrupt = "process"

    def execute(self, **_given: Any) -> None:
        self.began()
        time.sleep(3600)


KINDS: tuple[type[Work], ...] = (
    Checkpoint,
    Sleep,
    Track,
    UpdateProgress,
    Run,
    Async,
    OnCancel,
    Thread,
    Process,
)
