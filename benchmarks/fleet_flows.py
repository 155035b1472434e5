"""A flow that would go on for ever, of which many are cancelled at once."""

from __future__ import annotations

from typing import Any, Final

from taskflow.patterns import linear_flow

from flows import CancelableTask, flow

NAME: Final = "fleet-sleep"


class Sleep(CancelableTask):
    """Waits."""

    def execute(self) -> None:
        self.sleep(3600)


@flow(NAME)
def fleet_sleep() -> Any:
    """One task that waits."""
    return linear_flow.Flow(NAME).add(Sleep())
