"""What a database is asked, for tests that count or spoil it: in SQLAlchemy's transactions, and at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from jobboard.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobboard.statements import Script


def on_commits(database: Database, told: Callable[[Callable[[], Any]], None]) -> None:
    """From now on, call `told` before each commit of what was written, with what makes it hold at once."""

    def committing(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("countermand_write"):
            told(connection.connection.commit)

    def commit(script: Script, **how: bool) -> bool:
        with database._reached():
            told(lambda: at_once(script, **how))
        return at_once(script, **how)

    at_once = database.commit
    sa.event.listen(database.engine, "commit", committing)
    database.commit = commit  # type: ignore[method-assign]


def on_statements(database: Database, told: Callable[[str], None]) -> None:
    """From now on, call `told` with each request before it is sent: statements, with ";" and a newline between."""

    def sending(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        told(statement)

    @contextmanager
    def cursor(trusted_s: float) -> Iterator[Any]:
        with original(trusted_s) as made:
            yield _Cursor(made, lambda _driver, statement, _given: told(statement.removeprefix("WITH met AS (")))

    original = database._cursor
    sa.event.listen(database.engine, "before_cursor_execute", sending)
    database._cursor = cursor  # type: ignore[method-assign]


@contextmanager
def overheard(told: Callable[[Any, str, Any], None]) -> Iterator[None]:
    """In this block, call `told` with each request of any database that goes past SQLAlchemy, before it is sent.

    With the driver's connection, the request, and its parameters: of many rows, those of the first.
    """

    @contextmanager
    def cursor(self: Database, trusted_s: float) -> Iterator[Any]:
        with original(self, trusted_s) as made:
            yield _Cursor(made, told)

    original = Database._cursor
    Database._cursor = cursor  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        Database._cursor = original  # type: ignore[method-assign]


class _Cursor:
    """The driver's, overheard."""

    def __init__(self, cursor: Any, told: Callable[[Any, str, Any], None]) -> None:
        self._cursor = cursor
        self._told = told

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        if statement not in ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"):
            self._told(self._cursor.connection, statement, parameters)
        return self._cursor.execute(statement, parameters)

    def executemany(self, statement: str, parameters: Any) -> Any:
        self._told(self._cursor.connection, statement, parameters[0])
        return self._cursor.executemany(statement, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)
