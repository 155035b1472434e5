"""Time that jumps: every stored moment goes back, which is the same for whoever compares it with now."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from jobboard.database import Database
from jobboard.schema import UtcDateTime, conductors, metadata, sessions

_LEASES = {sessions.name, conductors.name}  # conductors that live renew theirs meanwhile
_SECONDS = 19  # characters of a moment on SQLite before its fraction


def pass_time(database: Database, seconds: int) -> None:
    """So many seconds later."""
    earlier = _on_sqlite if database.dialect == "sqlite" else _on_postgresql
    with database.write() as connection:
        for table in metadata.sorted_tables:
            moments = [column for column in table.columns if isinstance(column.type, UtcDateTime)]
            if moments and table.name not in _LEASES:
                back = {moment.name: earlier(moment, seconds) for moment in moments}
                connection.execute(sa.update(table).values(back))


def _on_postgresql(moment: Any, seconds: int) -> Any:
    return moment - sa.literal(timedelta(seconds=seconds), sa.Interval())


def _on_sqlite(moment: Any, seconds: int) -> Any:
    text = sa.type_coerce(moment, sa.Text)
    whole = sa.func.strftime("%Y-%m-%d %H:%M:%S", text, f"-{seconds} seconds")
    return sa.type_coerce(whole.concat(sa.func.substr(text, _SECONDS + 1)), UtcDateTime)
