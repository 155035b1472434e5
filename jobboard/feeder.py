"""Puts on the board what is due: the one place where due times, priorities and `max_running` decide.

A record gets its posting's uuid first, and the board the posting after; whatever crashes in between is
mended by the next pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import uuid4

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.faults import CLAIMABLE
from jobboard.schema import WAITING, jobs
from jobboard.statements import Prepared, Script, add_update
from jobboard.states import State

_LOCK = 0x636F756E7466  # PostgreSQL's advisory lock: one feeder counts at a time


_LOCKED: Final = sa.select(sa.func.pg_advisory_xact_lock(_LOCK))
_IS_DUE: Final = sa.and_(WAITING, CLAIMABLE, jobs.c.due_at <= sa.bindparam("now", type_=jobs.c.due_at.type))
_ANY_DUE: Final = Prepared(sa.select(sa.exists().where(_IS_DUE)))
_DUE: Final = (
    sa.select(jobs.c.id, jobs.c.flow, jobs.c.state, jobs.c.max_running)
    .where(_IS_DUE)
    .order_by(jobs.c.priority, jobs.c.due_at, jobs.c.id)
    .with_for_update(skip_locked=True)
)


def take_due(connection: sa.Connection, database: Database, limit: int) -> list[sa.RowMapping]:
    """Give up to `limit` due records their posting's uuid, first served first, in the caller's transaction.

    Returns them as they are now. The caller puts them on the board. A flow's `max_running` counts all its
    jobs that have a posting.
    """
    now = database.now()
    if database.dialect == "postgresql":
        if not _ANY_DUE.run(connection, {"now": now}).scalar():
            return []  # without waiting for who feeds just now
        connection.execute(_LOCKED)
    chosen: list[str] = []
    full: set[str] = set()  # flows without room: their jobs must not hold those of others back
    while len(chosen) < limit:
        rows = _due(connection, now, limit - len(chosen), full)
        fit = _choose(connection, rows, full)
        _give_uuids(connection, fit)
        chosen += fit
        if len(fit) == len(rows):
            break
    if not chosen:
        return []
    fresh = sa.select(jobs).where(jobs.c.id.in_(chosen))
    return list(connection.execute(fresh.order_by(jobs.c.priority, jobs.c.due_at, jobs.c.id)).mappings())


def next_due(database: Database) -> float | None:
    """In how many seconds the next record is due that has no posting; None if none waits for its time."""
    now = database.now()
    with database.read() as connection:
        moment = connection.execute(
            sa.select(sa.func.min(jobs.c.due_at)).where(WAITING, jobs.c.due_at > now)
        ).scalar()
    return float((moment - now).total_seconds()) if isinstance(moment, datetime) else None


def _due(connection: sa.Connection, now: datetime, limit: int, full: set[str]) -> Sequence[sa.RowMapping]:
    due = _DUE.limit(limit)
    if full:
        limited = sa.and_(jobs.c.max_running.is_not(None), jobs.c.state == str(State.PENDING))
        due = due.where(~sa.and_(jobs.c.flow.in_(full), limited))
    return connection.execute(due, {"now": now}).mappings().all()


def _choose(connection: sa.Connection, rows: Sequence[sa.RowMapping], full: set[str]) -> list[str]:
    """The ids of those that may go on the board now. Adds to `full` the flows of the others."""
    taken = _on_board(connection, {row["flow"] for row in rows if row["max_running"] is not None})
    chosen = []
    for row in rows:
        # What is no number limits nothing: whoever claims the job finds that its record is malformed.
        if isinstance(row["max_running"], int) and row["state"] == str(State.PENDING):
            if taken[row["flow"]] >= row["max_running"]:
                full.add(row["flow"])
                continue
            taken[row["flow"]] += 1
        chosen.append(row["id"])
    return chosen


def _give_uuids(connection: sa.Connection, ids: Sequence[str]) -> None:
    script = Script()
    for job in ids:
        add_update(script, jobs, {"id": job}, {"posting": str(uuid4())})
    script.run(connection)


def _on_board(connection: sa.Connection, flows: set[str]) -> dict[str, int]:
    taken = dict.fromkeys(flows, 0)
    if flows:
        counted = (
            sa.select(jobs.c.flow, sa.func.count().label("jobs"))
            .where(jobs.c.flow.in_(flows), jobs.c.posting.is_not(None))
            .group_by(jobs.c.flow)
        )
        taken |= {row.flow: row.jobs for row in connection.execute(counted)}
    return taken
