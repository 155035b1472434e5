"""Flows for tests of the poster. Loaded by its path, as a user's file would be."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr
from taskflow.patterns import linear_flow

from flows import CancelableTask, flow


class Draft(CancelableTask):
    """Does what its flow is told to do."""

    default_provides = "text"

    def execute(self, name: str, times: int) -> str:
        """Greet."""
        return f"hello {name} " * times


class Send(CancelableTask):
    """Cannot be undone."""

    irreversible = True

    def execute(self, text: str) -> None:
        """Send nothing."""


@flow("greet", timeout="10m", max_retries=3, retry_interval="30s")
def greet(name: str, times: int = 1, folder: Path = Path("/tmp"), tags: list[str] | None = None):
    """Greet someone.

    As often as one likes."""
    return linear_flow.Flow("greet").add(Draft(), Send())


@flow("share", max_running=1)
def share(name: str, token: SecretStr, ratio: float = 0.5):
    """Share something that needs a secret."""
    return linear_flow.Flow("share").add(Draft(inject={"times": 1}), Send())
