"""What a database is asked, for tests that count or spoil it: in SQLAlchemy's transactions, and at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobboard.database import Database
    from jobboard.statements import Script


def on_commits(database: Database, told: Callable[[Callable[[], Any]], None]) -> None:
    """From now on, call `told` before each commit of what was written, with what makes it hold at once."""

    def committing(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("countermand_write"):
            told(connection.connection.commit)

    def commit(script: Script, *, ask: bool = True) -> bool:
        with database._reached():
            told(lambda: at_once(script, ask=ask))
        return at_once(script, ask=ask)

    at_once = database.commit
    sa.event.listen(database.engine, "commit", committing)
    database.commit = commit  # type: ignore[method-assign]


def on_statements(database: Database, told: Callable[[str], None]) -> None:
    """From now on, call `told` with each request before it is sent: statements, with ";" and a newline between."""

    def sending(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        told(statement)

    @contextmanager
    def cursor(*, ask: bool) -> Iterator[Any]:
        with original(ask=ask) as made:
            yield _Cursor(made, told)

    original = database._cursor
    sa.event.listen(database.engine, "before_cursor_execute", sending)
    database._cursor = cursor  # type: ignore[method-assign]


class _Cursor:
    """The driver's, overheard."""

    def __init__(self, cursor: Any, told: Callable[[str], None]) -> None:
        self._cursor = cursor
        self._told = told

    def execute(self, statement: str, *parameters: Any) -> Any:
        if statement not in ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"):
            self._told(statement.removeprefix("WITH met AS ("))
        return self._cursor.execute(statement, *parameters)

    def executemany(self, statement: str, parameters: Any) -> Any:
        self._told(statement)
        return self._cursor.executemany(statement, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)
