"""Puts on the board what is due: the one place where due times, priorities and `max_running` decide.

A record gets its posting's uuid first, and the board the posting after; whatever crashes in between is
mended by the next pass.

However many records wait, for their time or for room, a pass reads only the first in line: of each priority, and
of each flow that is limited.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.faults import CLAIMABLE
from jobboard.merged import each_alone, first_of, is_one
from jobboard.models import PRIORITIES
from jobboard.schema import LIMITED, LIMITED_ON_BOARD, UNLIMITED, WAITING, Row, Values, jobs
from jobboard.statements import Prepared, Script, add_update

_LOCK = 0x636F756E7466  # PostgreSQL's advisory lock: one feeder counts at a time
_LOCKED: Final = sa.select(sa.func.pg_advisory_xact_lock(_LOCK))

# Each alone, since the index gives the due times of one in order. What is none is fed, too: whoever claims the job
# finds that its record is malformed.
_PRIORITIES: Final = (
    *(jobs.c.priority == index for index in range(len(PRIORITIES))),
    jobs.c.priority < 0,
    jobs.c.priority >= len(PRIORITIES),
)
_PLACE: Final = ("priority", "due_at", "id")
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _first(*conditions: sa.ColumnElement[bool]) -> list[sa.Label[Any]]:
    """When the first of each priority is due."""
    first = (
        sa.select(jobs.c.due_at).where(*conditions, CLAIMABLE).order_by(jobs.c.priority, jobs.c.due_at).limit(1)
    )
    return [first.where(one).scalar_subquery().label(f"due_{number}") for number, one in enumerate(_PRIORITIES)]


def _due(*conditions: sa.ColumnElement[bool]) -> Prepared:
    now = sa.bindparam("now", type_=jobs.c.due_at.type)
    read = sa.select(jobs.c.id, jobs.c.max_running, jobs.c.priority, jobs.c.due_at)
    due = read.where(*conditions, CLAIMABLE, jobs.c.due_at <= now)
    return Prepared(first_of([due.where(one) for one in _PRIORITIES], _PLACE, sa.bindparam("most")))


_FLOWS: Final = each_alone(jobs, "flow", LIMITED)
_FIRST: Final = Prepared(
    sa.union_all(
        sa.select(sa.null().label("flow"), *_first(UNLIMITED)),
        sa.select(_FLOWS.c.flow, *_first(LIMITED, jobs.c.flow == _FLOWS.c.flow)).where(_FLOWS.c.flow.is_not(None)),
    )
)
_DUE: Final = _due(UNLIMITED)
_DUE_OF_LIMITED: Final = _due(LIMITED, jobs.c.flow == sa.bindparam("flow"))


def take_due(connection: sa.Connection, database: Database, limit: int) -> list[Row]:
    """Give up to `limit` due records their posting's uuid, first served first, in the caller's transaction.

    Returns them as they are now. The caller puts them on the board. A flow's `max_running` counts all its jobs
    that have a limit, and a posting.
    """
    now = database.now()
    if not _ANY_DUE.run(connection, {"now": now}).scalar():
        return []
    due = {flow for flow, moment in _firsts(connection) if not (isinstance(moment, datetime) and moment > now)}
    if not due:
        return []  # without waiting for who feeds just now
    if database.dialect == "postgresql":
        connection.execute(_LOCKED)
    given = {"now": now, "most": limit}
    found = _DUE.fetch(connection, given) if None in due else []
    for flow, on_board in _on_board(connection, due - {None}).items():
        found += _fitting(_DUE_OF_LIMITED.fetch(connection, given | {"flow": flow}), on_board)
    return _give_uuids(connection, [row["id"] for row in sorted(found, key=_place)[:limit]])


def is_due(now: Any) -> sa.ColumnElement[bool]:
    """Whether a record waits that was due at `now`: for its turn, or for room."""
    return is_one(_first_waiting(jobs.c.due_at <= now))


def next_due(now: Any) -> sa.ScalarSelect[datetime]:
    """When the first of those is due that wait for a time after `now`."""
    return _first_waiting(jobs.c.due_at > now).scalar_subquery()


def _first_waiting(condition: sa.ColumnElement[bool]) -> sa.Select[tuple[datetime]]:
    return sa.select(jobs.c.due_at).where(WAITING, CLAIMABLE, condition).order_by(jobs.c.due_at).limit(1)


def _firsts(connection: sa.Connection) -> Iterator[tuple[str | None, Any]]:
    """When the first of those that wait is due: of each flow with a limit, and of all others together (None)."""
    for row in _FIRST.fetch(connection, {}):
        flow = row.pop("flow")
        yield from ((flow, moment) for moment in row.values() if moment is not None)


def _fitting(rows: Iterable[Values], on_board: int) -> Iterator[Values]:
    """Those of one flow that may go on the board now."""
    for row in rows:
        # What is no number limits nothing: whoever claims the job finds that its record is malformed.
        if isinstance(row["max_running"], int):
            if on_board >= row["max_running"]:
                continue
            on_board += 1
        yield row


def _place(row: Values) -> tuple[int, datetime, str]:
    """Its place in the line. What is malformed is last."""
    priority, due_at = row["priority"], row["due_at"]
    return (
        priority if isinstance(priority, int) else len(PRIORITIES),
        due_at if isinstance(due_at, datetime) else _LAST,
        row["id"],
    )


def _give_uuids(connection: sa.Connection, ids: Collection[str]) -> list[Row]:
    if not ids:
        return []
    waiting = sa.select(jobs).where(jobs.c.id.in_(ids), WAITING, CLAIMABLE)
    ordered = waiting.order_by(*(jobs.c[name] for name in _PLACE)).with_for_update(skip_locked=True)
    rows: list[Row] = [{**row, "posting": str(uuid4())} for row in connection.execute(ordered).mappings()]
    script = Script()
    for row in rows:
        add_update(script, jobs, {"id": row["id"]}, {"posting": row["posting"]})
    script.run(connection)
    return rows


def _on_board(connection: sa.Connection, flows: Collection[str | None]) -> dict[str | None, int]:
    taken = dict.fromkeys(flows, 0)
    if flows:
        counted = (
            sa.select(jobs.c.flow, sa.func.count().label("jobs"))
            .where(jobs.c.flow.in_(list(flows)), LIMITED_ON_BOARD)
            .group_by(jobs.c.flow)
        )
        taken |= {row.flow: row.jobs for row in connection.execute(counted)}
    return taken


_ANY_DUE: Final = Prepared(sa.select(is_due(sa.bindparam("now", type_=jobs.c.due_at.type))))
