"""A flow as a user of plain TaskFlow has it: found by its name, which is stored with the job."""

from __future__ import annotations

from pathlib import Path

from taskflow import task
from taskflow.patterns import linear_flow


class Touch(task.Task):
    def execute(self, folder: str, number: int) -> None:
        (Path(folder) / str(number)).touch(exist_ok=False)


def make() -> linear_flow.Flow:
    return linear_flow.Flow("stock").add(Touch())
