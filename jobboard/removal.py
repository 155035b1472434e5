"""Removes jobs with everything that is stored for them: attempts, history, postings, TaskFlow's logbooks."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.schema import deletions, jobs, postings
from jobboard.states import State

_BATCH: Final = 100  # on SQLite all who write wait for it

# As far as they are needed here: TaskFlow's own definitions would bring TaskFlow along.
_LOGBOOKS = sa.table("logbooks", sa.column("uuid"))
_FLOWS = sa.table("flowdetails", sa.column("uuid"), sa.column("parent_uuid"))
_ATOMS = sa.table("atomdetails", sa.column("parent_uuid"))


def logbook_of(job: str) -> str:
    """The uuid of the one TaskFlow logbook of a job."""
    return str(uuid5(NAMESPACE_URL, f"countermand:{job}"))


def remove(connection: sa.Connection, ids: Sequence[str], at: datetime) -> None:
    """Remove these jobs, in the caller's transaction. A posting on another board than `sql` is removed by who
    claims it and finds no record."""
    books = [logbook_of(job) for job in ids]
    flows = sa.select(_FLOWS.c.uuid).where(_FLOWS.c.parent_uuid.in_(books))
    connection.execute(sa.delete(_ATOMS).where(_ATOMS.c.parent_uuid.in_(flows)))
    connection.execute(sa.delete(_FLOWS).where(_FLOWS.c.parent_uuid.in_(books)))
    connection.execute(sa.delete(_LOGBOOKS).where(_LOGBOOKS.c.uuid.in_(books)))
    connection.execute(sa.delete(postings).where(postings.c.job.in_(ids)))
    connection.execute(sa.delete(jobs).where(jobs.c.id.in_(ids)))  # attempts and events go with it
    connection.execute(sa.update(deletions).where(deletions.c.job.in_(ids)).values(gone_at=at))


def note(connection: sa.Connection, job: str, at: datetime, by: str, reason: str | None) -> None:
    """Write down who has a job deleted, in the caller's transaction. The newest counts."""
    connection.execute(sa.delete(deletions).where(deletions.c.job == job))
    connection.execute(sa.insert(deletions).values(job=job, at=at, by=by, reason=reason))


def told_of(connection: sa.Connection, job: str) -> str | None:
    """Who had a job deleted, in words; None if nobody had."""
    row = connection.execute(sa.select(deletions).where(deletions.c.job == job)).mappings().first()
    if row is None:
        return None
    why = f": {row['reason']}" if row["reason"] else ""
    return f"deleted by {row['by']} at {row['at']:%Y-%m-%d %H:%M:%S} UTC{why}"


def gone_since(database: Database, moment: datetime) -> list[str]:
    """The jobs that went since then because someone had them deleted, in their order."""
    went = sa.select(deletions.c.job).where(deletions.c.gone_at >= moment).order_by(deletions.c.gone_at)
    with database.read() as connection:
        return list(connection.execute(went).scalars())


def purge(database: Database, older_than_s: float, stop: threading.Event | None = None) -> int:
    """Remove jobs that completed, failed or were cancelled so long ago, until `stop`; how many that were.

    Jobs that kept results, and jobs whose revert failed, stay. In batches, and after each there is a pause as long
    as it took: others who write wait for one at most. Whoever is interrupted loses nothing.
    """
    stop = stop or threading.Event()
    removed, since = 0, None
    with database.write() as connection:
        connection.execute(sa.delete(deletions).where(deletions.c.gone_at < _ago(database, older_than_s)))
    while not stop.is_set():
        began_s = time.monotonic()
        gone, since = _purge_batch(database, older_than_s, since)
        if not gone:
            break
        removed += gone
        stop.wait(time.monotonic() - began_s)
    return removed


def _purge_batch(database: Database, older_than_s: float, since: Any) -> tuple[int, Any]:
    """Remove some; how many, and when the last of them ended: what ended before is not looked at again."""
    old = (
        sa.select(jobs.c.id, jobs.c.finished_at)
        .where(
            jobs.c.finished_at < _ago(database, older_than_s),
            jobs.c.state.in_([str(State.COMPLETED), str(State.FAILED), str(State.CANCELLED)]),
            ~jobs.c.kept,
        )
        .order_by(jobs.c.finished_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    if isinstance(since, datetime):
        old = old.where(jobs.c.finished_at >= since)
    with database.write() as connection:
        rows = connection.execute(old).all()
        if rows:
            remove(connection, [row.id for row in rows], database.now())
    return len(rows), rows[-1].finished_at if rows else None


def _ago(database: Database, seconds: float) -> sa.ScalarSelect[datetime]:
    """Asked for once: PostgreSQL would hold a clock that may be another for each row against all there are."""
    return sa.select(database.server_after(-seconds)).scalar_subquery()
