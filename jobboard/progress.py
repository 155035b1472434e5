"""How far the tasks of current jobs are, read often: what has not changed is not even decoded."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from jobboard import task_view
from jobboard.database import Database
from jobboard.models import Task
from jobboard.schema import jobs
from jobboard.states import CURRENT

_CURRENT: Final = sorted(str(state) for state in CURRENT)


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    job: str
    attempt: int
    progress: float  # 0 to 1
    stored_tasks: str

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Its tasks, in flow order; none if what is stored of them makes no sense."""
        try:
            stored = json.loads(self.stored_tasks)
        except ValueError:
            return ()
        return () if task_view.fault_of(stored) else task_view.from_json(stored)


def read(database: Database, of: Iterable[str] | None = None) -> list[Progress]:
    """The progress of the current jobs, or of those of them with these ids."""
    columns = (jobs.c.id, jobs.c.attempt, jobs.c.progress, sa.cast(jobs.c.tasks, sa.Text))
    query = sa.select(*columns).where(jobs.c.state.in_(_CURRENT))
    if of is not None:
        query = query.where(jobs.c.id.in_(sorted(of)))
    with database.read() as connection:
        return [Progress(*row) for row in connection.execute(query)]
