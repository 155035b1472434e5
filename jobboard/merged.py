"""One page of several selections, each of which an index gives in order.

`state IN (…) ORDER BY id LIMIT n` would have a database read and sort all that is in these states, or pass over
all that is not. This reads no more of each than is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa


def first_of(
    selections: Sequence[sa.Select[Any]], names: Sequence[str], limit: Any, *, descending: bool = False
) -> sa.Select[Any]:
    """The first `limit` rows of these, ordered by the columns of these names.

    All select the same columns. Locks that they want are taken of what is given, and hardly more.
    """

    def ordered(selection: sa.Select[Any], columns: Any) -> sa.Select[Any]:
        order = [columns[name].desc() if descending else columns[name] for name in names]
        return selection.order_by(*order).limit(limit)

    parts = [ordered(selection, selection.selected_columns) for selection in selections]
    if len(parts) == 1:
        return parts[0]
    # Each in a SELECT of its own: SQLite knows no parentheses around the parts of a UNION. Its columns by a star:
    # by their names, SQLAlchemy would hold several objects for each, 5 MB of them for two dozen flows.
    each = (sa.select(sa.text("*")).select_from(part.subquery()) for part in parts)
    columns = {column.name: sa.column(column.name, column.type) for column in parts[0].selected_columns}
    return ordered(sa.select(*columns.values()).select_from(sa.union_all(*each).subquery()), columns)


def each_alone(table: sa.Table, name: str, *conditions: sa.ColumnElement[bool]) -> sa.CTE:
    """The different values of a column of text among the rows that meet these conditions; last a null.

    Jumps from one to the next by an index that begins with the column: however many rows have the same.
    """
    # Not by `min`: PostgreSQL reads all rows for it where it thinks that they are few.
    of_all = sa.select(table.c[name]).where(*conditions).order_by(table.c[name]).limit(1)
    # The bound of the first is none, but says by which index.
    first = of_all.where(table.c[name] >= "").scalar_subquery()
    values = sa.select(first.label(name)).cte(f"each_{name}", recursive=True)
    following = of_all.where(table.c[name] > values.c[name]).correlate(values).scalar_subquery()
    return values.union_all(sa.select(following).where(values.c[name].is_not(None)))


def is_one(query: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Whether there is a row; there can be one at most.

    For an EXISTS that it has to tell of many rows, PostgreSQL would read the whole table beforehand.
    """
    return query.scalar_subquery().is_not(None)
