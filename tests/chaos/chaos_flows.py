"""Flows of every shape for the chaos runs, whose effects are written down. Loaded by its path."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from taskflow import retry
from taskflow.patterns import linear_flow, unordered_flow

from flows import flow
from tests.rules.effects import Effects, Mark, What

LONG_S: Final = 3600.0  # no one waits for it: such a job is to be cancelled
_STEP_S: Final = 0.1
_SOON: Final = "500ms"


class Step(Mark):
    """Takes a moment, and looks at the flag meanwhile."""

    seconds = _STEP_S

    def work(self) -> None:
        self.sleep(self.seconds)


class Command(Mark):
    """Has another program do the work."""

    def work(self) -> None:
        self.run(["sleep", str(_STEP_S)])


class Stubborn(Mark):
    """Does not look at the flag, and is interrupted all the same."""

    interrupt = "thread"

    def work(self) -> None:
        for _ in range(300_000):
            pass


class Long(Step):
    seconds = LONG_S


class Fails(Step):
    """Fails, the first times that the job comes to it."""

    def __init__(self, name: str, times: int) -> None:
        super().__init__(name)
        self.times = times

    def execute(self, effects: str) -> str:
        self.effects = Effects(Path(effects))
        return super().execute(effects)

    def work(self) -> None:
        super().work()
        if self._lines(What.EXECUTE) <= self.times:
            raise ValueError(f"{self.name} is to fail {self.times} times")

    def _lines(self, what: What) -> int:
        return sum((line.job, line.what, line.task) == (self.job, what, self.name) for line in self.effects.read())


class RevertFails(Step):
    """Its revert fails, the first time that the job comes to it."""

    def revert(self, effects: str, **given: Any) -> None:
        self.effects = Effects(Path(effects))
        super().revert(effects, **given)

    def undo(self) -> None:
        reverts = [line for line in self.effects.read() if (line.job, line.what) == (self.job, What.REVERT)]
        if [line.task for line in reverts].count(self.name) == 1:
            raise OSError(f"{self.name} cannot be undone at first")


@flow("chaos_linear")
def linear(effects: str, mark: str) -> Any:
    """One step after the other, each stopped in its own way."""
    return linear_flow.Flow("linear").add(Step("one"), Command("two"), Stubborn("three"))


@flow("chaos_nested")
def nested(effects: str, mark: str) -> Any:
    """Flows in flows."""
    within = linear_flow.Flow("within").add(Step("left"), Step("further left"))
    beside = unordered_flow.Flow("beside").add(within, Step("right"))
    return linear_flow.Flow("nested").add(Step("first"), beside, Step("last"))


@flow("chaos_parallel", engine="parallel")
def parallel(effects: str, mark: str) -> Any:
    """Steps beside each other."""
    beside = unordered_flow.Flow("beside").add(*(Step(f"beside {number}") for number in range(4)))
    return linear_flow.Flow("parallel").add(Step("first"), beside, Step("last"))


@flow("chaos_controlled")
def controlled(effects: str, mark: str) -> Any:
    """A retry controller in the flow, which has the failing part run again."""
    again = linear_flow.Flow("again", retry=retry.Times(20)).add(Step("before"), Fails("failing", times=2))
    return linear_flow.Flow("controlled").add(Step("first"), again, Step("last"))


@flow("chaos_failing")
def failing(effects: str, mark: str) -> Any:
    """Fails, and is reverted."""
    return linear_flow.Flow("failing").add(Step("one"), Step("two"), Fails("three", times=1_000_000))


@flow("chaos_retried", max_retries=3, retry_interval=_SOON)
def retried(effects: str, mark: str) -> Any:
    """Fails, is reverted, and tried again by itself."""
    return linear_flow.Flow("retried").add(Step("one"), Fails("two", times=2), Step("three"))


@flow("chaos_kept", on_failure="keep")
def kept(effects: str, mark: str) -> Any:
    """Fails, and keeps what it has."""
    return linear_flow.Flow("kept").add(Step("one"), Fails("two", times=1), Step("three"))


@flow("chaos_long")
def long(effects: str, mark: str) -> Any:
    """Never ends by itself."""
    return linear_flow.Flow("long").add(Step("one"), Long("two"), Step("three"))


@flow("chaos_stuck")
def stuck(effects: str, mark: str) -> Any:
    """Fails, and cannot be reverted at first."""
    return linear_flow.Flow("stuck").add(Step("one"), RevertFails("two"), Fails("three", times=1_000_000))


class Awaits(Mark):
    """A coroutine, which is cancelled where it waits."""

    async def execute(self, effects: str) -> str:
        seen = Effects(Path(effects))
        self._tell(seen, What.EXECUTE)
        self._thing(seen).touch()
        await asyncio.sleep(_STEP_S)
        self._tell(seen, What.EXECUTED)
        return f"{self.name}'s result"


@flow("chaos_awaiting")
def awaiting(effects: str, mark: str) -> Any:
    """Coroutines."""
    return linear_flow.Flow("awaiting").add(Awaits("one"), Awaits("two"))
