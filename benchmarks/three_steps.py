"""The work that all systems do: a job of three steps, each of which does next to nothing."""

from __future__ import annotations

from typing import Any

from taskflow.patterns import linear_flow

from flows import CancelableTask, flow

NAME = "three_steps"


class Step(CancelableTask):
    """One of the three."""

    def execute(self) -> int:
        return 1


@flow(NAME)
def three_steps() -> Any:
    """Three steps in a line."""
    return linear_flow.Flow(NAME).add(*(Step(f"step_{n}", provides=f"result_{n}") for n in range(3)))
