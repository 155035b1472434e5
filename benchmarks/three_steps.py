"""The work that all systems do: a job of three steps, each of which does next to nothing."""

from __future__ import annotations

from typing import Any, Final

from taskflow.patterns import linear_flow

from benchmarks.bell import ring_now
from flows import CancelableTask, flow

NAME: Final = "three_steps"
RINGING: Final = "ringing_steps"


class Step(CancelableTask):
    """One of the three."""

    def execute(self) -> int:
        return 1


class RingingStep(CancelableTask):
    """One that tells when it began."""

    def execute(self) -> int:
        ring_now()
        return 1


@flow(NAME)
def three_steps() -> Any:
    """Three steps in a line."""
    return linear_flow.Flow(NAME).add(*(_named(Step, number) for number in range(3)))


@flow(RINGING)
def ringing_steps() -> Any:
    """The same; the first one rings."""
    return linear_flow.Flow(RINGING).add(_named(RingingStep, 0), _named(Step, 1), _named(Step, 2))


def _named(step: type[CancelableTask], number: int) -> CancelableTask:
    return step(f"step_{number}", provides=f"result_{number}")
