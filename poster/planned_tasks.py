"""The tasks of jobs that have not begun: what their flows will be made of."""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from jobboard.database import to_json
from jobboard.models import Job, Task

if TYPE_CHECKING:
    from flows.registry import FlowSpec

LOG = logging.getLogger(__name__)

_KEPT: Final = 100  # by flow and arguments


def planned_tasks(spec: FlowSpec, job: Job) -> tuple[Task, ...]:
    """In flow order; none if they cannot be told here: the arguments of a flow with secrets are not known."""
    if spec.secrets:
        return ()
    try:
        return _planned(spec, to_json(job.arguments))
    except Exception as error:  # noqa: BLE001 - a flow's own code runs here, and a conductor will tell of it
        LOG.info("job %s: its tasks are not known here: %s", job.id, error)
        return ()


@lru_cache(_KEPT)
def _planned(spec: FlowSpec, arguments: str) -> tuple[Task, ...]:
    """Kept, since a waiting job is shown again and again, and each making of a flow leaves a lot to collect."""
    structure = spec.build(json.loads(arguments)).structure
    return tuple(Task(task.name, irreversible=task.irreversible) for task in structure.tasks)
