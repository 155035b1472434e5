"""Puts on the board what is due: the one place where due times, priorities and `max_running` decide.

A record gets its posting's uuid first, and the board the posting after; whatever crashes in between is
mended by the next pass.
"""

from __future__ import annotations

from uuid import uuid4

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.schema import jobs
from jobboard.states import AT_REST, State

_LOCK = 0x636F756E7466  # PostgreSQL's advisory lock: one feeder counts at a time


def take_due(connection: sa.Connection, database: Database, limit: int) -> list[sa.RowMapping]:
    """Give up to `limit` due records their posting's uuid, first served first, in the caller's transaction.

    Returns them as they are now. The caller puts them on the board. A flow's `max_running` counts all its
    jobs that have a posting.
    """
    if database.dialect == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    due = (
        sa.select(jobs.c.id, jobs.c.flow, jobs.c.state, jobs.c.max_running)
        .where(_waits(), jobs.c.due_at <= database.now())
        .order_by(jobs.c.priority, jobs.c.due_at, jobs.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(due).mappings().all()
    room = _room(connection, {row["flow"] for row in rows if row["max_running"] is not None})
    chosen = []
    for row in rows:
        if row["max_running"] is not None and row["state"] == str(State.PENDING):
            if room[row["flow"]] >= row["max_running"]:
                continue
            room[row["flow"]] += 1
        chosen.append({"which": row["id"], "uuid": str(uuid4())})
    if not chosen:
        return []
    give = sa.update(jobs).where(jobs.c.id == sa.bindparam("which")).values(posting=sa.bindparam("uuid"))
    connection.execute(give, chosen)
    fresh = sa.select(jobs).where(jobs.c.id.in_([choice["which"] for choice in chosen]))
    return list(connection.execute(fresh.order_by(jobs.c.priority, jobs.c.due_at, jobs.c.id)).mappings())


def next_due(database: Database) -> float | None:
    """In how many seconds the next record is due that has no posting; None if none waits for its time."""
    now = database.now()
    with database.read() as connection:
        moment = connection.execute(
            sa.select(sa.func.min(jobs.c.due_at)).where(_waits(), jobs.c.due_at > now)
        ).scalar()
    return None if moment is None else float((moment - now).total_seconds())


def _waits() -> sa.ColumnElement[bool]:
    return sa.and_(jobs.c.posting.is_(None), jobs.c.state.not_in(sorted(str(state) for state in AT_REST)))


def _room(connection: sa.Connection, flows: set[str]) -> dict[str, int]:
    taken = dict.fromkeys(flows, 0)
    if flows:
        counted = (
            sa.select(jobs.c.flow, sa.func.count().label("jobs"))
            .where(jobs.c.flow.in_(flows), jobs.c.posting.is_not(None))
            .group_by(jobs.c.flow)
        )
        taken |= {row.flow: row.jobs for row in connection.execute(counted)}
    return taken
