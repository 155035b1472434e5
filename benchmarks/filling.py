"""Fills a database with copies of one real job, in SQL: as many rows in each table as the product itself makes."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.schema import attempts, events, jobs, postings
from jobboard.taskflow_rows import ATOMS, FLOWS, LOGBOOKS

_JOB_KEPT: Final = 16  # characters of an id that its copies share
_UUID_KEPT: Final = 24
_ONE_BY_ONE: Final = {events.c.seq, postings.c.seq}  # the database counts them
_TABLES: Final = (jobs, attempts, events, postings, LOGBOOKS, FLOWS, ATOMS)
_AT_ONCE: Final = 100_000


def fill(database: Database, job: str, copies: int) -> None:
    """Store so many copies of `job`, each with ids of its own."""
    with database.read() as connection:
        found = {table.name: list(connection.execute(sa.select(table))) for table in _TABLES}
    if len(found[jobs.name]) != 1:
        raise ValueError(f"wants a database with job {job} alone, there are {len(found[jobs.name])}")
    for first in range(1, copies + 1, _AT_ONCE):
        last = min(copies, first + _AT_ONCE - 1)
        for table in _TABLES:
            for row in found[table.name]:
                with database.write() as connection:
                    connection.execute(copies_of(table, row, job, first, last, database.dialect))


def copies_of(table: sa.Table, row: Any, job: str, first: int, last: int, dialect: str) -> sa.Insert:
    """The statement that stores the copies `first` to `last` of one row."""
    numbers = _numbers(first, last)
    given = {column: row._mapping[column.name] for column in table.c if column not in _ONE_BY_ONE}
    columns = [column for column, value in given.items() if value is not None]
    values = [_copied(column, given[column], job, numbers.c.n, dialect).label(column.name) for column in columns]
    return sa.insert(table).from_select(columns, sa.select(*values).select_from(numbers))


def _numbers(first: int, last: int) -> sa.CTE:
    start = sa.select(sa.literal(first).label("n")).cte("numbers", recursive=True)
    return start.union_all(sa.select(start.c.n + 1).where(start.c.n < last))


def _copied(column: sa.Column[Any], value: Any, job: str, n: sa.ColumnElement[int], dialect: str) -> Any:
    """The value as it is, but for the ids in it."""
    if isinstance(value, str) and value == job:
        return sa.literal(job[:_JOB_KEPT]) + _digits(n, len(job) - _JOB_KEPT, dialect)
    if _is_uuid(value):
        return sa.literal(value[:_UUID_KEPT]) + _digits(n, len(value) - _UUID_KEPT, dialect)
    if isinstance(value, dict) and value.get("job") == job:  # of a posting
        text = sa.literal('{"job":"' + job[:_JOB_KEPT]) + _digits(n, len(job) - _JOB_KEPT, dialect) + '"}'
        return sa.cast(text, sa.JSON) if dialect == "postgresql" else text
    return sa.literal(value, column.type)


def _digits(n: sa.ColumnElement[int], width: int, dialect: str) -> Any:
    if dialect == "postgresql":
        return sa.func.lpad(sa.cast(n, sa.Text), width, "0")
    return sa.func.printf(f"%0{width}d", n)


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 36 and value.count("-") == 4
