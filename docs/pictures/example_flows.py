"""Flows for the pictures of the page: work that takes a while, fails, cannot be undone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from taskflow.patterns import graph_flow, linear_flow

from flows import CancelableTask, flow


class Step(CancelableTask):
    """Takes its time, and as long as it takes `undo` to take it back."""

    def __init__(self, name: str, seconds: float, fails: str = "", undo: float = 0.8, **how: object) -> None:
        super().__init__(name, **how)
        self._seconds = seconds
        self._fails = fails
        self._undo = undo

    def execute(self, **_given: object) -> str:
        """Work, and tell of it."""
        parts = max(1, int(self._seconds * 20))
        for part in self.track(range(parts), parts):
            self.sleep(0.05)
            if part % 20 == 0:
                print(f"part {part + 1} of {parts}")
        if self._fails:
            raise OSError(self._fails)
        return f"{self.name} of {self.job}"

    def revert(self, **_given: object) -> None:
        """Take back what was done."""
        time.sleep(self._undo)


class Publish(Step):
    """What the world has seen cannot be undone."""

    irreversible = True


class Network(Step):
    """Cannot be removed as long as something uses it."""

    def revert(self, **_given: object) -> None:
        """Try to."""
        raise RuntimeError("DELETE /networks/7f3a: 409 Conflict: ports are still attached")


@flow("render_video", timeout="30m", max_retries=0, engine="parallel")
def render_video(
    source: Annotated[Path, Field(description="The film as it was shot.")],
    quality: Literal["draft", "good", "best"] = "good",
    frames: Annotated[int, Field(ge=1, le=100_000, description="How many to render.")] = 2400,
    watermark: bool = False,
    token: Annotated[SecretStr | None, Field(description="Of the rendering service.")] = None,
):
    """Render a film on the remote service.

    Splits it into scenes, renders these at once, and joins what comes back.
    """
    scenes = [Step(f"scene_{n}", 20 + 10 * n, requires=["parts"], provides=f"scene_{n}") for n in (1, 2, 3)]
    return graph_flow.Flow("render_video").add(
        Step("fetch", 2, provides="raw"),
        Step("split", 1, requires=["raw"], provides="parts"),
        *scenes,
        Step("join", 2, requires=["scene_1", "scene_2", "scene_3"], provides="film"),
        Publish("publish", 1, requires=["film"], provides="address"),
    )


@flow("process_order", max_retries=0)
def process_order(customer: str, amount: int = 10):
    """Reserve, charge, ship."""
    return linear_flow.Flow("process_order").add(
        Step("reserve", 0.5, provides="reserved"), Publish("charge", 0.5, provides="charged"), Step("ship", 1)
    )


@flow("collect_prices", max_retries=0)
def collect_prices(symbols: list[str], since: str = "2025-01-01"):
    """Collect daily prices, and store them."""
    why = "prices.example.org: 503 Service Unavailable, five times in a row"
    return linear_flow.Flow("collect_prices").add(Step("download", 1, fails=why), Step("validate", 1))


@flow("build_machine", max_retries=0)
def build_machine(name: str):
    """Build a machine: its network, its disk, and start it."""
    return linear_flow.Flow("build_machine").add(
        Network("network", 0.3), Step("disk", 0.3), Step("boot", 0.5, fails="no host has room for it")
    )
