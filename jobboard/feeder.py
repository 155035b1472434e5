"""Puts on the board what is due: the one place where due times, priorities and `max_running` decide.

A record gets its posting's uuid first, and the board the posting after; whatever crashes in between is
mended by the next pass.

A conductor feeds what it can run itself, so that no job waits behind those of flows that nobody there knows.
However many records wait, for a conductor, for their time or for room, a pass reads only the first in line: of
each flow and priority, and those with a limit apart.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.faults import CLAIMABLE
from jobboard.merged import first_of
from jobboard.models import PRIORITIES, priority_name
from jobboard.schema import LIMITED, LIMITED_ON_BOARD, UNLIMITED, WAITING, Row, Values, jobs
from jobboard.statements import Prepared, Script, add_update, several, several_values

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
KNOWN: Final = sa.literal_column("known.flow", jobs.c.flow.type)
"""The flow of a row that `ahead_beside` gives."""

_LINES: Final = 100  # at most in one statement: SQLite takes 500


class _Line(NamedTuple):
    """Those that wait of one flow and one priority, with a limit or without."""

    flow: str
    limited: bool
    number: int  # of its priority, among `_PRIORITIES`
    due_at: Any  # when the first of it is

    def is_due(self, now: datetime) -> bool:
        return not (isinstance(self.due_at, datetime) and self.due_at > now)

    @property
    def place(self) -> tuple[int, datetime]:
        """Of its first."""
        return self.number, self.due_at if isinstance(self.due_at, datetime) else _LAST


@functools.cache
def ahead(flows: int) -> Prepared:
    """Asks when the first that waits is due, and the first after `now`: a row of each of so many flows.

    To be run with the values that `given` has; `seen` reads the rows.
    """
    return Prepared(ahead_beside(flows))


def ahead_beside(flows: int, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """The same with other columns beside it, which may be of the flow that is `KNOWN`."""
    known = _known(flows)
    now = sa.bindparam("now", type_=jobs.c.due_at.type)
    waits = sa.select(jobs.c.due_at).where(jobs.c.flow == known.c.flow, WAITING, CLAIMABLE)
    first = waits.order_by(jobs.c.due_at).limit(1)
    following = first.where(jobs.c.due_at > now)
    moments = (first.scalar_subquery().label("first_due"), following.scalar_subquery().label("next_due"))
    return sa.select(*moments, *columns).select_from(known)


def given(flows: Sequence[str], now: datetime) -> Values:
    """The values for `ahead`."""
    return several_values("flow", flows) | {"now": now}


def seen(rows: Iterable[Row], now: datetime) -> tuple[bool, float | None]:
    """Whether any is due at `now`, and in how many seconds the next one will be."""
    firsts = [row["first_due"] for row in rows if row["first_due"] is not None]
    moments = [row["next_due"] for row in rows if isinstance(row["next_due"], datetime)]
    is_due = any(not (isinstance(first, datetime) and first > now) for first in firsts)
    return is_due, (min(moments) - now).total_seconds() if moments else None


def _known(flows: int) -> sa.Subquery:
    return sa.union_all(*(sa.select(flow.label("flow")) for flow in several("flow", flows))).subquery("known")


@functools.cache
def _first(flows: int) -> Prepared:
    """When the first of each line of so many flows is due: a row of each flow."""
    known = _known(flows)
    firsts = [
        sa.select(jobs.c.due_at)
        .where(jobs.c.flow == known.c.flow, LIMITED if limited else UNLIMITED, CLAIMABLE, one)
        .order_by(jobs.c.priority, jobs.c.due_at)
        .limit(1)
        .scalar_subquery()
        .label(_due_of(number, limited=limited))
        for limited in (False, True)
        for number, one in enumerate(_PRIORITIES)
    ]
    return Prepared(sa.select(known.c.flow, *firsts))


def _due_of(number: int, *, limited: bool) -> str:
    return f"{'limited' if limited else 'due'}_{number}"


@functools.lru_cache(maxsize=256)
def _due(numbers: tuple[int, ...], *, limited: bool) -> Prepared:
    """The first that are due in lines of these priorities, of each of which the flow is given."""
    now = sa.bindparam("now", type_=jobs.c.due_at.type)
    read = sa.select(jobs.c.id, jobs.c.max_running, jobs.c.priority, jobs.c.due_at)
    due = read.where(LIMITED if limited else UNLIMITED, CLAIMABLE, jobs.c.due_at <= now)
    lines = zip(several("flow", len(numbers)), numbers, strict=True)
    return Prepared(
        first_of(
            [due.where(jobs.c.flow == flow, _PRIORITIES[number]) for flow, number in lines],
            _PLACE,
            sa.bindparam("most"),
        )
    )


def take_due(
    connection: sa.Connection,
    database: Database,
    flows: Sequence[str],
    limit: int,
    there: Collection[int] = (),
) -> list[Row]:
    """Give due records of these flows their posting's uuid, first served first, in the caller's transaction.

    Up to `limit`, with those that are `there` already: postings of these flows, of which the priorities are given.
    What is less urgent takes no room from what is more urgent.

    Returns the records as they are now. The caller puts them on the board. A flow's `max_running` counts all its
    jobs that have a limit, and a posting.
    """
    now = database.now()
    if not flows:
        return []
    is_due, _due_s = seen(ahead(len(flows)).fetch(connection, given(flows, now)), now)
    if not is_due:
        return []
    room = [limit - sum(other <= priority for other in there) for priority in range(len(PRIORITIES))]
    due = [line for line in _lines(connection, flows) if line.is_due(now) and room[_served_as(line.number)] > 0]
    if not due:
        return []  # without waiting for who feeds just now
    if database.dialect == "postgresql":
        connection.execute(_LOCKED)
    most = max(room[_served_as(line.number)] for line in due)
    found = _of_lines(connection, [line for line in due if not line.limited], now, most)
    for flow, on_board in _on_board(connection, {line.flow for line in due if line.limited}).items():
        waiting = _of_lines(connection, [line for line in due if line.limited and line.flow == flow], now, most)
        found += _fitting(waiting, on_board)
    fed: list[str] = []
    for row in sorted(found, key=_place):
        if len(fed) < room[_served_as(row["priority"])]:
            fed.append(row["id"])
    return _give_uuids(connection, fed)


def _lines(connection: sa.Connection, flows: Sequence[str]) -> list[_Line]:
    """All in which someone waits; first the one whose first is to be served first."""
    rows = _first(len(flows)).fetch(connection, several_values("flow", flows))
    lines = [
        _Line(row["flow"], limited, number, row[_due_of(number, limited=limited)])
        for row in rows
        for limited in (False, True)
        for number in range(len(_PRIORITIES))
    ]
    return sorted((line for line in lines if line.due_at is not None), key=lambda line: line.place)


def _of_lines(connection: sa.Connection, lines: Sequence[_Line], now: datetime, most: int) -> list[Values]:
    """The first `most` that are due of these lines, all limited or none: no more lines can have one of them."""
    if not lines:
        return []
    read = lines[: min(most, _LINES)]
    statement = _due(tuple(line.number for line in read), limited=read[0].limited)
    of_lines = given([line.flow for line in read], now) | {"most": most}
    return statement.fetch(connection, of_lines)


def _fitting(rows: Iterable[Values], on_board: int) -> Iterator[Values]:
    """Those of one flow that may go on the board now."""
    for row in rows:
        # What is no number limits nothing: whoever claims the job finds that its record is malformed.
        if isinstance(row["max_running"], int):
            if on_board >= row["max_running"]:
                continue
            on_board += 1
        yield row


def _served_as(priority: Any) -> int:
    """The priority that its posting has."""
    return PRIORITIES.index(priority_name(priority))


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


def _on_board(connection: sa.Connection, flows: Collection[str]) -> dict[str, int]:
    taken = dict.fromkeys(flows, 0)
    if flows:
        counted = (
            sa.select(jobs.c.flow, sa.func.count().label("jobs"))
            .where(jobs.c.flow.in_(list(flows)), LIMITED_ON_BOARD)
            .group_by(jobs.c.flow)
        )
        taken |= {row.flow: row.jobs for row in connection.execute(counted)}
    return taken
