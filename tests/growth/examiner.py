"""Looks at every statement that is sent to a database, as it is sent: does it cost the more, the more there is?

It has a fault if its plan reads a table that grows from end to end, if it enters an index not by its first
column, or if it has much to do: on PostgreSQL rows are counted, by EXPLAIN ANALYZE, on SQLite steps of its virtual
machine. One that nobody thought of is looked at like all others.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg2
import sqlalchemy as sa

from jobboard.database import Database
from tests.requests_seen import overheard

GROWING: Final = frozenset({"jobs", "attempts", "events", "postings", "logbooks", "flowdetails", "atomdetails"})
MOST_ROWS: Final = 6_000
"""So many rows a batch of 1,000 may read in its tables on PostgreSQL. Of each kind that rests or waits there are
more."""

MOST_STEPS: Final = {"SELECT": 300_000, "WITH": 300_000, "INSERT": 500_000, "UPDATE": 500_000, "DELETE": 1_000_000}
"""The same for SQLite, in steps: what is written is written to each index, too."""

_SAVEPOINT: Final = ("SAVEPOINT examined", "ROLLBACK TO SAVEPOINT examined")
_SHOWN: Final = 600
_EVERY: Final = 1_000  # steps; how exactly they are counted
_LOOKS: Final = 4  # at one statement: other parameters may have another plan
_OURS: Final = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b(?!.*\b(pg_catalog|sqlite_master)\b)", re.DOTALL
)
_ALIAS: Final = re.compile(r"(\w+) AS (\w+)")
_SCAN: Final = re.compile(r"SCAN (\w+)\b(?! USING| VIRTUAL)")
_FIRST_COLUMN: Final = re.compile(r"\((\w+)")
_INDEXES: Final = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"


@dataclass(frozen=True)
class Fault:
    """Why a statement would not stay as quick as it is."""

    statement: str
    why: str

    def __str__(self) -> str:
        flat = " ".join(self.statement.split())
        return f"{self.why}: {flat if len(flat) <= _SHOWN else f'{flat[:_SHOWN]}…'}"


@dataclass
class Findings:
    """Of all statements that were looked at. Thread-safe."""

    statements: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_to_be_looked_at(self, statement: str) -> bool:
        """Whether it has not been often enough."""
        with self._lock:
            self.statements[statement] += 1
            return self.statements[statement] <= _LOOKS

    def add(self, statement: str, whys: Sequence[str]) -> None:
        """What is wrong with a statement."""
        with self._lock:
            self.faults += [fault for why in whys if (fault := Fault(statement, why)) not in self.faults]


@contextmanager
def examined(database: Database) -> Iterator[Findings]:
    """Every statement of this process in this block, of whatever thread and connection."""
    examiner = _SQLite() if database.dialect == "sqlite" else _PostgreSQL(_first_columns(database))
    sa.event.listen(sa.Engine, "before_cursor_execute", examiner.look)
    try:
        with overheard(examiner.examine):
            yield examiner.findings
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", examiner.look)
        examiner.close()


class _Examiner(ABC):
    def __init__(self) -> None:
        self.findings = Findings()

    def look(
        self, connection: sa.Connection, _cursor: Any, sent: str, given: Any, _context: Any, many: bool
    ) -> None:
        """At what SQLAlchemy is about to send."""
        if _OURS.match(sent):
            one = given[0] if many and isinstance(given, list) else given  # SQLAlchemy makes one of many INSERTs
            self.examine(connection.connection.dbapi_connection, sent, one)

    @abstractmethod
    def examine(self, driver: Any, sent: str, given: Any) -> None: ...

    @abstractmethod
    def close(self) -> None: ...


class _PostgreSQL(_Examiner):
    def __init__(self, first_columns: dict[str, str]) -> None:
        super().__init__()
        self._first_columns = first_columns  # of the indexes

    def examine(self, driver: Any, sent: str, given: Any) -> None:
        """Run it beforehand, in a transaction in the transaction, which is taken back."""
        steps = list(_steps(sent, given))
        wanted = [self.findings.is_to_be_looked_at(statement) for statement, _values in steps]
        if not any(wanted):
            return
        begin, end = ("BEGIN", "ROLLBACK") if driver.autocommit else _SAVEPOINT
        with driver.cursor() as cursor:
            cursor.execute(begin)
            # What fails here, since a key is taken or a condition does not hold, fails again when it is sent.
            with suppress(psycopg2.IntegrityError, psycopg2.errors.DivisionByZero):
                for statement, values in steps:  # all of a script: each may stand on the one before
                    cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", values)
                    [[[found]]] = cursor.fetchall()
                    self.findings.add(statement, list(self._faults(found["Plan"])))
            cursor.execute(end)

    def close(self) -> None:
        """Nothing is left to be looked at."""

    def _faults(self, node: dict[str, Any]) -> Iterator[str]:
        table = node.get("Relation Name")
        if node["Node Type"] == "Seq Scan" and table in GROWING:
            yield f"reads all of {table}"
        first = self._first_columns.get(node.get("Index Name", ""))
        if first and "Index Cond" in node and not re.search(rf"\b{first}\b", node["Index Cond"]):
            yield f"enters {node['Index Name']} not by {first}, but where {node['Index Cond']}"
        rows = _rows(node)
        if rows > MOST_ROWS and not node.get("Plans"):
            yield f"reads {rows:,} rows: {node['Node Type']} {node.get('Index Name') or table}"
        for child in node.get("Plans", ()):
            yield from self._faults(child)


def _first_columns(database: Database) -> dict[str, str]:
    with database.read() as connection:
        indexes = connection.exec_driver_sql(_INDEXES).all()
    columns = {name: _FIRST_COLUMN.search(definition) for name, definition in indexes}
    return {name: found[1] for name, found in columns.items() if found}


def _rows(node: dict[str, Any]) -> int:
    passed_over = sum(node.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck"))
    rows: int = (node["Actual Rows"] + passed_over) * node["Actual Loops"]
    return rows


def _steps(sent: str, given: Any) -> Iterator[tuple[str, Any]]:
    """The statements of a script, each with its own parameters."""
    statements = sent.split(";\n")
    if len(statements) == 1:
        yield sent, given
        return
    values = list(given)
    for statement in statements:
        count = statement.count("%s")
        yield statement, tuple(values[:count])
        values = values[count:]


class _SQLite(_Examiner):
    def __init__(self) -> None:
        super().__init__()
        self._running: dict[int, _Run] = {}  # by the connection

    def examine(self, driver: Any, sent: str, given: Any) -> None:
        """Read its plan, and count its steps until the connection has another statement."""
        if self.findings.is_to_be_looked_at(sent):
            plan = driver.execute(f"EXPLAIN QUERY PLAN {sent}", given).fetchall()
            self.findings.add(sent, list(_scans(sent, [row[3] for row in plan])))
        run = self._running.setdefault(id(driver), _Run(driver))
        self._end(run)
        run.statement, run.steps = sent, 0
        driver.set_progress_handler(run.count, _EVERY)

    def close(self) -> None:
        """Look at what was sent last."""
        for run in self._running.values():
            self._end(run)
            with suppress(sqlite3.ProgrammingError):  # it is closed
                run.driver.set_progress_handler(None, 0)

    def _end(self, run: _Run) -> None:
        if run.statement and run.steps > MOST_STEPS[run.statement.split(maxsplit=1)[0]]:
            self.findings.add(run.statement, [f"takes {run.steps:,} steps"])


@dataclass
class _Run:
    """A statement that a connection runs."""

    driver: Any  # kept, so that no other has its number
    statement: str = ""
    steps: int = 0

    def count(self) -> int:
        self.steps += _EVERY
        return 0


def _scans(sent: str, plan: Sequence[str]) -> Iterator[str]:
    names = {alias: table for table, alias in _ALIAS.findall(sent)}
    for detail in plan:
        scan = _SCAN.match(detail)
        if scan and names.get(scan[1], scan[1]) in GROWING:
            yield f"reads all of {names.get(scan[1], scan[1])}"
