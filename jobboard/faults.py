"""What is wrong with a row that was not written by us, or not as a whole.

A row is looked at when it is to become a value. The few faults that would break a statement over many rows are
told by SQL, in `CLAIMABLE`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from jobboard import task_view
from jobboard.database import Database
from jobboard.errors import MalformedRecord
from jobboard.malformed import Malformed, shown
from jobboard.models import PRIORITIES
from jobboard.schema import Row, UtcDateTime, attempts, conductors, events, jobs
from jobboard.states import AT_REST, State

Faults = dict[str, str]
"""What is wrong, by column."""

_Check = Callable[[Any], str | None]

_MOST: Final = 2**31 - 2  # what is counted up must still have room
_LONGEST_S: Final = 1e10
_LONGEST_LEASE_S: Final = 10 * 366 * 24 * 3600.0

CLAIMABLE: Final = sa.and_(
    jobs.c.state.in_(sorted(str(state) for state in State if state not in AT_REST)),
    *(column.between(0, _MOST) for column in (jobs.c.epoch, jobs.c.claims, jobs.c.attempt)),
)
"""Of a record, that a claim can be written into it. Text is greater than any number on SQLite."""


def lasts(database: Database, expires_at: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """The condition that a lease has not expired. One that would never is malformed, as is text on SQLite."""
    longest = database.server_after(_LONGEST_LEASE_S)
    return sa.and_(expires_at > database.server_now, expires_at < longest)


def faults_of(table: sa.Table, row: Row) -> Faults:
    """What is wrong with a row of `table`: nothing, mostly. Columns that were not read are not looked at."""
    return {name: why for name, check in _CHECKS[table.name] if name in row and (why := check(row[name]))}


def check(record: Row) -> None:
    """`MalformedRecord` if the record, or what was read of it, makes no sense."""
    if faults := faults_of(jobs, record):
        raise MalformedRecord(str(record["id"]), record["state"], said_of(faults))


def state_of(record: Row) -> State:
    """The state of a record of which nothing else need have been read. Raises `MalformedRecord`."""
    check(record)
    return State(record["state"])


def said_of(faults: Faults) -> str:
    """Faults in words."""
    return "; ".join(f"{column}: {why}" for column, why in faults.items())


def mended(table: sa.Table, row: Row, faults: Faults) -> Row:
    """The row with stand-ins for what is wrong with it."""
    return {**row, **{name: _STAND_INS[_kind(table.c[name])] for name in faults}} if faults else row


def _optional(check: _Check) -> _Check:
    return lambda value: None if value is None else check(value)


def _wants(kind: type | tuple[type, ...], name: str) -> _Check:
    def check(value: Any) -> str | None:
        # A bool is an int to Python only.
        if isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
            return None
        return value.why if isinstance(value, Malformed) else f"{shown(value)} is {name}"

    return check


def _count(value: Any) -> str | None:
    return _WHOLE(value) or (None if 0 <= value <= _MOST else f"{value} is no count")


def _seconds(value: Any) -> str | None:
    return _number(value) or (None if 0 <= value <= _LONGEST_S else f"{shown(value)} is no duration")


def _number(value: Any) -> str | None:
    fits = isinstance(value, int | float) and math.isfinite(value)
    return None if fits else f"{shown(value)} is no number"


def _state(value: Any) -> str | None:
    return None if value in _STATES else f"{shown(value)} is no state"


def _priority(value: Any) -> str | None:
    return _WHOLE(value) or (None if value in range(len(PRIORITIES)) else f"{value} is no priority")


def _on_failure(value: Any) -> str | None:
    return None if value in ("revert", "keep") else f"{shown(value)} is neither revert nor keep"


def _names(value: Any) -> str | None:
    return _LIST(value) or (None if all(isinstance(one, str) for one in value) else "not a list of names")


def _error(value: Any) -> str | None:
    return _OBJECT(value) or (None if task_view.is_error(value) else "no task, type and message")


def _tasks(value: Any) -> str | None:
    return value.why if isinstance(value, Malformed) else task_view.fault_of(value)


_STATES: Final = frozenset(str(state) for state in State)
_WHOLE: Final = _wants(int, "no whole number")
_OBJECT: Final = _wants(dict, "no JSON object")
_LIST: Final = _wants(list, "no JSON list")

_BY_KIND: Final[Mapping[type, _Check]] = {
    sa.String: _wants(str, "no text"),
    sa.Integer: _WHOLE,
    sa.Float: _number,
    sa.Boolean: _wants(bool, "neither true nor false"),
    UtcDateTime: _wants(datetime, "no moment"),
    sa.JSON: _OBJECT,
}
_STAND_INS: Final[Mapping[type, Any]] = {
    sa.String: "",
    sa.Integer: 0,
    sa.Float: 0.0,
    sa.Boolean: False,
    UtcDateTime: datetime(1970, 1, 1, tzinfo=UTC),
    sa.JSON: None,
}
_OF_THEIR_OWN: Final[Mapping[str, _Check]] = {
    "jobs.state": _state,
    "jobs.priority": _priority,
    "jobs.masked": _names,
    "jobs.error": _error,
    "jobs.tasks": _tasks,
    "jobs.on_failure": _on_failure,
    "jobs.attempt": _count,
    "jobs.epoch": _count,
    "jobs.claims": _count,
    "jobs.ran_s": _seconds,
    "jobs.timeout_s": _seconds,
    "jobs.retry_interval_s": _seconds,
    "attempts.error": _error,
    "conductors.flows": _names,
}


def _kind(column: sa.Column[Any]) -> type:
    return next(kind for kind in _BY_KIND if isinstance(column.type, kind))


def _check_of(column: sa.Column[Any]) -> _Check:
    check = _OF_THEIR_OWN.get(f"{column.table.name}.{column.name}") or _BY_KIND[_kind(column)]
    return _optional(check) if column.nullable else check


_CHECKS: Final = {
    table.name: [(column.name, _check_of(column)) for column in table.columns]
    for table in (jobs, attempts, events, conductors)
}
