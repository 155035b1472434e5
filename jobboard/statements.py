"""Statements that are made once: with SQLAlchemy, to make one takes several times as long as to run it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import visitors

from jobboard.schema import Values

_DIVISION_BY_ZERO: Final = "22012"
_ROW: Final = re.compile(r"(?<= VALUES )\([^()]*\)")


@dataclass(frozen=True)
class _Text:
    """A statement in the words of one driver, whose parameters have places, not names."""

    words: str
    # Of each parameter: its name, what makes its value the driver's, and what that makes of None, which most are.
    places: tuple[tuple[str, Callable[[Any], Any] | None, Any], ...]
    constants: Values  # parameters that stand in the statement itself
    moments: dict[str, Callable[[], Any]]  # parameters that are asked for each time it is run

    def bound(self, row: Values) -> tuple[Any, ...]:
        """The parameters as the driver takes them."""
        given = self.constants | row if self.constants else row
        if self.moments:
            given = given | {name: asked() for name, asked in self.moments.items()}
        return tuple(
            [
                value if process is None else nothing if value is None else process(value)
                for name, process, nothing in self.places
                for value in (given[name],)
            ]
        )

    def for_rows(self, rows: int) -> str:
        """An INSERT, for so many rows at once."""
        return self.words if rows == 1 else _ROW.sub(lambda row: ", ".join([row[0]] * rows), self.words, count=1)


class Prepared:
    """A statement with parameters. To be made once, as a constant."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        self._texts: dict[str, _Text] = {}
        self._read: dict[str, tuple[tuple[str, Any], ...]] = {}

    def run(self, connection: sa.Connection, row: Values) -> sa.CursorResult[Any]:
        """Run it now. What it returns comes as the driver gives it."""
        text = self.text(connection.dialect)
        return connection.exec_driver_sql(text.words, text.bound(row))

    def fetch(self, connection: sa.Connection, row: Values) -> list[Values]:
        """Run a SELECT of whole columns, and read each row as the columns' types do."""
        found = self.run(connection, row)
        assert found.cursor is not None, "a SELECT"  # noqa: S101
        return self._as_columns(connection.dialect, found.cursor.description, found)

    def ask(self, cursor: Any, dialect: Dialect, row: Values) -> list[Values]:
        """The same with the driver's cursor. Raises the driver's errors."""
        text = self.text(dialect)
        cursor.execute(text.words, text.bound(row))
        return self._as_columns(dialect, cursor.description, cursor.fetchall())

    def _as_columns(self, dialect: Dialect, description: Any, found: Iterable[Sequence[Any]]) -> list[Values]:
        readers = self._readers(dialect, description)
        return [
            {name: read(value) if read else value for (name, read), value in zip(readers, values, strict=True)}
            for values in found
        ]

    def _readers(self, dialect: Dialect, description: Any) -> tuple[tuple[str, Any], ...]:
        if dialect.name not in self._read:
            given = zip(self._statement.selected_columns, description, strict=True)
            self._read[dialect.name] = tuple(
                (column.name, column.type.dialect_impl(dialect).result_processor(dialect, driver[1]))
                for column, driver in given
            )
        return self._read[dialect.name]

    def text(self, dialect: Dialect) -> _Text:
        """It for this kind of database."""
        if dialect.name not in self._texts:
            self._texts[dialect.name] = _text(self._statement, dialect)
        return self._texts[dialect.name]


class Script:
    """Statements to be run one after the other, whose answers nobody needs: on PostgreSQL in one request.

    `condition`: an UPDATE that comes first, and has to find a row.
    """

    def __init__(self, condition: tuple[Prepared, Values] | None = None) -> None:
        self._condition = condition
        self._steps: list[tuple[Prepared, Sequence[Values]]] = []

    def add(self, statement: Prepared, rows: Sequence[Values]) -> None:
        """An INSERT may have several rows."""
        if rows:
            self._steps.append((statement, rows))

    def extend(self, other: Script) -> None:
        """The steps of another, after this."""
        self._steps.extend(other._steps)

    def run(self, connection: sa.Connection) -> None:
        """Run the steps in the caller's transaction."""
        dialect = connection.dialect
        if dialect.name == "postgresql":
            words, bound = self._request(dialect)
            if words:
                connection.exec_driver_sql(words, bound)
            return
        for statement, rows in self._steps:
            text = statement.text(dialect)
            connection.exec_driver_sql(text.words, [text.bound(row) for row in rows])

    def commit(self, cursor: Any, dialect: Dialect) -> bool:
        """Run it all as a transaction of its own, with the driver's cursor of a connection that is in none.

        False, and nothing is written, if the condition does not hold. Raises the driver's errors.
        """
        if dialect.name == "postgresql":
            return self._commit_in_one(cursor, dialect)
        cursor.execute("BEGIN IMMEDIATE")
        try:
            held = self._commit_each(cursor, dialect)
            cursor.execute("COMMIT" if held else "ROLLBACK")
        except BaseException:
            if cursor.connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise
        return held

    def _commit_in_one(self, cursor: Any, dialect: Dialect) -> bool:
        words, bound = self._request(dialect)
        if self._condition is not None:
            statement, row = self._condition
            text = statement.text(dialect)
            met = f"WITH met AS ({text.words} RETURNING 1) SELECT 1 / count(*) FROM met"  # noqa: S608 - constants
            words = f"{met};\n{words}" if words else met
            bound = (*text.bound(row), *bound)
        try:
            cursor.execute(words, bound)
        except dialect.loaded_dbapi.DataError as error:
            if error.pgcode == _DIVISION_BY_ZERO:
                return False
            raise
        return True

    def _commit_each(self, cursor: Any, dialect: Dialect) -> bool:
        if self._condition is not None:
            statement, row = self._condition
            text = statement.text(dialect)
            if cursor.execute(text.words, text.bound(row)).rowcount != 1:
                return False
        for statement, rows in self._steps:
            text = statement.text(dialect)
            cursor.executemany(text.words, [text.bound(row) for row in rows])
        return True

    def _request(self, dialect: Dialect) -> tuple[str, tuple[Any, ...]]:
        """The steps as one request."""
        texts = [(statement.text(dialect), rows) for statement, rows in self._steps]
        bound = [value for text, rows in texts for row in rows for value in text.bound(row)]
        return ";\n".join(text.for_rows(len(rows)) for text, rows in texts), tuple(bound)


def _text(statement: Any, dialect: Dialect) -> _Text:
    make: Any = type(dialect)
    serializer = dialect._json_serializer  # noqa: SLF001 - as `create_engine` was given it
    paramstyle = "format" if dialect.name == "postgresql" else "qmark"
    placed = make(paramstyle=paramstyle, json_serializer=serializer)
    for part in visitors.iterate(statement):
        if isinstance(part, sa.BindParameter):
            part.required = False  # the values come later
    compiled = statement.compile(dialect=placed, compile_kwargs={"render_postcompile": True})
    processors = {
        name: part.type.dialect_impl(placed).bind_processor(placed) for name, part in compiled.binds.items()
    }
    # The values of an IN, which have names of their own, are constants too, and plain.
    made = ((name, processors.get(name)) for name in compiled.positiontup)
    places = tuple((name, process, process(None) if process else None) for name, process in made)
    moments = {name: part.callable for name, part in compiled.binds.items() if part.callable is not None}
    constants = {
        name: value for name, value in compiled.params.items() if value is not None and name not in moments
    }
    return _Text(str(compiled), places, constants, moments)


def several(name: str, count: int) -> list[sa.BindParameter[str]]:
    """So many parameters of one name, for an IN."""
    return [sa.bindparam(f"{name}_{number}") for number in range(count)]


def several_values(name: str, values: Sequence[str]) -> Values:
    """Their values."""
    return {f"{name}_{number}": value for number, value in enumerate(values)}


def update(
    connection: sa.Connection,
    table: sa.Table,
    where: Values,
    values: Values,
    *,
    returning: str | None = None,
) -> sa.CursorResult[Any]:
    """UPDATE the rows whose columns equal `where`. A value may be an SQL expression: that is made each time."""
    plain = {name: value for name, value in values.items() if not isinstance(value, sa.ClauseElement)}
    row = plain | {_wanted(name): value for name, value in where.items()}
    if len(plain) == len(values):
        return _prepared(table, tuple(where), tuple(plain), returning).run(connection, row)
    others = {name: value for name, value in values.items() if name not in plain}
    return connection.execute(_update(table, tuple(where), tuple(plain), returning).values(others), row)


def add_update(script: Script, table: sa.Table, where: Values, values: Values) -> None:
    """The same, of plain values, as a step of a script."""
    statement, row = update_of(table, where, values)
    script.add(statement, [row])


def add_insert(script: Script, table: sa.Table, rows: Sequence[Values]) -> None:
    """INSERT these rows, all of the same columns, as a step of a script."""
    if rows:
        script.add(_inserted(table, tuple(rows[0])), rows)


def update_of(table: sa.Table, where: Values, values: Values) -> tuple[Prepared, Values]:
    """The same, of plain values: the statement, and its parameters."""
    row = values | {_wanted(name): value for name, value in where.items()}
    return _prepared(table, tuple(where), tuple(values), None), row


@functools.cache
def _prepared(table: sa.Table, where: tuple[str, ...], values: tuple[str, ...], returning: str | None) -> Prepared:
    return Prepared(_update(table, where, values, returning))


@functools.cache
def _inserted(table: sa.Table, columns: tuple[str, ...]) -> Prepared:
    return Prepared(sa.insert(table).values({name: sa.bindparam(name) for name in columns}).inline())


def _update(table: sa.Table, where: Iterable[str], values: Iterable[str], returning: str | None) -> Any:
    equal = [table.c[name] == sa.bindparam(_wanted(name)) for name in where]
    made = sa.update(table).where(*equal).values({name: sa.bindparam(name) for name in values})
    return made if returning is None else made.returning(table.c[returning])


def _wanted(name: str) -> str:
    return f"wanted_{name}"
