"""What one run writes, and how it is taken back: the two are stored in the same transactions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import sqlalchemy as sa

from flows.library.collect.database import Database
from flows.library.collect.errors import CannotRestore, Superseded
from flows.library.collect.price import Price
from flows.library.collect.tally import Tally

P = ParamSpec("P")
T = TypeVar("T")

_KEPT: Final = timedelta(days=7)


def _transaction(
    method: Callable[Concatenate[Journal, sa.Connection, P], T],
) -> Callable[Concatenate[Journal, P], T]:
    @functools.wraps(method)
    def commit(self: Journal, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.database.commit(lambda connection: method(self, connection, *args, **kwargs))

    return commit


class Journal:
    """What a run has to do, and what it did. Each method is one transaction.

    A row carries the run that wrote it, and what it replaced is kept for that run. Whenever rows of a symbol are
    written, its line in the progress table is held: once that is gone the run is undone, and writes no more.
    """

    def __init__(self, database: Database, run: str) -> None:
        self.database = database
        self._run = run
        self._prices, self._replaced, self._progress = database.tables.all

    @_transaction
    def begin(self, connection: sa.Connection, symbols: Sequence[str]) -> list[str]:
        """The symbols still to do: all, or what a crash has left. What is half done is taken back first."""
        lines = connection.execute(self._lines("symbol", "rows", "done_at")).all()
        if not lines:
            values = [{"run": self._run, "symbol": symbol} for symbol in symbols]
            connection.execute(sa.insert(self._progress), values)
            return list(symbols)
        to_do = {line.symbol: line.rows for line in lines if line.done_at is None}
        for symbol in filter(to_do.get, to_do):
            self._note(connection, symbol, rows=0)
            self._take_back(connection, symbol)
        return [symbol for symbol in symbols if symbol in to_do]

    @_transaction
    def write(self, connection: sa.Connection, symbol: str, prices: Sequence[Price], rows: int) -> None:
        """Store prices of a symbol, and keep what they replace. `rows` is how many are stored of it then."""
        table = self._prices
        self._note(connection, symbol, rows=rows)
        old = sa.delete(table).where(table.c.symbol == symbol, table.c.day.in_([price.day for price in prices]))
        found = connection.execute(old.returning(*table.c)).mappings().all()
        # Its own are there if this was done before, and nobody heard of it.
        kept = [{**row, "replaced_by": self._run} for row in found if row["written_by"] != self._run]
        _insert(connection, self._replaced, kept)
        marks = {"symbol": symbol, "written_by": self._run}
        _insert(connection, table, [{**price.model_dump(), **marks} for price in prices])

    @_transaction
    def finish(self, connection: sa.Connection, symbol: str, problem: str | None = None) -> None:
        """There is no more to do for a symbol; with a `problem` it could not be had."""
        self._note(connection, symbol, problem=problem, done_at=_now())

    @_transaction
    def begin_undo(self, connection: sa.Connection) -> list[str]:
        """The symbols that have rows to be taken back. Of the others nothing more is written."""
        line = self._progress.c
        connection.execute(sa.delete(self._progress).where(line.run == self._run, line.rows == 0))
        return list(connection.scalars(self._lines("symbol")))

    @_transaction
    def undo(self, connection: sa.Connection, symbol: str) -> None:
        """Take back all rows of a symbol, for good."""
        line = self._progress.c
        connection.execute(sa.delete(self._progress).where(line.run == self._run, line.symbol == symbol))
        self._take_back(connection, symbol)

    @_transaction
    def check_undone(self, connection: sa.Connection, symbols: Sequence[str]) -> None:
        """Raise `CannotRestore` if rows are left: what they replaced is forgotten some time after the run."""
        row = self._prices.c
        left = sa.select(sa.func.count()).where(row.symbol.in_(symbols), row.written_by == self._run)
        if count := connection.scalar(left):
            raise CannotRestore(
                f"table {self._prices.name}: {count:,} rows written_by {self._run} are left: what they replaced "
                f"is kept for {_KEPT.days} days only"
            )

    @_transaction
    def problems(self, connection: sa.Connection, most: int) -> dict[str, str]:
        """Why symbols could not be had, of the first `most` of them."""
        lines = self._lines("symbol", "problem").where(self._progress.c.problem.is_not(None)).limit(most)
        return dict(connection.execute(lines).tuples().all())

    @_transaction
    def tally(self, connection: sa.Connection) -> Tally:
        """How far it is."""
        line = self._progress.c
        counts = sa.func.count(), sa.func.count(line.done_at), sa.func.count(line.problem), sa.func.sum(line.rows)
        return Tally(*connection.execute(sa.select(*counts).where(line.run == self._run)).one())

    # Within a transaction

    def _lines(self, *columns: str) -> sa.Select[Any]:
        line = self._progress.c
        return sa.select(*(line[name] for name in columns)).where(line.run == self._run).order_by(line.symbol)

    def _note(self, connection: sa.Connection, symbol: str, **values: Any) -> None:
        line = self._progress.c
        noted = sa.update(self._progress).where(line.run == self._run, line.symbol == symbol).values(values)
        if connection.execute(noted).rowcount != 1:
            raise Superseded(f"{symbol}: another conductor has taken back what this one had begun")

    def _take_back(self, connection: sa.Connection, symbol: str) -> None:
        """Wherever a row of this run stands, what it replaced takes its place.

        It stands in the table; or, if another run has replaced it there, among what is kept for that one.
        """
        prices, replaced = self._prices, self._replaced
        mine = sa.delete(replaced).where(replaced.c.replaced_by == self._run, replaced.c.symbol == symbol)
        row = [replaced.c[name] for name in prices.c.keys()]  # noqa: SIM118 - a collection of columns
        kept = {row["day"]: row for row in connection.execute(mine.returning(*row)).mappings()}
        standing = sa.delete(prices).where(prices.c.written_by == self._run, prices.c.symbol == symbol)
        days = connection.scalars(standing.returning(prices.c.day)).all()
        _insert(connection, prices, [kept[day] for day in days if day in kept])
        elsewhere = sa.delete(replaced).where(replaced.c.written_by == self._run, replaced.c.symbol == symbol)
        others = connection.execute(elsewhere.returning(replaced.c.day, replaced.c.replaced_by)).all()
        moved = [{**kept[day], "replaced_by": other} for day, other in others if day in kept]
        _insert(connection, replaced, moved)


def forget_finished(database: Database) -> None:
    """Let go what finished runs have replaced, long after their end. It is theirs only until their job is over."""
    _, replaced, progress = database.tables.all
    finished = (
        sa.select(progress.c.run)
        .group_by(progress.c.run)
        .having(sa.func.count(progress.c.done_at) == sa.func.count())
        .having(sa.func.max(progress.c.done_at) < _now() - _KEPT)
    )

    def forget(connection: sa.Connection) -> None:
        connection.execute(sa.delete(replaced).where(replaced.c.replaced_by.in_(finished)))
        connection.execute(sa.delete(progress).where(progress.c.run.in_(finished)))

    database.commit(forget)


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Any]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
