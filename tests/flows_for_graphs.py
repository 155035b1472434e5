"""Flows of several shapes. Loaded by its path, as a user's file would be."""

from __future__ import annotations

from pydantic import SecretStr
from taskflow import retry
from taskflow.patterns import linear_flow, unordered_flow

from flows import CancelableTask, flow


class Step(CancelableTask):
    """Does nothing."""

    def execute(self) -> None:
        """Nothing."""


class Publish(Step):
    """Cannot be undone."""

    irreversible = True


@flow("fan", engine="parallel")
def fan(frames: int = 2):
    """Render frames side by side."""
    side = unordered_flow.Flow("side").add(*(Step(f"frame_{number}") for number in range(frames)))
    sent = linear_flow.Flow("sent", retry=retry.Times(3, name="thrice")).add(Publish())
    return linear_flow.Flow("fan").add(Step("begin"), side, Step("join"), sent)


@flow("each")
def each(names: list[str]):
    """A task for each name: only a job has them."""
    return linear_flow.Flow("each").add(*map(Step, names))


@flow("hidden")
def hidden(token: SecretStr):
    """Hands a secret on."""
    return linear_flow.Flow("hidden").add(Step("use", inject={"token": token}))
