"""A database that `collect` writes into, as someone else sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Self

import sqlalchemy as sa

from flows.library.collect.tables import Tables, tables_of

A_PRICE = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1}
THERE_BEFORE = [
    {"symbol": "BETA", "day": date(2026, 1, 5), **A_PRICE, "written_by": "an older job"},
    {"symbol": "BETA", "day": date(2026, 1, 6), **A_PRICE, "written_by": None},
    {"symbol": "BETA", "day": date(2025, 12, 1), **A_PRICE, "written_by": None},
    {"symbol": "OTHER", "day": date(2026, 1, 5), **A_PRICE, "written_by": None},
]


class Shelf:
    """It has rows already."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.tables: Tables = tables_of("prices")
        self.engine = sa.create_engine(url)
        for table in self.tables.all:
            table.create(self.engine)
        self.do(sa.insert(self.tables.prices), THERE_BEFORE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.engine.dispose()

    def do(self, statement: sa.Executable, rows: Sequence[dict[str, Any]] | None = None) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement, rows)

    def scalar(self, query: sa.TextClause) -> Any:
        with self.engine.begin() as connection:
            return connection.scalar(query)

    def rows(self, table: sa.Table | None = None) -> list[dict[str, Any]]:
        """All rows, in the order of their keys."""
        table = self.tables.prices if table is None else table
        with self.engine.begin() as connection:
            found = connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()
            return [dict(row) for row in found]

    @property
    def is_as_before(self) -> bool:
        """Whether nothing of any job is left."""
        before = sorted(THERE_BEFORE, key=lambda row: (row["symbol"], row["day"]))
        kept = self.rows(self.tables.replaced) + self.rows(self.tables.progress)
        return self.rows() == before and kept == []
