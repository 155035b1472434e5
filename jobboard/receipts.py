"""What became of cancels: for who measures how long they take."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.faults import faults_of
from jobboard.schema import jobs


@dataclass(frozen=True)
class Receipt:
    """A job's flow, and the moments of its current attempt's cancel: those that it has come to."""

    job: str
    flow: str
    attempt: int
    requested_at: datetime | None
    delivered_at: datetime | None
    stopped_at: datetime | None
    finished_at: datetime | None  # the attempt's end


_COLUMNS = (
    jobs.c.id,
    jobs.c.flow,
    jobs.c.attempt,
    jobs.c.cancel_requested_at,
    jobs.c.cancel_delivered_at,
    jobs.c.cancel_stopped_at,
    jobs.c.finished_at,
)


def read(database: Database, ids: Collection[str]) -> dict[str, Receipt]:
    """The receipts of these jobs, a thousand at most, by their ids. What is gone or malformed is left out."""
    query = sa.select(*_COLUMNS).where(jobs.c.id.in_(sorted(ids)))
    with database.read() as connection:
        rows = connection.execute(query).mappings().all()
    return {row["id"]: Receipt(*row.values()) for row in rows if not faults_of(jobs, row)}
