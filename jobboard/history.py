"""What happened to a job, line by line: transitions, tasks, log lines. Written with what it tells of."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.faults import faults_of, mended, said_of
from jobboard.merged import first_of
from jobboard.models import HistoryLine
from jobboard.position import Position
from jobboard.schema import Row, events
from jobboard.statements import Script, add_insert

_LONGEST = 10_500  # characters of a line: an error's or a reason's 10,000, and who said it

_ON_THEIR_WAY = 100  # lines back from the last one, where some may not be committed yet

STATE, TASK, LOG = KINDS = "state", "task", "log"
"""The kinds of lines."""

NOT_RESPONDING = "not_responding"
"""The state in the line of a task that goes on though its job is to stop; its data hold the `stack`."""


POSTED = "posted"
"""The message of a job's first line."""


@dataclass(frozen=True)
class NewLine:
    """A line to write."""

    job: str
    attempt: int
    at: datetime
    kind: str
    task: str | None = None
    state: str | None = None
    by: str | None = None
    message: str | None = None
    data: dict[str, Any] | None = None


def append(connection: sa.Connection, lines: Sequence[NewLine]) -> None:
    """Write `lines` in their order, in the caller's transaction."""
    script = Script()
    add(script, lines)
    script.run(connection)


def add(script: Script, lines: Sequence[NewLine]) -> None:
    """Have a script write `lines` in their order."""
    add_insert(script, events, [_values(line) for line in lines])


def missing(connection: sa.Connection, lines: Sequence[NewLine]) -> list[NewLine]:
    """Those of one job's `lines` that are not stored."""
    told = (events.c.at, events.c.kind, events.c.task, events.c.state, events.c.message)
    moments = sa.and_(events.c.job.in_({line.job for line in lines}), events.c.at.in_([line.at for line in lines]))
    stored = {tuple(row) for row in connection.execute(sa.select(*told).where(moments))}
    return [
        line for line in lines if (line.at, line.kind, line.task, line.state, _text(line.message)) not in stored
    ]


def read(
    database: Database, job: str, *, kinds: Iterable[str], after: int = 0, limit: int = 1000
) -> list[HistoryLine]:
    """Up to `limit` lines of a job, oldest first, beginning after line `after`."""
    with database.read() as connection:
        return _some(connection, job, kinds, events.c.seq > after, limit)


def read_back(
    database: Database, job: str, *, kinds: Iterable[str], before: int, limit: int = 1000
) -> list[HistoryLine]:
    """The last lines of a job before line `before`, `limit` at most; oldest first."""
    with database.read() as connection:
        return _some(connection, job, kinds, events.c.seq < before, limit, newest=True)[::-1]


def _some(
    connection: sa.Connection,
    job: str,
    kinds: Iterable[str],
    there: sa.ColumnElement[bool],
    limit: int,
    *,
    newest: bool = False,
) -> list[HistoryLine]:
    """The oldest, or the newest, of a job's lines that are there; these first."""
    lines = sa.select(events).where(events.c.job == job, there)
    query = first_of([lines.where(events.c.kind == kind) for kind in kinds], ("seq",), limit, descending=newest)
    return [_line(row) for row in connection.execute(query).mappings()]


def read_on(
    database: Database,
    position: Position,
    *,
    job: str | None = None,
    up_to: int | None = None,
    limit: int = 1000,
) -> list[HistoryLine]:
    """Up to `limit` lines that a reader at `position` has not had, by their numbers: of all jobs, or of one.

    `up_to`: none with a greater number.
    """
    all_of_it = sa.select(events) if up_to is None else sa.select(events).where(events.c.seq <= up_to)
    new = [all_of_it.where(events.c.seq > position.last)]
    new += [all_of_it.where(events.c.seq.between(one.start, one.stop - 1)) for one in position.missing]
    if job is not None:
        new = [part.where(events.c.job == job, events.c.kind == kind) for part in new for kind in KINDS]
    query = first_of(new, ("seq",), limit)
    with database.read() as connection:
        return [_line(row) for row in connection.execute(query).mappings()]


def last_position(database: Database) -> Position:
    """Where a reader stands that wants what is new from now on.

    What is missing among the last lines may still be on its way.
    """
    greatest = sa.select(sa.func.max(events.c.seq)).scalar_subquery()
    last = sa.select(events.c.seq).where(events.c.seq > greatest - _ON_THEIR_WAY).order_by(events.c.seq)
    with database.read() as connection:
        lines = connection.execute(last).scalars().all()
    return functools.reduce(Position.having, lines, Position(lines[0] - 1 if lines else 0))


def _line(row: Row) -> HistoryLine:
    """A line as it is stored; a malformed one says so itself."""
    faults = faults_of(events, row)
    said = {"message": f"malformed line: {said_of(faults)}"} if faults else {}
    return HistoryLine(**{**mended(events, row, faults), **said})


def _values(line: NewLine) -> dict[str, Any]:
    return {name: getattr(line, name) for name in NewLine.__dataclass_fields__} | {"message": _text(line.message)}


def _text(message: str | None) -> str | None:
    """What tasks log may hold characters that no database stores: they are written out. No line is endless."""
    if message is None:
        return None
    kept = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}… ({len(message):,} characters in all)"
    return kept.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
