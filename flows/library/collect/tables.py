"""The table of prices, and the two beside it that a revert needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import sqlalchemy as sa

from flows.library.collect.price import Price

_TYPES: Final[dict[Any, type[sa.types.TypeEngine[Any]]]] = {
    date: sa.Date,
    float: sa.Double,
    int: sa.BigInteger,
    str: sa.Text,
}
_RUN: Final = sa.String(100)
_SYMBOL: Final = sa.String(32)


@dataclass(frozen=True)
class Tables:
    """Three tables.

    Of a symbol and a day there is one row among the prices, and one for each run that has replaced one. So
    `written_by` and `replaced_by` make a chain, from the row that stands to the oldest that is kept.
    """

    prices: sa.Table
    replaced: sa.Table  # rows as they were before the run `replaced_by` wrote its own
    progress: sa.Table  # what each run has to do, a line for a symbol

    @property
    def all(self) -> tuple[sa.Table, ...]:
        return self.prices, self.replaced, self.progress


def tables_of(name: str) -> Tables:
    """The tables for prices in the table `name`."""
    metadata = sa.MetaData()
    return Tables(
        prices=sa.Table(name, metadata, *_columns()),
        replaced=sa.Table(
            f"{name}_replaced", metadata, sa.Column("replaced_by", _RUN, primary_key=True), *_columns()
        ),
        progress=sa.Table(
            f"{name}_progress",
            metadata,
            sa.Column("run", _RUN, primary_key=True),
            sa.Column("symbol", _SYMBOL, primary_key=True),
            sa.Column("rows", sa.Integer, nullable=False, default=0),
            sa.Column("problem", sa.Text),  # why it was skipped
            sa.Column("done_at", sa.DateTime),  # UTC
        ),
    )


def _columns() -> Iterator[sa.Column[Any]]:
    yield sa.Column("symbol", _SYMBOL, primary_key=True)
    for name, field in Price.model_fields.items():
        yield sa.Column(name, _TYPES[field.annotation], primary_key=name == "day", nullable=False)
    yield sa.Column("written_by", _RUN)  # the run, which begins with the job's id; empty if it was someone else
